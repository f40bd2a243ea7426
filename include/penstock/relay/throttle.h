// A session's bandwidth limit: how many bytes it may take now, and when it should ask again if it may take none. A
// Throttle is lent by a worker to a session that has a limit; its worker's thread only. The buckets of its user are
// shared with the throttles of other workers, and outlive it. Invariant: in the long run no more bytes are taken than
// the rate allows, however late a session wakes: what a turn took is paid for as time, and a late turn finds
// kThrottleCredit of unused time at most. It holds a quantum of its user's bucket only while its user is limited, and
// only until it is used, given back, or the throttle is destroyed. Deliberately not here: the relay, which its session
// steps with what is allowed (session.h), and copying bytes: nothing is read beyond the allowance, so what is held
// back waits in its sender (flow.h).
//
// A turn of a relay is Allow, then Relay::Step, then Settle. A session's own bucket is a plain number like that of
// token_bucket.h: open when its time has come, for a quantum of kThrottleQuantum; then it is paid for what was taken.
#pragma once

#include <chrono>
#include <cstddef>

#include "penstock/base/slab.h"
#include "penstock/os/clock.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"
#include "penstock/relay/token_bucket.h"
#include "penstock/relay/way.h"

namespace penstock {

// When throttled sessions ask again. All that wait do so at the same ticks, so that a worker wakes once for each tick,
// and not once for each session.
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
  ~Throttle();  // leaves the queue; the user's buckets are still there

  // Before a turn: how many bytes it may take of each way that `wants` some: 0 is none yet, kNoLimit any number.
  // Queues for the user's bucket. A way that does not want any is allowed 0.
  Allowance Allow(const EachWay<bool>& wants, TimePoint now);

  // After that turn, with the same `now`: pays for what was `taken`, no more than was allowed, and gives back the rest
  // of a quantum whose turn has come. A way that is `unfinished` queues for the next one. True if every such way has to
  // wait: then the deadline is armed.
  bool Settle(const EachWay<std::size_t>& taken, const EachWay<bool>& unfinished, ThrottleTicks& ticks, TimePoint now);

  // For a datagram, which can neither be cut nor wait: takes all of it and pays, or returns false. Datagrams come in
  // bursts, so they may use saved time even after a rest.
  bool Pass(Way way, std::size_t bytes, TimePoint now);

  // When it will be worth asking again: a time that has passed if it is at once. Public for tests.
  TimePoint Due(Way way) const;

  // Between two turns; a queued quantum is given back.
  void SetRates(const Rates& rates);

  Handle self() const { return self_; }
  Deadline& deadline() { return deadline_; }

 private:
  struct Lane {
    TimePoint paid_until;              // the session's own bucket
    TimePoint turn;                    // when its quantum of the user's bucket may be used, or the last one could
    std::chrono::nanoseconds cost{0};  // of that quantum
    std::size_t quantum = 0;           // in bytes; 0: it is not in the queue
  };

  TokenBucket& bucket(Way way) const { return user_->of(way); }
  bool queues() const { return user_ != nullptr && rates_.user.limited(); }
  std::size_t AllowRelay(Way way, TimePoint now);
  std::size_t Ask(Way way, TimePoint now, TimePoint earliest);
  void Pay(Way way, std::size_t taken, TimePoint now);
  void LeaveQueue(Way way, std::size_t used);
  void CheckInvariants() const;

  Handle self_;
  Deadline deadline_;
  Rates rates_;
  UserBuckets* user_;
  EachWay<Lane> lanes_;
};

}  // namespace penstock
