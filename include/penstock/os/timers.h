// Deadlines, in constant time.
// A queue is owned by a worker or by a part of one; its own thread only. A Deadline is a member of whatever it is for,
// and leaves its queue when it dies.
// Invariant: all deadlines of a queue have the same duration, so the order of arming is the order of expiry: a list
// does what others need a heap for.
// Deliberately not here: what happens at a deadline. It yields a cookie, as an event does.
#pragma once

#include <chrono>
#include <optional>

#include "penstock/os/clock.h"
#include "penstock/os/poller.h"

namespace penstock {

class DeadlineQueue;

class Deadline {
 public:
  explicit Deadline(Cookie cookie) : cookie_(cookie) {}
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

  // Sets `deadline` to `duration` from now, whatever queue it was in. `now` never goes back between calls.
  void Arm(Deadline& deadline, TimePoint now);

  // Takes the next deadline that is due out of the queue; nothing when none is.
  std::optional<Cookie> Expire(TimePoint now);

  // When Expire will next have something.
  std::optional<TimePoint> next() const;

  std::chrono::milliseconds duration() const { return duration_; }

 private:
  const std::chrono::milliseconds duration_;
  Deadline ring_{Cookie{}};  // the list is a ring through this one: next_ is the earliest
};

}  // namespace penstock
