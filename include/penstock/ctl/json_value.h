// Reads JSON (RFC 8259): the answers of the admin interface, as a tree of values.
// A JsonValue is immutable and owns its text; any thread.
// Invariant: only valid JSON is accepted, with depth, bytes and the number of values bounded. A value that is missing,
// or of another kind than asked for, reads as null, zero or empty: a member that a gateway does not have is no error.
// Does not: write JSON (admin/json.h), check which members there are, remove control characters from strings (table.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

inline constexpr std::size_t kJsonDepthMax = 32;
inline constexpr std::size_t kJsonValuesMax = 500'000;

class JsonValue {
 public:
  enum class Kind : std::uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

  JsonValue() = default;  // null

  // Nothing if `text` is anything but one valid value within the bounds, with blanks around it.
  static std::optional<JsonValue> Parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_true() const { return kind_ == Kind::kTrue; }

  // A string, or the text of a number; empty for any other kind.
  const std::string& text() const { return text_; }

  // Of a number: at most kNumberMax, of either sign, or 0 beyond the range of a double. Whole: without its fraction; 0
  // if it is negative or has an exponent, which no answer has, or the largest number if it is larger.
  static constexpr double kNumberMax = 1e15;
  double number() const;
  std::uint64_t whole() const;

  // Of an array, or the values of an object; empty for any other kind.
  const std::vector<JsonValue>& items() const { return items_; }

  // Of an object: the names of items(), in their order.
  const std::vector<std::string>& names() const { return names_; }

  // The member `name` of an object, the first if there are several; null if there is none.
  const JsonValue& operator[](std::string_view name) const;

 private:
  friend class JsonReader;

  Kind kind_ = Kind::kNull;
  std::string text_;
  std::vector<JsonValue> items_;
  std::vector<std::string> names_;
};

}  // namespace penstock
