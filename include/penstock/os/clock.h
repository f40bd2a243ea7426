// The monotonic time, read once per turn of the event loop, and the time of day, also as the host's calendar has it.
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

// A time in the time zone of the host: that of TZ, or else its local time (tzset(3)).
struct LocalTime {
  int year = 1970;
  int month = 1;    // from 1
  int day = 1;      // from 1
  int weekday = 0;  // 0: Monday
  int minute = 0;   // of the day
};

// The local time at `since_1970` (localtime_r(3)), and the first second of a local day (mktime(3)), whose month and day
// may be beyond the end of the year and of the month. Any thread.
LocalTime LocalTimeAt(std::chrono::seconds since_1970);
std::chrono::seconds StartOfDay(int year, int month, int day);

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
