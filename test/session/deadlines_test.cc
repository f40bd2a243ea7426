#include "penstock/session/deadlines.h"

#include <algorithm>
#include <chrono>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST_CASE("deadlines: the interval of idle checks is a quarter of the shortest timeout, within limits") {
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

TEST_CASE("deadlines: the other durations are those of the settings") {
  Settings settings;
  settings.handshake_timeout = 123ms;
  settings.connect_timeout = 456ms;
  settings.bind_timeout = 789ms;
  const SessionDeadlines deadlines(settings);
  CHECK(deadlines.handshake.duration() == 123ms);
  CHECK(deadlines.connect.duration() == 456ms);
  CHECK(deadlines.bind.duration() == 789ms);
  CHECK(deadlines.attempt_delay.duration() == kAttemptDelay);
  CHECK(deadlines.linger.duration() == 123ms);  // a refused client lingers no longer than the handshake timeout
  CHECK(deadlines.reset_poll.duration() == kResetPollInterval);
  settings.handshake_timeout = 10min;
  CHECK(SessionDeadlines(settings).linger.duration() == kLingerMax);
}

TEST_CASE("deadlines: `all` has every queue") {
  const SessionDeadlines deadlines{Settings()};
  for (const DeadlineQueue* queue :
       {&deadlines.handshake, &deadlines.connect, &deadlines.bind, &deadlines.attempt_delay, &deadlines.relay_check,
        &deadlines.udp_check, &deadlines.linger, &deadlines.reset_poll, &deadlines.reset_poll_slow,
        &deadlines.throttle.fast, &deadlines.throttle.slow}) {
    CHECK(std::ranges::find(deadlines.all, queue) != deadlines.all.end());
  }
}

}  // namespace
}  // namespace penstock
