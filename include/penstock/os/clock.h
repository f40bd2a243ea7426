// The monotonic time, read once per turn of the event loop, and the time of day.
// A Clock belongs to a worker; its own thread only.
// Invariant: now() changes only in Read(), so all deadlines that are armed in one turn have the same base.
// Deliberately not here: the time of day as text, which the log writes (log.h).
#pragma once

#include <chrono>

namespace penstock {

using TimePoint = std::chrono::steady_clock::time_point;

TimePoint SteadyNow();  // CLOCK_MONOTONIC, clock_gettime(2); any thread

// The time since 1970, which an administrator can set back (CLOCK_REALTIME); any thread.
std::chrono::milliseconds TimeOfDay();

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
