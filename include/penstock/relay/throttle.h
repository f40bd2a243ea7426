// The bandwidth limit of one session, and its part of its user's quota: how many bytes it may take now, and when to ask
// again if it may take none.
// Owned by its worker's slab, lent to a session that has a limit; its worker's thread only. The buckets of its user are
// shared with the throttles of other workers, the lease of the quota with those of its worker; both outlive it.
// Invariants:
//   - In the long run no more bytes are taken than the rates allow: each turn is charged, as time, for what it took. A
//     session that wakes late may still use kThrottleCredit of the time that has passed, and no more.
//   - It holds a quantum of its user's bucket only while the user's rate is limited, and only until the quantum is
//     used, given back, or the throttle is destroyed.
//   - Both ways together take no more than the lease has. A session whose user has nothing left waits, until others
//     return some or the session is ended (Session::OnUserLimits).
// Does not: step the relay (its session does, session.h), hold bytes: what is not allowed is not read, and waits in its
// sender (flow.h).
//
// A turn of a relay is Allow, then Relay::Step, then Settle. The session's own bucket is one number, as in
// token_bucket.h: once its time has come it is open for a quantum (kThrottleQuantum), and then charged for what was
// taken.
#pragma once

#include <chrono>
#include <cstddef>

#include "penstock/base/slab.h"
#include "penstock/os/clock.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"
#include "penstock/relay/quota.h"
#include "penstock/relay/token_bucket.h"
#include "penstock/relay/way.h"

namespace penstock {

// The ticks at which throttled sessions ask again. All sessions that wait share them, so a worker wakes once for each
// tick, not once for each session.
class ThrottleTicks {
 public:
  // Arms `deadline` for the next fast tick if `due` is less than half a slow tick away, else for the next slow one.
  void Arm(Deadline& deadline, TimePoint due, TimePoint now);

  DeadlineQueue fast{kThrottleTick};
  DeadlineQueue slow{kThrottleTickSlow};
};

class Throttle {
 public:
  // `cookie` is what its deadline returns. `user` may be null; then `rates.user` is ignored. `lease` may be null: no
  // quota.
  Throttle(Handle handle, Cookie cookie, const Rates& rates, UserBuckets* user, QuotaLease* lease, TimePoint now);
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;
  ~Throttle();  // gives back what is queued; the user's buckets must still exist

  // Before a turn: returns the maximum of bytes for each way; 0: none yet, or the way does not want any; kNoLimit: any
  // number. A way that `wants` some queues for a quantum of the user's bucket.
  Allowance Allow(const EachWay<bool>& wants, TimePoint now);

  // After the turn, with the same `now`: charges what was `taken`, at most what Allow returned, and gives back the rest
  // of each quantum whose turn has come. A way that is `unfinished` queues for its next quantum. True if there are
  // unfinished ways and all of them have to wait; then the deadline is armed.
  bool Settle(const EachWay<std::size_t>& taken, const EachWay<bool>& unfinished, ThrottleTicks& ticks, TimePoint now);

  // For a datagram, which can neither be cut nor wait: charges all its bytes and returns true, or returns false: drop
  // it. Datagrams come in bursts, so they may use the credit even after a rest.
  bool Pass(Way way, std::size_t bytes, TimePoint now);

  // False if the quota is why Pass has returned false.
  bool QuotaHolds(std::size_t bytes) const { return lease_ == nullptr || lease_->Available(bytes) >= bytes; }

  // The time from which `way` may take bytes; not later than now if it may at once. Public for tests.
  TimePoint Due(Way way) const;

  // Changes the limits, between two turns. A queued quantum is given back.
  void SetRates(const Rates& rates);

  // Bytes that were taken before the first turn count towards the quota.
  void ChargeQuota(std::size_t bytes) {
    if (lease_ != nullptr) lease_->Charge(bytes);
  }

  Handle self() const { return self_; }
  Deadline& deadline() { return deadline_; }

 private:
  struct State {
    TimePoint paid_until;              // the session's own bucket
    TimePoint turn;                    // of its quantum in the queue of the user's bucket, or of its last one
    std::chrono::nanoseconds cost{0};  // of that quantum
    std::size_t quantum = 0;           // in bytes; 0: it is not in the queue
  };

  TokenBucket& bucket(Way way) const { return user_->of(way); }
  bool queues() const { return user_ != nullptr && rates_.user.limited(); }
  std::size_t AllowRelay(Way way, TimePoint now);
  std::size_t AllowFrom(Way way, TimePoint now, TimePoint earliest);
  void Charge(Way way, std::size_t taken, TimePoint now);
  void LeaveQueue(Way way, std::size_t used);
  void CutToLease(Allowance& allowed);
  void CheckInvariants() const;

  Handle self_;
  Deadline deadline_;
  Rates rates_;
  UserBuckets* user_;
  QuotaLease* lease_;
  EachWay<State> state_;
};

}  // namespace penstock
