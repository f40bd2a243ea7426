#include "penstock/server/permits.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace penstock {

// Grants free permits to the leases that wait, the longest waiting first.
void Permits::GrantLocked() {
  while (free_ > 0 && !waiting_.empty()) {
    PermitLease& first = *waiting_.front();
    waiting_.pop_front();
    --free_;
    first.granted_ = true;
    first.wake_.Raise();
  }
  wanted_.store(!waiting_.empty(), std::memory_order_relaxed);
}

// Makes all other workers call ReturnUnused: one may have unused permits.
void Permits::WakeOthersLocked(const PermitLease& waiting) const {
  for (const PermitLease* lease : leases_) {
    if (lease != &waiting) lease->wake_.Raise();
  }
}

PermitLease::PermitLease(Permits& permits, const WakeUp& wake, std::size_t batch)
    : permits_(permits), wake_(wake), batch_(batch) {
  assert(batch > 0);
  const std::lock_guard lock(permits_.mutex_);
  permits_.leases_.push_back(this);
}

PermitLease::~PermitLease() {
  const std::lock_guard lock(permits_.mutex_);
  permits_.leases_.remove(this);
  permits_.waiting_.remove(this);
  permits_.free_ += unused_ + (granted_ ? 1 : 0);
  permits_.GrantLocked();
}

bool PermitLease::Take() {
  assert(!waiting_);
  if (unused_ == 0) {
    const std::lock_guard lock(permits_.mutex_);
    unused_ = std::min(batch_, permits_.free_);  // 0 while a lease waits: GrantLocked leaves none
    permits_.free_ -= unused_;
  }
  if (unused_ == 0) return false;
  --unused_;
  return true;
}

void PermitLease::Wait() {
  assert(!waiting_ && unused_ == 0);
  const std::lock_guard lock(permits_.mutex_);
  waiting_ = true;
  permits_.waiting_.push_back(this);
  permits_.GrantLocked();  // one may have been returned since Take
  if (permits_.wanted_.load(std::memory_order_relaxed)) permits_.WakeOthersLocked(*this);
}

void PermitLease::Return() {
  if (++unused_ <= 2 * batch_) return;
  const std::lock_guard lock(permits_.mutex_);
  permits_.free_ += batch_;
  unused_ -= batch_;
  permits_.GrantLocked();
}

void PermitLease::Collect() {
  if (!waiting_) return;
  const std::lock_guard lock(permits_.mutex_);
  if (!std::exchange(granted_, false)) return;
  waiting_ = false;
  ++unused_;
}

void PermitLease::ReturnUnused() {
  // Relaxed: a lease that begins to wait after this load raises the wake-up, so there is another turn.
  if (unused_ == 0 || !permits_.wanted_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(permits_.mutex_);
  permits_.free_ += std::exchange(unused_, 0);
  permits_.GrantLocked();
}

}  // namespace penstock
