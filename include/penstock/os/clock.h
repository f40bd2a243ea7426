// The time, read once per turn of a loop.
// A Clock is owned by a worker; its own thread only.
// Invariant: within one turn now() does not change, so deadlines set in one turn keep their order.
// Deliberately not here: the time of day, which only log lines show.
#pragma once

#include <chrono>

namespace penstock {

using TimePoint = std::chrono::steady_clock::time_point;

TimePoint SteadyNow();  // CLOCK_MONOTONIC, clock_gettime(2); any thread

class Clock {
 public:
  TimePoint now() const { return now_; }
  void Read() { now_ = SteadyNow(); }

  // A time of the caller's own, for tests that do not want to wait.
  void Set(TimePoint now) { now_ = now; }

 private:
  TimePoint now_ = SteadyNow();
};

}  // namespace penstock
