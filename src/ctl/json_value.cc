#include "penstock/ctl/json_value.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

namespace penstock {
namespace {

constexpr std::string_view kJsonBlanks = " \t\r\n";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The bytes of a character that has no surrogate, in UTF-8.
void AppendUtf8(unsigned character, std::string& text) {
  const auto put = [&](unsigned byte) { text.push_back(static_cast<char>(byte)); };
  if (character < 0x80) return put(character);
  if (character < 0x800) {
    put(0xc0 | character >> 6);
  } else {
    if (character < 0x10000) {
      put(0xe0 | character >> 12);
    } else {
      put(0xf0 | character >> 18);
      put(0x80 | (character >> 12 & 0x3f));
    }
    put(0x80 | (character >> 6 & 0x3f));
  }
  put(0x80 | (character & 0x3f));
}

}  // namespace

// Each Read takes one value off the text, and returns false if there is none.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : rest_(text) {}

  bool ReadAll(JsonValue& value) {
    if (!Read(value, 0)) return false;
    SkipBlanks();
    return rest_.empty();
  }

 private:
  using Kind = JsonValue::Kind;

  bool Read(JsonValue& value, std::size_t depth) {
    if (++values_ > kJsonValuesMax) return false;
    SkipBlanks();
    if (rest_.empty()) return false;
    switch (rest_.front()) {
      case '{':
        return depth < kJsonDepthMax && ReadObject(value, depth + 1);
      case '[':
        return depth < kJsonDepthMax && ReadArray(value, depth + 1);
      case '"':
        value.kind_ = Kind::kString;
        return ReadString(value.text_);
      default:
        return TakeLiteral("null", Kind::kNull, value) || TakeLiteral("true", Kind::kTrue, value) ||
               TakeLiteral("false", Kind::kFalse, value) || ReadNumber(value);
    }
  }

  bool ReadObject(JsonValue& value, std::size_t depth) {
    value.kind_ = Kind::kObject;
    rest_.remove_prefix(1);
    SkipBlanks();
    if (Take('}')) return true;
    do {
      SkipBlanks();
      if (!rest_.starts_with('"') || !ReadString(value.names_.emplace_back())) return false;
      SkipBlanks();
      if (!Take(':') || !Read(value.items_.emplace_back(), depth)) return false;
      SkipBlanks();
    } while (Take(','));
    return Take('}');
  }

  bool ReadArray(JsonValue& value, std::size_t depth) {
    value.kind_ = Kind::kArray;
    rest_.remove_prefix(1);
    SkipBlanks();
    if (Take(']')) return true;
    do {
      if (!Read(value.items_.emplace_back(), depth)) return false;
      SkipBlanks();
    } while (Take(','));
    return Take(']');
  }

  // From the opening quote to the closing one.
  bool ReadString(std::string& text) {
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != '"') {
      const char c = rest_.front();
      if (static_cast<unsigned char>(c) < ' ') return false;
      rest_.remove_prefix(1);
      if (c != '\\') {
        text.push_back(c);
      } else if (!ReadEscape(text)) {
        return false;
      }
    }
    return Take('"');
  }

  // Behind the backslash.
  bool ReadEscape(std::string& text) {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == 'u') return ReadCharacter(text);
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    const auto found = kNames.find(c);
    if (found == std::string_view::npos) return false;
    text.push_back(kMeant[found]);
    return true;
  }

  // Behind "\u". A character above U+FFFF is a pair of surrogates; one alone is no character.
  bool ReadCharacter(std::string& text) {
    unsigned character = 0;
    if (!ReadHex(character) || (character >= 0xdc00 && character <= 0xdfff)) return false;
    if (character >= 0xd800 && character <= 0xdbff) {
      unsigned low = 0;
      if (!Take('\\') || !Take('u') || !ReadHex(low) || low < 0xdc00 || low > 0xdfff) return false;
      character = 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(character, text);
    return true;
  }

  bool ReadHex(unsigned& number) {
    if (rest_.size() < 4) return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, number, 16);
    if (error != std::errc() || end != rest_.data() + 4) return false;
    rest_.remove_prefix(4);
    return true;
  }

  // -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
  bool ReadNumber(JsonValue& value) {
    const std::string_view begin = rest_;
    Take('-');
    if (!Take('0') && !TakeDigits()) return false;
    if (Take('.') && !TakeDigits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!TakeDigits()) return false;
    }
    value.kind_ = Kind::kNumber;
    value.text_ = begin.substr(0, begin.size() - rest_.size());
    return true;
  }

  bool TakeDigits() {
    const auto* const end = std::ranges::find_if_not(rest_, IsDigit);
    const auto count = static_cast<std::size_t>(end - rest_.begin());
    rest_.remove_prefix(count);
    return count > 0;
  }

  bool TakeLiteral(std::string_view literal, Kind kind, JsonValue& value) {
    if (!rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    value.kind_ = kind;
    return true;
  }

  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void SkipBlanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kJsonBlanks), rest_.size())); }

  std::string_view rest_;
  std::size_t values_ = 0;
};

std::optional<JsonValue> JsonValue::Parse(std::string_view text) {
  std::optional<JsonValue> value(std::in_place);
  if (!JsonReader(text).ReadAll(*value)) value.reset();
  return value;
}

double JsonValue::number() const {
  if (kind_ != Kind::kNumber) return 0;
  double number = 0;
  std::from_chars(text_.data(), text_.data() + text_.size(), number);
  return std::clamp(number, -kNumberMax, kNumberMax);
}

std::uint64_t JsonValue::whole() const {
  if (kind_ != Kind::kNumber || text_.find_first_of("eE") != std::string::npos) return 0;
  std::uint64_t number = 0;
  const auto result = std::from_chars(text_.data(), text_.data() + text_.size(), number);
  return result.ec == std::errc::result_out_of_range ? std::numeric_limits<std::uint64_t>::max() : number;
}

const JsonValue& JsonValue::operator[](std::string_view name) const {
  static const JsonValue kNone;
  const auto found = std::ranges::find(names_, name);
  return found == names_.end() ? kNone : items_[static_cast<std::size_t>(found - names_.begin())];
}

}  // namespace penstock
