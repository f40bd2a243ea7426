#include "penstock/relay/quota.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "penstock/base/limits.h"

namespace penstock {

// A lease is a small part of what is left, so that what one worker leaves unused is not missed by the others.
std::int64_t QuotaPool::Lease(std::int64_t at_least) {
  std::int64_t left = left_.load(std::memory_order_relaxed);
  for (;;) {
    if (left <= 0) return 0;
    const std::int64_t part = std::clamp(left / 64, kQuotaLeaseBytesMin, kQuotaLeaseBytesMax);
    const std::int64_t taken = std::max(at_least, std::min(left, part));
    if (left_.compare_exchange_weak(left, left - taken, std::memory_order_relaxed)) return taken;
  }
}

void QuotaPool::Settle(std::int64_t unused, std::uint64_t used) {
  if (used != 0) used_.fetch_add(static_cast<std::int64_t>(used), std::memory_order_relaxed);
  if (unused != 0) left_.fetch_add(unused, std::memory_order_relaxed);
}

void QuotaPool::SetLimit(std::int64_t limit) {
  left_.fetch_add(limit - limit_.exchange(limit, std::memory_order_relaxed), std::memory_order_relaxed);
}

void QuotaPool::SetUsed(std::int64_t used) {
  assert(used >= 0 && used <= kUsedMax);
  const std::int64_t more = used - used_.load(std::memory_order_relaxed);
  used_.fetch_add(more, std::memory_order_relaxed);
  left_.fetch_sub(more, std::memory_order_relaxed);
}

std::size_t QuotaLease::Available(std::size_t at_least) {
  const auto wanted = static_cast<std::int64_t>(at_least);
  if (left_ < wanted) left_ += pool_.Lease(wanted - left_);
  if (left_ < wanted) {
    Settle();  // nothing is left but, perhaps, the rest of this lease
    left_ = pool_.Lease(wanted);
  }
  return static_cast<std::size_t>(std::max(left_, std::int64_t{0}));
}

void QuotaLease::Charge(std::size_t bytes) {
  left_ -= static_cast<std::int64_t>(bytes);
  used_ += bytes;
}

void QuotaLease::Settle() { pool_.Settle(std::exchange(left_, 0), std::exchange(used_, 0)); }

}  // namespace penstock
