#include "penstock/base/text.h"

#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) lines.push_back(TakeLine(text));
  return lines;
}

using Texts = std::vector<std::string_view>;

TEST_CASE("text: lines end with LF or CRLF, and the last one need not end") {
  CHECK(Lines("").empty());
  CHECK(Lines("one") == Texts{"one"});
  CHECK(Lines("one\n") == Texts{"one"});
  CHECK(Lines("one\r\n\ntwo\n\r\nthree\r") == Texts{"one", "", "two", "", "three"});
  CHECK(Lines("a\rb\n") == Texts{"a\rb"});
}

TEST_CASE("text: words end at blanks, and at what else is named") {
  std::string_view text = " \t\rone\v two\f,three,";
  CHECK(TakeWord(text) == "one");
  CHECK(TakeWord(text, kBlanksAndComma) == "two");
  CHECK(TakeWord(text, kBlanksAndComma).empty());
  CHECK(text == ",three,");
  CHECK(TakeWord(text) == ",three,");
  CHECK(TakeWord(text).empty());
  CHECK(text.empty());
}

TEST_CASE("text: trimming leaves the blanks between words") {
  CHECK(Trimmed("").empty());
  CHECK(Trimmed(" \n ").empty());
  CHECK(Trimmed("a b") == "a b");
  CHECK(Trimmed("\t a  b\r\n") == "a  b");
}

TEST_CASE("text: only the capitals of ASCII have a lower case") {
  CHECK(LowerCase('A') == 'a');
  CHECK(LowerCase('Z') == 'z');
  for (const char c : {'@', '[', 'a', '0', '\xc4'}) CHECK(LowerCase(c) == c);
}

}  // namespace
}  // namespace penstock
