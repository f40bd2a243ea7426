#include "penstock/session/core.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

TEST_CASE("session core: every end has its own word") {
  using End = SessionEnd;
  std::vector<std::string_view> seen;
  for (const End end :
       {End::kNone, End::kClosed, End::kReset, End::kRefused, End::kBadRequest, End::kLoginFailed, End::kLoginThrottled,
        End::kClientLeft, End::kHandshakeExpired, End::kIdle, End::kStopped, End::kForbidden, End::kExhausted}) {
    const std::string_view word = Describe(end);
    CHECK_FALSE(word.empty());
    CHECK(word.find(' ') == std::string_view::npos);
    CHECK(std::ranges::find(seen, word) == seen.end());
    seen.push_back(word);
  }
}

}  // namespace
}  // namespace penstock
