// Writes JSON (RFC 8259) into a string: objects, arrays, strings of foreign bytes, whole numbers and times.
// A value of one thread.
// Invariant: the text is valid UTF-8 and, once all that was begun has been ended, valid JSON, whatever bytes a client
// has sent. Numbers are exact: none is computed in floating point.
// Does not: read JSON, check that a key appears once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

class Json {
 public:
  // What follows until the matching End is inside. In an object, each value follows its Key.
  Json& BeginObject() { return Open('{'); }
  Json& EndObject() { return Close('}'); }
  Json& BeginArray() { return Open('['); }
  Json& EndArray() { return Close(']'); }

  Json& Key(std::string_view name);

  Json& String(std::string_view foreign);  // escaped as base/json_text.h says
  Json& Number(std::uint64_t value);
  Json& Bool(bool value);
  Json& Null();
  Json& StringOrNull(std::string_view foreign) { return foreign.empty() ? Null() : String(foreign); }
  template <class Value>
  Json& NumberOrNull(const std::optional<Value>& value) {
    return value ? Number(*value) : Null();
  }
  Json& Seconds(std::chrono::milliseconds duration);  // "12.345"; not negative
  Json& Seconds(std::chrono::microseconds duration);  // "12.345678"; not negative

  // The text. The object is as new afterwards.
  std::string Take();

 private:
  Json& Decimal(std::int64_t value, std::size_t places);
  Json& Open(char bracket);
  Json& Close(char bracket);
  void BeforeValue();
  void PutString(std::string_view foreign);

  std::string text_;
  bool follows_ = false;  // a value precedes the next one in its object or array
};

}  // namespace penstock
