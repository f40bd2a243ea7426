// The monotonic time, read once per turn of the event loop.
// A Clock belongs to a worker; its own thread only.
// Invariant: now() changes only in Read(), so all deadlines that are armed in one turn have the same base.
// Deliberately not here: the time of day, which only the log shows (log.h).
#pragma once

#include <chrono>

namespace penstock {

using TimePoint = std::chrono::steady_clock::time_point;

TimePoint SteadyNow();  // CLOCK_MONOTONIC, clock_gettime(2); any thread

class Clock {
 public:
  TimePoint now() const { return now_; }
  void Read() { now_ = SteadyNow(); }

  // Sets now(), for tests that do not wait.
  void Set(TimePoint now) { now_ = now; }

 private:
  TimePoint now_ = SteadyNow();
};

}  // namespace penstock
