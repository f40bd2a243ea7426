#include "penstock/os/timers.h"

#include <cassert>

namespace penstock {

void Deadline::Disarm() {
  if (!armed()) return;
  previous_->next_ = next_;
  next_->previous_ = previous_;
  previous_ = next_ = nullptr;
}

DeadlineQueue::DeadlineQueue(std::chrono::milliseconds duration) : duration_(duration) {
  ring_.previous_ = ring_.next_ = &ring_;
}

DeadlineQueue::~DeadlineQueue() {
  while (ring_.next_ != &ring_) ring_.next_->Disarm();
}

void DeadlineQueue::Arm(Deadline& deadline, TimePoint now) {
  deadline.Disarm();
  deadline.due_ = now + duration_;
  deadline.previous_ = ring_.previous_;
  deadline.next_ = &ring_;
  ring_.previous_->next_ = &deadline;
  ring_.previous_ = &deadline;
  assert(deadline.previous_ == &ring_ || deadline.previous_->due_ <= deadline.due_);
}

std::optional<Cookie> DeadlineQueue::Expire(TimePoint now) {
  Deadline* const first = ring_.next_;
  if (first == &ring_ || first->due_ > now) return std::nullopt;
  first->Disarm();
  return first->cookie_;
}

std::optional<TimePoint> DeadlineQueue::next() const {
  if (ring_.next_ == &ring_) return std::nullopt;
  return ring_.next_->due_;
}

}  // namespace penstock
