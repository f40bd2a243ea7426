#include "penstock/session/core.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST_CASE("session core: every end has a word of its own") {
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

TEST_CASE("session core: idleness is looked for often enough to keep its deadline, and not more often") {
  Settings settings;
  const auto check_interval = [&](std::chrono::milliseconds half_close, std::chrono::milliseconds idle) {
    settings.half_close_timeout = half_close;
    settings.idle_timeout = idle;
    return SessionDeadlines(settings).relay_check.duration();
  };
  CHECK(check_interval(10min, 2h) == 30s);
  CHECK(check_interval(40s, 2h) == 10s);
  CHECK(check_interval(2h, 40s) == 10s);
  CHECK(check_interval(1ms, 1ms) == 10ms);
}

TEST_CASE("session core: the other deadlines are as the settings say") {
  Settings settings;
  settings.handshake_timeout = 123ms;
  settings.connect_timeout = 456ms;
  settings.bind_timeout = 789ms;
  const SessionDeadlines deadlines(settings);
  CHECK(deadlines.handshake.duration() == 123ms);
  CHECK(deadlines.connect.duration() == 456ms);
  CHECK(deadlines.bind.duration() == 789ms);
  CHECK(deadlines.attempt_delay.duration() == kAttemptDelay);
  CHECK(deadlines.linger.duration() == 123ms);  // a refused client has no longer than one that is heard
  CHECK(deadlines.reset_poll.duration() == kResetPollInterval);
  settings.handshake_timeout = 10min;
  CHECK(SessionDeadlines(settings).linger.duration() == kLingerMax);
}

TEST_CASE("session core: every queue of deadlines is among those that are looked at") {
  const SessionDeadlines deadlines{Settings()};
  for (const DeadlineQueue* queue :
       {&deadlines.handshake, &deadlines.connect, &deadlines.bind, &deadlines.attempt_delay, &deadlines.relay_check,
        &deadlines.linger, &deadlines.reset_poll}) {
    CHECK(std::ranges::find(deadlines.all, queue) != deadlines.all.end());
  }
}

}  // namespace
}  // namespace penstock
