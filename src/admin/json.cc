#include "penstock/admin/json.h"

#include <cassert>
#include <utility>

#include "penstock/base/json_text.h"

namespace penstock {

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
  while (!foreign.empty()) text_ += TakeJsonPiece(foreign).text();
  text_ += '"';
}

}  // namespace penstock
