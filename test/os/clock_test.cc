#include "penstock/os/clock.h"

#include <doctest/doctest.h>

namespace penstock {
namespace {

TEST_CASE("clock: now() changes only when the clock is read") {
  Clock clock;
  const TimePoint before = clock.now();
  while (std::chrono::steady_clock::now() == before) {
  }
  CHECK(clock.now() == before);
  clock.Read();
  CHECK(clock.now() > before);
}

}  // namespace
}  // namespace penstock
