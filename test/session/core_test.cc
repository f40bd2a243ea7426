#include "penstock/session/core.h"

#include <algorithm>
#include <string>
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
        End::kClientLeft, End::kHandshakeExpired, End::kIdle, End::kStopped, End::kForbidden, End::kKilled,
        End::kOverLimit, End::kQuota, End::kExpired, End::kHours, End::kMaxClients, End::kExhausted}) {
    const std::string_view word = Describe(end);
    CHECK_FALSE(word.empty());
    CHECK(word.find(' ') == std::string_view::npos);
    CHECK(std::ranges::find(seen, word) == seen.end());
    seen.push_back(word);
  }
}

TEST_CASE("session core: the labels of metrics are the words of the log and of lists") {
  Counters counters;
  std::vector<std::string> ends;
  ForEach(counters, [&](const SeriesName& name, const Counter&) {
    if (name.name == "sessions_ended_total") ends.emplace_back(name.labels);
  });
  REQUIRE(ends.size() == counters.ended.size());
  for (std::size_t i = 0; i < ends.size(); ++i) {
    CHECK(ends[i] == "reason=\"" + std::string(Describe(static_cast<SessionEnd>(i + 1))) + '"');
  }

  Gauges gauges;
  std::vector<std::string> states;
  ForEach(gauges, [&](const SeriesName& name, const Gauge&) {
    if (name.name == "sessions") states.emplace_back(name.labels);
  });
  REQUIRE(states.size() == gauges.sessions.size());
  for (std::size_t i = 0; i < states.size(); ++i) {
    CHECK(states[i] == "state=\"" + std::string(Describe(static_cast<SessionState>(i))) + '"');
  }
}

}  // namespace
}  // namespace penstock
