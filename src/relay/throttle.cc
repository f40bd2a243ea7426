#include "penstock/relay/throttle.h"

#include <algorithm>
#include <cassert>

namespace penstock {
namespace {

// The last multiple of `step` that is not after `time`.
TimePoint Floor(TimePoint time, std::chrono::milliseconds step) { return time - time.time_since_epoch() % step; }

}  // namespace

// --- One session ---------------------------------------------------------------------------------------------------

Throttle::Throttle(Handle handle, Cookie cookie, const Rates& rates, UserBuckets* user, QuotaLease* lease,
                   TimePoint now)
    : self_(handle), deadline_(cookie), rates_(rates), user_(user), lease_(lease) {
  for (const Way way : kWays) state_.of(way).paid_until = now;
}

Throttle::~Throttle() {
  for (const Way way : kWays) LeaveQueue(way, 0);
}

Allowance Throttle::Allow(const EachWay<bool>& wants, TimePoint now) {
  Allowance allowed{0, 0};
  for (const Way way : kWays) {
    if (wants.of(way)) allowed.of(way) = AllowRelay(way, now);
  }
  if (lease_ != nullptr && (allowed.up != 0 || allowed.down != 0)) CutToLease(allowed);
  CheckInvariants();
  return allowed;
}

// Both ways together get no more than the lease has; if both want some, each about half of it.
void Throttle::CutToLease(Allowance& allowed) {
  const std::size_t left = lease_->Available();
  allowed.up = std::min(allowed.up, allowed.down != 0 ? left - left / 2 : left);
  allowed.down = std::min(allowed.down, left - allowed.up);
}

// The credit is for a session that wakes late for its turn. After a rest the first session to ask would get all of it,
// so there is none.
std::size_t Throttle::AllowRelay(Way way, TimePoint now) {
  const bool rested = now - state_.of(way).turn >= 2 * kThrottleCredit;
  return AllowFrom(way, now, rested ? now : now - kThrottleCredit);
}

std::size_t Throttle::AllowFrom(Way way, TimePoint now, TimePoint earliest) {
  State& state = state_.of(way);
  if (rates_.session.limited() && state.paid_until > now) return 0;
  const std::size_t own = rates_.session.limited() ? rates_.session.QuantumIn(kThrottleQuantum) : kNoLimit;
  if (!queues()) return own;
  if (state.quantum == 0) {
    state.quantum = std::min(own, rates_.user.QuantumIn(kThrottleUserQuantum));
    state.cost = rates_.user.TimeFor(state.quantum);
    state.turn = bucket(way).Take(state.cost, earliest);
  }
  return state.turn <= now ? std::min(own, state.quantum) : 0;
}

bool Throttle::Settle(const EachWay<std::size_t>& taken, const EachWay<bool>& unfinished, ThrottleTicks& ticks,
                      TimePoint now) {
  TimePoint due = TimePoint::max();
  for (const Way way : kWays) {
    const bool had_its_turn = state_.of(way).turn <= now;
    assert(taken.of(way) == 0 || had_its_turn);
    assert(!queues() || taken.of(way) <= state_.of(way).quantum);
    assert(!rates_.session.limited() || taken.of(way) <= rates_.session.QuantumIn(kThrottleQuantum));
    Charge(way, taken.of(way), now);
    if (had_its_turn) LeaveQueue(way, taken.of(way));
    if (!unfinished.of(way)) continue;
    AllowRelay(way, now);  // queues for the next quantum
    due = std::min(due, Due(way));
  }
  if (lease_ != nullptr) {
    lease_->Charge(taken.up + taken.down);
    if (due != TimePoint::max() && lease_->Available() == 0) due = std::max(due, now + kThrottleTickSlow);
  }
  const bool waits = due > now && due != TimePoint::max();
  if (waits) ticks.Arm(deadline_, due, now);
  CheckInvariants();
  // Something will wake us: the deadline, or another turn at once for an unfinished way that need not wait.
  assert(deadline_.armed() || due <= now || (!unfinished.up && !unfinished.down));
  return waits;
}

bool Throttle::Pass(Way way, std::size_t bytes, TimePoint now) {
  if (!QuotaHolds(bytes)) return false;
  if (AllowFrom(way, now, now - kThrottleCredit) == 0) return false;
  ChargeQuota(bytes);
  Charge(way, bytes, now);
  State& state = state_.of(way);
  if (state.quantum > bytes) {  // its turn lasts
    state.quantum -= bytes;
    state.cost -= rates_.user.TimeFor(bytes);
  } else {
    LeaveQueue(way, bytes);
  }
  CheckInvariants();
  return true;
}

TimePoint Throttle::Due(Way way) const {
  const State& state = state_.of(way);
  TimePoint due{};
  if (rates_.session.limited()) due = state.paid_until;
  if (state.quantum != 0) due = std::max(due, state.turn);
  return due;
}

void Throttle::SetRates(const Rates& rates) {
  if (rates == rates_) return;
  for (const Way way : kWays) LeaveQueue(way, 0);
  rates_ = rates;
  CheckInvariants();
}

void Throttle::Charge(Way way, std::size_t taken, TimePoint now) {
  if (!rates_.session.limited() || taken == 0) return;
  TimePoint& paid_until = state_.of(way).paid_until;
  paid_until = std::max(paid_until, now - kThrottleCredit) + rates_.session.TimeFor(taken);
  assert(paid_until > now - kThrottleCredit);
}

// The quantum was charged when it was queued. Gives back what was not used of it.
void Throttle::LeaveQueue(Way way, std::size_t used) {
  State& state = state_.of(way);
  if (state.quantum == 0) return;
  bucket(way).GiveBack(used == 0 ? state.cost : state.cost - rates_.user.TimeFor(used));
  state.quantum = 0;
}

void Throttle::CheckInvariants() const {
  for (const Way way : kWays) {
    [[maybe_unused]] const State& state = state_.of(way);
    assert(state.quantum == 0 || queues());
    assert(state.quantum == 0 || !rates_.session.limited() ||
           state.quantum <= rates_.session.QuantumIn(kThrottleQuantum));
  }
}

// --- Ticks ---------------------------------------------------------------------------------------------------------

void ThrottleTicks::Arm(Deadline& deadline, TimePoint due, TimePoint now) {
  DeadlineQueue& queue = due - now < slow.duration() / 2 ? fast : slow;
  queue.Arm(deadline, Floor(now, queue.duration()));
}

}  // namespace penstock
