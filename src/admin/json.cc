#include "penstock/admin/json.h"

#include <cassert>
#include <cstddef>
#include <utility>

namespace penstock {
namespace {

// The bytes at the start of `text`, which is not empty: the bytes of one character, or of one maximal part that is none
// (the table of well-formed sequences, The Unicode Standard, section 3.9).
struct Utf8 {
  std::size_t bytes;
  bool valid;
};

Utf8 FirstOf(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const std::size_t wanted = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte excludes long forms, surrogates and what is above U+10FFFF.
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t i = 1; i < wanted; ++i) {
    if (i == text.size() || at(i) < low || at(i) > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {wanted, true};
}

std::string Escape(unsigned char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  return std::string("\\u00") + kHex[byte >> 4] + kHex[byte & 15];
}

}  // namespace

Json& Json::Key(std::string_view name) {
  BeforeValue();
  PutString(name);
  text_ += ':';
  follows_ = false;
  return *this;
}

Json& Json::String(std::string_view foreign) {
  BeforeValue();
  PutString(foreign);
  return *this;
}

Json& Json::Number(std::uint64_t value) {
  BeforeValue();
  text_ += std::to_string(value);
  return *this;
}

Json& Json::Bool(bool value) {
  BeforeValue();
  text_ += value ? "true" : "false";
  return *this;
}

Json& Json::Null() {
  BeforeValue();
  text_ += "null";
  return *this;
}

Json& Json::Seconds(std::chrono::milliseconds duration) { return Decimal(duration.count(), 3); }

Json& Json::Seconds(std::chrono::microseconds duration) { return Decimal(duration.count(), 6); }

// `value` times 10^-`places`.
Json& Json::Decimal(std::int64_t value, std::size_t places) {
  assert(value >= 0);
  BeforeValue();
  std::string digits = std::to_string(value);
  if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
  text_ += digits.insert(digits.size() - places, 1, '.');
  return *this;
}

std::string Json::Take() {
  follows_ = false;
  return std::exchange(text_, {});
}

Json& Json::Open(char bracket) {
  BeforeValue();
  text_ += bracket;
  follows_ = false;
  return *this;
}

Json& Json::Close(char bracket) {
  text_ += bracket;
  follows_ = true;
  return *this;
}

void Json::BeforeValue() {
  if (follows_) text_ += ',';
  follows_ = true;
}

void Json::PutString(std::string_view foreign) {
  text_ += '"';
  while (!foreign.empty()) {
    const Utf8 first = FirstOf(foreign);
    const auto lead = static_cast<unsigned char>(foreign[0]);
    const auto last = static_cast<unsigned char>(foreign[first.bytes - 1]);
    if (!first.valid) {
      text_ += "\xef\xbf\xbd";  // U+FFFD
    } else if (lead < ' ' || lead == 0x7f || (lead == 0xc2 && last < 0xa0)) {
      text_ += Escape(last);  // U+0080 to U+009F are c2 80 to c2 9f
    } else {
      if (lead == '"' || lead == '\\') text_ += '\\';
      text_ += foreign.substr(0, first.bytes);
    }
    foreign.remove_prefix(first.bytes);
  }
  text_ += '"';
}

}  // namespace penstock
