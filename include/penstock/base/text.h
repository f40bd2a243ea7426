// Lines, words, blanks and case of text. The one definition of a blank for all files and options.
// Stateless; any thread.
// Invariant: each Take removes something from its text until the text is empty.
// Deliberately not here: the syntax of lines and comments: these differ between files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace penstock {

inline constexpr std::string_view kBlanksAndComma = ", \t\r\n\f\v";
inline constexpr std::string_view kBlanks = kBlanksAndComma.substr(1);  // isspace(3) in the C locale

// ASCII only: RFC 4343 for names.
constexpr char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline bool SameButForCase(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, {}, LowerCase, LowerCase);
}

// Removes the first line from `text`, which is not empty, and returns it without its end ("\n", "\r\n", or the end of
// the text).
inline std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// `text` without the blanks at both of its ends.
inline std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// Takes the next word off `text` with the blanks before it. Empty if there is none, or if one of `ends` stands there.
inline std::string_view TakeWord(std::string_view& text, std::string_view ends = kBlanks) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(ends));  // one search: the rest may be long
  text.remove_prefix(word.size());
  return word;
}

}  // namespace penstock
