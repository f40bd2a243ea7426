// Bandwidth limits: who may take how many bytes now, and when somebody who may not should ask again.
// A Throttle is lent by a worker to a session that has a limit, its worker's thread only; a UserBuckets is shared by
// the throttles of one user on all workers, and outlives them.
// Invariant: in the long run no more bytes are taken than the rate allows, whoever wakes late: what a turn took is paid
// for as time, and a late turn finds time saved up, kThrottleCredit of it at most.
// Deliberately not here: moving bytes, and copying them: nothing is read beyond what may be taken, so what is held back
// waits in its sender (flow.h).
//
// A bucket is one number, the time up to which it is paid (the "theoretical arrival time" of the GCRA):
//
//                     kThrottleCredit                     n bytes
//        ──────────────┬─────────────┬────────────────────────▶ time
//                 never less        now: open while paid up to here
//
// A session's own bucket is open when that time has come, for a piece of kThrottlePiece; then it is paid for what was
// really taken.
//
// If all sessions of a user looked at one such bucket, the one that looks first would get all. So they stand in line: a
// session that wants bytes takes a place, which moves the user's time on by a piece (kThrottleUserPiece), and has its
// turn when the time at its place has come; what it did not use then goes back to the user. Everybody gets a piece a
// round, and nobody can overtake; the line is one atomic number.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "penstock/base/limits.h"
#include "penstock/base/slab.h"
#include "penstock/os/clock.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"
#include "penstock/relay/flow.h"
#include "penstock/relay/relay.h"

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

  // What comes in `time`, at most a second, but no less than is worth a turn and no more than fits one.
  constexpr std::size_t PieceIn(std::chrono::nanoseconds time) const {
    const std::uint64_t milliseconds = static_cast<std::uint64_t>(time.count()) / 1'000'000;
    return std::clamp<std::uint64_t>(bytes_per_second_ * milliseconds / 1'000, kThrottlePieceBytesMin, kTurnBytes);
  }

  constexpr bool operator==(const Rate&) const = default;

 private:
  static constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

  std::uint64_t bytes_per_second_ = 0;
};

// One number for all sessions of a user, one way: the end of their line. Any thread.
class SharedBucket {
 public:
  // Takes a place of length `cost` at the end of the line, but not before `earliest`, and returns when its turn comes.
  TimePoint Take(std::chrono::nanoseconds cost, TimePoint earliest);

  // Gives back what was taken and not used; less than nothing takes more.
  void GiveBack(std::chrono::nanoseconds unused);

  // When the turn of who comes next would begin, if that is later than now.
  TimePoint PaidUntil() const;

 private:
  std::atomic<std::int64_t> paid_until_{0};  // nanoseconds of steady_clock
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

struct UserBuckets {
  SharedBucket up;
  SharedBucket down;
};

// Each way.
struct Rates {
  Rate session;
  Rate user;

  bool limited() const { return session.limited() || user.limited(); }
  bool operator==(const Rates&) const = default;
};

// When throttled sessions look again. All that wait look at the same moments, so that a worker wakes once for each, and
// not once for each session.
class ThrottleTicks {
 public:
  // Sets `deadline` to the next tick: of the fast ones when `due` is near.
  void Arm(Deadline& deadline, TimePoint due, TimePoint now);

  DeadlineQueue fast{kThrottleTick};
  DeadlineQueue slow{kThrottleTickSlow};
};

class Throttle {
 public:
  // `cookie` is what its deadline yields. `user` may be null, and then `rates.user` means nothing.
  Throttle(Handle handle, Cookie cookie, const Rates& rates, UserBuckets* user, TimePoint now);
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;
  ~Throttle();  // leaves the line; the user's buckets are still there

  // How many bytes may be taken now, by somebody who wants some: 0 is none yet, kNoLimit any number. Asking takes a
  // place in the user's line.
  std::size_t Allow(Way way, TimePoint now);

  // In the same turn: pays for what was taken, and gives up the place whose turn has come.
  void Settle(Way way, std::size_t taken, TimePoint now);

  // For a datagram, which can neither be cut nor wait: takes all of it and pays, or says no. Datagrams come in bursts,
  // so time is saved up for them even after a rest.
  bool Pass(Way way, std::size_t bytes, TimePoint now);

  // Gives a relay a turn within the limits. kUnfinished: it may go on at once; where it has to wait, its deadline is
  // set.
  Relay::Turn Step(Relay& relay, int client, int target, ThrottleTicks& ticks, const FlowTools& tools);

  // When it will be worth asking again: a time that has passed when it is at once.
  TimePoint Due(Way way) const;

  // Between two turns; a place in the line is given up.
  void SetRates(const Rates& rates);

  Handle self() const { return self_; }
  Deadline& deadline() { return deadline_; }

 private:
  struct Lane {
    TimePoint paid_until;               // the session's own bucket
    TimePoint turn;                     // when its place in the user's line comes, or its last one came
    std::chrono::nanoseconds place{0};  // how long that is
    std::size_t piece = 0;              // how many bytes; 0: it has none
  };

  Lane& lane(Way way) { return lanes_[static_cast<std::size_t>(way)]; }
  const Lane& lane(Way way) const { return lanes_[static_cast<std::size_t>(way)]; }
  SharedBucket& line(Way way) const { return way == Way::kUp ? user_->up : user_->down; }
  bool in_line() const { return user_ != nullptr && rates_.user.limited(); }
  std::size_t Ask(Way way, TimePoint now, TimePoint earliest);
  void Pay(Way way, std::size_t taken, TimePoint now);
  void LeaveLine(Way way, std::size_t used);

  Handle self_;
  Deadline deadline_;
  Rates rates_;
  UserBuckets* user_;
  std::array<Lane, 2> lanes_;
};

}  // namespace penstock
