// A bandwidth limit in numbers: a rate, and the token buckets that the sessions of one user share.
// Rates are plain values. The buckets of a user are owned by its account (limiter.h) and are one atomic number each;
// any thread.
// Invariant: what is taken from a bucket and not given back takes its time, whoever took it: nothing is free, and
// nothing is lost when two threads take at once.
// Deliberately not here: a session's own bucket, and when a session asks (throttle.h).
//
// A bucket is one number, the time up to which it is paid (the "theoretical arrival time" of the GCRA):
//
//                     kThrottleCredit                     n bytes
//        ──────────────┬─────────────┬────────────────────────▶ time
//                 never less        now: open while paid up to here
//
// If all sessions of a user looked at one such bucket, the first to look would take everything. So they queue: a
// session that wants bytes takes a quantum at once, which moves the number on by the quantum's time, and its turn
// comes when the number as it was before has passed. What it did not use goes back. Every session gets one quantum a
// round, and none can overtake. The queue has no other memory than the number.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/relay/way.h"

namespace penstock {

// Bytes per second; 0 is no limit.
class Rate {
 public:
  constexpr Rate() = default;
  constexpr explicit Rate(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  constexpr bool limited() const { return bytes_per_second_ != 0; }

  // How long `bytes`, fewer than 2^34, take; rounded up. The rate is limited.
  constexpr std::chrono::nanoseconds TimeFor(std::size_t bytes) const {
    return std::chrono::nanoseconds((bytes * kNanosecondsPerSecond + bytes_per_second_ - 1) / bytes_per_second_);
  }

  // The bytes of `time`, at most a second, but no fewer than are worth a turn and no more than fit one.
  constexpr std::size_t QuantumIn(std::chrono::nanoseconds time) const {
    const std::uint64_t milliseconds = static_cast<std::uint64_t>(time.count()) / 1'000'000;
    return std::clamp<std::uint64_t>(bytes_per_second_ * milliseconds / 1'000, kThrottleQuantumBytesMin, kTurnBytes);
  }

  constexpr bool operator==(const Rate&) const = default;

 private:
  static constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

  std::uint64_t bytes_per_second_ = 0;
};

// Each way.
struct Rates {
  Rate session;
  Rate user;

  bool limited() const { return session.limited() || user.limited(); }
  bool operator==(const Rates&) const = default;
};

// One number for all sessions of a user, one way: the end of their queue. Any thread.
class TokenBucket {
 public:
  // Queues for a quantum that takes `cost`, and returns when its turn comes: never before `earliest`.
  TimePoint Take(std::chrono::nanoseconds cost, TimePoint earliest);

  // Gives back what was taken and not used. A negative `unused` takes more.
  void GiveBack(std::chrono::nanoseconds unused);

  // The turn of the next session to queue, if it is later than now.
  TimePoint PaidUntil() const;

 private:
  std::atomic<std::int64_t> paid_until_{0};  // nanoseconds of steady_clock
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

using UserBuckets = EachWay<TokenBucket>;

}  // namespace penstock
