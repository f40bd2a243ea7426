#include "penstock/relay/throttle.h"

#include <cassert>

namespace penstock {
namespace {

using std::chrono::nanoseconds;

std::int64_t Count(TimePoint time) { return nanoseconds(time.time_since_epoch()).count(); }

// The last multiple of `step` that is not after `time`.
TimePoint Floor(TimePoint time, std::chrono::milliseconds step) { return time - time.time_since_epoch() % step; }

}  // namespace

// --- The user's line -----------------------------------------------------------------------------------------------

// Relaxed: the number says all there is to know.
TimePoint SharedBucket::Take(nanoseconds cost, TimePoint earliest) {
  std::int64_t end = paid_until_.load(std::memory_order_relaxed);
  std::int64_t turn = 0;
  do {
    turn = std::max(end, Count(earliest));
  } while (!paid_until_.compare_exchange_weak(end, turn + cost.count(), std::memory_order_relaxed));
  return TimePoint(nanoseconds(turn));
}

void SharedBucket::GiveBack(nanoseconds unused) { paid_until_.fetch_sub(unused.count(), std::memory_order_relaxed); }

TimePoint SharedBucket::PaidUntil() const {
  return TimePoint(nanoseconds(paid_until_.load(std::memory_order_relaxed)));
}

// --- One session ---------------------------------------------------------------------------------------------------

Throttle::Throttle(Handle handle, Cookie cookie, const Rates& rates, UserBuckets* user, TimePoint now)
    : self_(handle), deadline_(cookie), rates_(rates), user_(user) {
  for (Lane& each : lanes_) each.paid_until = now;
}

Throttle::~Throttle() {
  for (const Way way : kWays) LeaveLine(way, 0);
}

// Time is saved up for who has waited for it, not for who comes first after a rest: that one would have all of it.
std::size_t Throttle::Allow(Way way, TimePoint now) {
  const bool rested = now - lane(way).turn >= 2 * kThrottleCredit;
  return Ask(way, now, rested ? now : now - kThrottleCredit);
}

std::size_t Throttle::Ask(Way way, TimePoint now, TimePoint earliest) {
  Lane& mine = lane(way);
  if (rates_.session.limited() && mine.paid_until > now) return 0;
  const std::size_t own = rates_.session.limited() ? rates_.session.PieceIn(kThrottlePiece) : kNoLimit;
  if (!in_line()) return own;
  if (mine.piece == 0) {
    mine.piece = std::min(own, rates_.user.PieceIn(kThrottleUserPiece));
    mine.place = rates_.user.TimeFor(mine.piece);
    mine.turn = line(way).Take(mine.place, earliest);
  }
  return mine.turn <= now ? std::min(own, mine.piece) : 0;
}

void Throttle::Settle(Way way, std::size_t taken, TimePoint now) {
  Pay(way, taken, now);
  const bool had_its_turn = lane(way).turn <= now;
  assert(had_its_turn || taken == 0);
  if (had_its_turn) LeaveLine(way, taken);
}

bool Throttle::Pass(Way way, std::size_t bytes, TimePoint now) {
  if (Ask(way, now, now - kThrottleCredit) == 0) return false;
  Pay(way, bytes, now);
  Lane& mine = lane(way);
  if (mine.piece > bytes) {  // its turn goes on
    mine.piece -= bytes;
    mine.place -= rates_.user.TimeFor(bytes);
  } else {
    LeaveLine(way, bytes);
  }
  return true;
}

Relay::Turn Throttle::Step(Relay& relay, int client, int target, ThrottleTicks& ticks, const FlowTools& tools) {
  const TimePoint now = tools.clock.now();
  Relay::Allowance allowed{0, 0};
  for (const Way way : kWays) {
    if (relay.wants(way)) allowed.of(way) = Allow(way, now);
  }
  Relay::Allowance left = allowed;
  const Relay::Turn turn = relay.Step(client, target, left, tools);
  for (const Way way : kWays) Settle(way, allowed.of(way) - left.of(way), now);
  if (turn != Relay::Turn::kUnfinished) return turn;

  TimePoint due = TimePoint::max();
  for (const Way way : kWays) {
    if (!relay.unfinished(way)) continue;
    Allow(way, now);  // joins the line
    due = std::min(due, Due(way));
  }
  if (due <= now) return turn;
  ticks.Arm(deadline_, due, now);
  return Relay::Turn::kWaiting;
}

TimePoint Throttle::Due(Way way) const {
  const Lane& mine = lane(way);
  TimePoint due{};
  if (rates_.session.limited()) due = mine.paid_until;
  if (mine.piece != 0) due = std::max(due, mine.turn);
  return due;
}

void Throttle::SetRates(const Rates& rates) {
  if (rates == rates_) return;
  for (const Way way : kWays) LeaveLine(way, 0);
  rates_ = rates;
}

void Throttle::Pay(Way way, std::size_t taken, TimePoint now) {
  if (!rates_.session.limited() || taken == 0) return;
  TimePoint& paid_until = lane(way).paid_until;
  paid_until = std::max(paid_until, now - kThrottleCredit) + rates_.session.TimeFor(taken);
}

// The place was paid when it was taken; here the user gets back what was not used of it.
void Throttle::LeaveLine(Way way, std::size_t used) {
  Lane& mine = lane(way);
  if (mine.piece == 0) return;
  line(way).GiveBack(used == 0 ? mine.place : mine.place - rates_.user.TimeFor(used));
  mine.piece = 0;
}

// --- Ticks ---------------------------------------------------------------------------------------------------------

void ThrottleTicks::Arm(Deadline& deadline, TimePoint due, TimePoint now) {
  DeadlineQueue& queue = due - now < slow.duration() / 2 ? fast : slow;
  queue.Arm(deadline, Floor(now, queue.duration()));
}

}  // namespace penstock
