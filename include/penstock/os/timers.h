// Deadlines: armed, disarmed and expired in constant time.
// A queue belongs to a worker or to a part of one; its own thread only. A Deadline is a member of its object, and its
// destructor disarms it.
// Invariant: all deadlines of a queue have the same duration, so they expire in the order in which they were armed, and
// a list replaces a heap.
// Deliberately not here: what happens at a deadline. Expire returns a cookie, as Poller::At does.
#pragma once

#include <chrono>
#include <optional>

#include "penstock/os/clock.h"
#include "penstock/os/poller.h"

namespace penstock {

class DeadlineQueue;

class Deadline {
 public:
  explicit Deadline(Cookie cookie) : cookie_(cookie) {}  // what Expire returns for it
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { Disarm(); }

  void Disarm();
  bool armed() const { return next_ != nullptr; }
  TimePoint due() const { return due_; }  // meaningful while armed

 private:
  friend class DeadlineQueue;

  Deadline* previous_ = nullptr;
  Deadline* next_ = nullptr;
  TimePoint due_{};
  Cookie cookie_;
};

class DeadlineQueue {
 public:
  explicit DeadlineQueue(std::chrono::milliseconds duration);
  DeadlineQueue(const DeadlineQueue&) = delete;
  DeadlineQueue& operator=(const DeadlineQueue&) = delete;
  ~DeadlineQueue();

  // Arms `deadline` for `now` + duration(). If it is armed, in this queue or another, it is disarmed first. `now` must
  // not be earlier than in the call before.
  void Arm(Deadline& deadline, TimePoint now);

  // Disarms the earliest deadline that is due at `now` and returns its cookie; nothing if none is due.
  std::optional<Cookie> Expire(TimePoint now);

  // The time of the earliest deadline; nothing if none is armed.
  std::optional<TimePoint> next() const;

  std::chrono::milliseconds duration() const { return duration_; }

 private:
  const std::chrono::milliseconds duration_;
  Deadline ring_{Cookie{}};  // the list is a ring through this member; its next_ is the earliest
};

}  // namespace penstock
