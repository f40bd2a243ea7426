// Rates of bandwidth limits, and the token buckets that all sessions of one user share.
// Rates are plain values. Buckets are owned by the account of their user (limiter.h); any thread: each is one atomic
// number.
// Invariant: bytes that are taken from a bucket and not given back cost their time, whichever session took them. When
// two threads take at once, neither cost is lost.
// Does not: hold the bucket of a single session, decide when a session asks (throttle.h).
//
// A bucket is one number, the time until which it is paid (the "theoretical arrival time" of the GCRA, ITU-T I.371):
//
//   now - kThrottleCredit       now               paid_until_
//   ──────────┼──────────────────┼─────────────────────┼────────▶ time
//             │                  └ open if paid_until_ is not later
//             └ an earlier paid_until_ counts as this: unused time is lost, but for the credit
//
// Bytes cost the time that the rate takes for them. Each Take advances paid_until_ by its cost.
//
// If the sessions of a user only looked whether the bucket is open, the first to look would take everything. So they
// queue: a session takes a quantum at once, and its turn comes at the paid_until_ that it found. It gives back what it
// does not use. So each session has one quantum a round, and none overtakes another. paid_until_ is the whole queue.
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

// Bytes per second; 0: no limit.
class Rate {
 public:
  constexpr Rate() = default;
  constexpr explicit Rate(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  constexpr bool limited() const { return bytes_per_second_ != 0; }

  // The time that `bytes`, fewer than 2^34, take, rounded up. The rate must be limited().
  constexpr std::chrono::nanoseconds TimeFor(std::size_t bytes) const {
    return std::chrono::nanoseconds((bytes * kNanosecondsPerSecond + bytes_per_second_ - 1) / bytes_per_second_);
  }

  // The bytes that the rate brings in `time`, at most one second, but at least kThrottleQuantumBytesMin and at most
  // kTurnBytes.
  constexpr std::size_t QuantumIn(std::chrono::nanoseconds time) const {
    const std::uint64_t milliseconds = static_cast<std::uint64_t>(time.count()) / 1'000'000;
    return std::clamp<std::uint64_t>(bytes_per_second_ * milliseconds / 1'000, kThrottleQuantumBytesMin, kTurnBytes);
  }

  constexpr bool operator==(const Rate&) const = default;

 private:
  static constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

  std::uint64_t bytes_per_second_ = 0;
};

// The limits of a session. Each holds for both ways separately.
struct Rates {
  Rate session;
  Rate user;  // of all sessions of its user together

  bool limited() const { return session.limited() || user.limited(); }
  bool operator==(const Rates&) const = default;
};

// The bucket of one user, one way. Any thread.
class TokenBucket {
 public:
  // Queues for a quantum that costs `cost`. Returns the time of its turn, which is not before `earliest`.
  TimePoint Take(std::chrono::nanoseconds cost, TimePoint earliest);

  // Gives back the cost of what was taken and not used. A negative `unused` takes more.
  void GiveBack(std::chrono::nanoseconds unused);

  // The turn of the session that queues next, if that is later than now.
  TimePoint PaidUntil() const;

 private:
  std::atomic<std::int64_t> paid_until_{0};  // nanoseconds of steady_clock
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

using UserBuckets = EachWay<TokenBucket>;

}  // namespace penstock
