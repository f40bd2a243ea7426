#include "penstock/base/json_text.h"

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

JsonPiece Escaped(unsigned char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const char text[] = {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
  return JsonPiece({text, sizeof text});
}

}  // namespace

JsonPiece TakeJsonPiece(std::string_view& foreign) {
  const Utf8 first = FirstOf(foreign);
  const std::string_view taken = foreign.substr(0, first.bytes);
  foreign.remove_prefix(first.bytes);
  const auto lead = static_cast<unsigned char>(taken.front());
  const auto last = static_cast<unsigned char>(taken.back());
  if (!first.valid) return JsonPiece("\xef\xbf\xbd");  // U+FFFD
  // U+0080 to U+009F are c2 80 to c2 9f.
  if (lead < ' ' || lead == 0x7f || (lead == 0xc2 && last < 0xa0)) return Escaped(last);
  if (lead == '"') return JsonPiece("\\\"");
  return JsonPiece(lead == '\\' ? "\\\\" : taken);
}

}  // namespace penstock
