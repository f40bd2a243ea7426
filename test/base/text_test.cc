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

}  // namespace
}  // namespace penstock
