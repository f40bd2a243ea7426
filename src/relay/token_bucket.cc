#include "penstock/relay/token_bucket.h"

namespace penstock {
namespace {

using std::chrono::nanoseconds;

std::int64_t Count(TimePoint time) { return nanoseconds(time.time_since_epoch()).count(); }

}  // namespace

// Relaxed: no other memory depends on the number.
TimePoint TokenBucket::Take(nanoseconds cost, TimePoint earliest) {
  std::int64_t end = paid_until_.load(std::memory_order_relaxed);
  std::int64_t turn = 0;
  do {
    turn = std::max(end, Count(earliest));
  } while (!paid_until_.compare_exchange_weak(end, turn + cost.count(), std::memory_order_relaxed));
  return TimePoint(nanoseconds(turn));
}

void TokenBucket::GiveBack(nanoseconds unused) { paid_until_.fetch_sub(unused.count(), std::memory_order_relaxed); }

TimePoint TokenBucket::PaidUntil() const { return TimePoint(nanoseconds(paid_until_.load(std::memory_order_relaxed))); }

}  // namespace penstock
