#include "penstock/base/counters.h"

#include <thread>

#include <doctest/doctest.h>

namespace penstock {
namespace {

TEST_CASE("counters: a count starts at zero and adds up") {
  Counter counter;
  CHECK(counter.value() == 0);
  counter.Add();
  counter.Add(41);
  CHECK(counter.value() == 42);
}

TEST_CASE("counters: another thread may read while the owner counts, and never sees a count go down") {
  Counters counters;
  std::thread owner([&] {
    for (int i = 0; i < 1000; ++i) counters.accepted.Add();
  });
  std::uint64_t seen = 0;
  bool went_down = false;
  while (seen < 1000) {
    const std::uint64_t now = counters.accepted.value();
    went_down |= now < seen;
    seen = now;
  }
  owner.join();
  CHECK_FALSE(went_down);
}

}  // namespace
}  // namespace penstock
