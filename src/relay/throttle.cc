#include "penstock/relay/throttle.h"

#include <algorithm>
#include <cassert>

namespace penstock {
namespace {

// The last multiple of `step` that is not after `time`.
TimePoint Floor(TimePoint time, std::chrono::milliseconds step) { return time - time.time_since_epoch() % step; }

}  // namespace

// --- One session ---------------------------------------------------------------------------------------------------

Throttle::Throttle(Handle handle, Cookie cookie, const Rates& rates, UserBuckets* user, TimePoint now)
    : self_(handle), deadline_(cookie), rates_(rates), user_(user) {
  for (const Way way : kWays) lanes_.of(way).paid_until = now;
}

Throttle::~Throttle() {
  for (const Way way : kWays) LeaveQueue(way, 0);
}

Allowance Throttle::Allow(const EachWay<bool>& wants, TimePoint now) {
  Allowance allowed{0, 0};
  for (const Way way : kWays) {
    if (wants.of(way)) allowed.of(way) = AllowRelay(way, now);
  }
  CheckInvariants();
  return allowed;
}

// Saved time is for who has waited for it, not for the first to come after a rest, which would get all of it.
std::size_t Throttle::AllowRelay(Way way, TimePoint now) {
  const bool rested = now - lanes_.of(way).turn >= 2 * kThrottleCredit;
  return Ask(way, now, rested ? now : now - kThrottleCredit);
}

std::size_t Throttle::Ask(Way way, TimePoint now, TimePoint earliest) {
  Lane& lane = lanes_.of(way);
  if (rates_.session.limited() && lane.paid_until > now) return 0;
  const std::size_t own = rates_.session.limited() ? rates_.session.QuantumIn(kThrottleQuantum) : kNoLimit;
  if (!queues()) return own;
  if (lane.quantum == 0) {
    lane.quantum = std::min(own, rates_.user.QuantumIn(kThrottleUserQuantum));
    lane.cost = rates_.user.TimeFor(lane.quantum);
    lane.turn = bucket(way).Take(lane.cost, earliest);
  }
  return lane.turn <= now ? std::min(own, lane.quantum) : 0;
}

bool Throttle::Settle(const EachWay<std::size_t>& taken, const EachWay<bool>& unfinished, ThrottleTicks& ticks,
                      TimePoint now) {
  TimePoint due = TimePoint::max();
  for (const Way way : kWays) {
    const bool had_its_turn = lanes_.of(way).turn <= now;
    assert(taken.of(way) == 0 || had_its_turn);
    assert(!queues() || taken.of(way) <= lanes_.of(way).quantum);
    assert(!rates_.session.limited() || taken.of(way) <= rates_.session.QuantumIn(kThrottleQuantum));
    Pay(way, taken.of(way), now);
    if (had_its_turn) LeaveQueue(way, taken.of(way));
    if (!unfinished.of(way)) continue;
    AllowRelay(way, now);  // queues
    due = std::min(due, Due(way));
  }
  const bool waits = due > now && due != TimePoint::max();
  if (waits) ticks.Arm(deadline_, due, now);
  CheckInvariants();
  // Something will wake us: the deadline, or a turn at once for a way that wants more and has not to wait.
  assert(deadline_.armed() || due <= now || (!unfinished.up && !unfinished.down));
  return waits;
}

bool Throttle::Pass(Way way, std::size_t bytes, TimePoint now) {
  if (Ask(way, now, now - kThrottleCredit) == 0) return false;
  Pay(way, bytes, now);
  Lane& lane = lanes_.of(way);
  if (lane.quantum > bytes) {  // its turn goes on
    lane.quantum -= bytes;
    lane.cost -= rates_.user.TimeFor(bytes);
  } else {
    LeaveQueue(way, bytes);
  }
  CheckInvariants();
  return true;
}

TimePoint Throttle::Due(Way way) const {
  const Lane& lane = lanes_.of(way);
  TimePoint due{};
  if (rates_.session.limited()) due = lane.paid_until;
  if (lane.quantum != 0) due = std::max(due, lane.turn);
  return due;
}

void Throttle::SetRates(const Rates& rates) {
  if (rates == rates_) return;
  for (const Way way : kWays) LeaveQueue(way, 0);
  rates_ = rates;
  CheckInvariants();
}

void Throttle::Pay(Way way, std::size_t taken, TimePoint now) {
  if (!rates_.session.limited() || taken == 0) return;
  TimePoint& paid_until = lanes_.of(way).paid_until;
  paid_until = std::max(paid_until, now - kThrottleCredit) + rates_.session.TimeFor(taken);
  assert(paid_until > now - kThrottleCredit);
}

// The quantum was paid when it was queued for; here the user gets back what was not used of it.
void Throttle::LeaveQueue(Way way, std::size_t used) {
  Lane& lane = lanes_.of(way);
  if (lane.quantum == 0) return;
  bucket(way).GiveBack(used == 0 ? lane.cost : lane.cost - rates_.user.TimeFor(used));
  lane.quantum = 0;
}

void Throttle::CheckInvariants() const {
  for (const Way way : kWays) {
    [[maybe_unused]] const Lane& lane = lanes_.of(way);
    assert(lane.quantum == 0 || queues());
    assert(lane.quantum == 0 || !rates_.session.limited() ||
           lane.quantum <= rates_.session.QuantumIn(kThrottleQuantum));
  }
}

// --- Ticks ---------------------------------------------------------------------------------------------------------

void ThrottleTicks::Arm(Deadline& deadline, TimePoint due, TimePoint now) {
  DeadlineQueue& queue = due - now < slow.duration() / 2 ? fast : slow;
  queue.Arm(deadline, Floor(now, queue.duration()));
}

}  // namespace penstock
