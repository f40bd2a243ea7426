// Text, line by line.
// Stateless; any thread.
// Invariant: whatever the text is, each call makes it shorter, until nothing is left.
// Deliberately not here: what a line means, and which blanks count: files differ in both.
#pragma once

#include <cstddef>
#include <string_view>

namespace penstock {

// Takes the next line off `text`, without its end: "\n", "\r\n", or that of the text. `text` is not empty.
inline std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace penstock
