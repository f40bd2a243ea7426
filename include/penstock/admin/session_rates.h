// How fast the sessions of lists move bytes, from what earlier lists have shown.
// Owned by the routes of the admin interface; its thread only.
// Invariants:
//   - The rate of a session is exact for a time between two lists that had it: at least kRateTimeMin, and at most
//     kRateTimeMax without a list. So a reader that asks each second sees the last second or two, and one that asks
//     each ten seconds sees ten.
//   - At most kRatesMax sessions are kept. Sessions themselves keep nothing for it, and workers do nothing.
// Does not: ask the workers (routes.h), read a clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "penstock/os/clock.h"
#include "penstock/server/survey.h"

namespace penstock {

class SessionRates {
 public:
  // The rate of the session of `row` in bytes per second, both directions together, which a list at `now` has. Nothing
  // if no list has had it at least kRateTimeMin before, or if there are too many sessions.
  std::optional<std::uint64_t> Update(const SessionRow& row, TimePoint now);

  // Forgets the sessions that no list since kRateTimeMax has had. Call it before a list.
  void Forget(TimePoint now);

  std::size_t size() const { return sessions_.size(); }

 private:
  struct Sample {
    std::uint64_t bytes = 0;
    std::chrono::nanoseconds age{0};
  };
  struct Known {
    std::uint32_t generation = 0;
    std::optional<Sample> before;  // at least kRateTimeMin before `last`
    Sample last;
    TimePoint listed;
  };

  std::unordered_map<std::uint64_t, Known> sessions_;  // by worker and slot
  TimePoint forgotten_{};
};

}  // namespace penstock
