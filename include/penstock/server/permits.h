// The number of sessions that may exist at a time, over all workers: permits, as of a counting semaphore.
// Permits is owned by the server; any thread. A PermitLease is owned by a worker; its own thread only.
// Invariant: no more permits are in use than there are. While a worker waits for one, no other worker keeps unused
// permits beyond the end of its turn, and the worker that has waited longest gets the next one.
// Does not: limit a single client (limiter.h), accept connections (worker.h).
//
// A lease takes and returns permits in batches, so a connection that begins or ends rarely writes to memory that other
// workers share.
//
//   Permits ── a batch ──▶ PermitLease ── one each ──▶ sessions
//      ▲                        │
//      └── a batch; all unused ones while a worker waits
#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <mutex>

#include "penstock/os/poller.h"

namespace penstock {

class PermitLease;

class Permits {
 public:
  explicit Permits(std::size_t count) : free_(count) {}
  Permits(const Permits&) = delete;
  Permits& operator=(const Permits&) = delete;

 private:
  friend class PermitLease;

  void GrantLocked();
  void WakeOthersLocked(const PermitLease& waiting) const;

  std::mutex mutex_;
  std::size_t free_;
  std::list<PermitLease*> leases_;
  std::list<PermitLease*> waiting_;  // the lease that has waited longest comes first
  std::atomic<bool> wanted_{false};  // true exactly when waiting_ is not empty
};

class PermitLease {
 public:
  // `wake` is raised when this lease has been granted a permit for which it waits (then call Collect), and when another
  // lease begins to wait (then call ReturnUnused). Takes and returns `batch` permits at a time, at least one.
  PermitLease(Permits& permits, const WakeUp& wake, std::size_t batch);
  ~PermitLease();  // all permits that Take gave have been returned
  PermitLease(const PermitLease&) = delete;
  PermitLease& operator=(const PermitLease&) = delete;

  // Takes a permit for one session. False if none is free. The lease must not be waiting().
  [[nodiscard]] bool Take();

  // After Take has returned false: queues for the next permit that becomes free.
  void Wait();

  // Returns the permit of a session that has ended or has not begun.
  void Return();

  // Takes the permit that has been granted, and ends the wait. Without effect if none has been granted.
  void Collect();

  // At the end of each turn: returns all unused permits if a lease waits.
  void ReturnUnused();

  bool waiting() const { return waiting_; }
  std::size_t unused() const { return unused_; }

 private:
  friend class Permits;

  Permits& permits_;
  const WakeUp& wake_;
  const std::size_t batch_;
  std::size_t unused_ = 0;
  bool waiting_ = false;
  bool granted_ = false;  // a permit; guarded by the mutex of Permits
};

}  // namespace penstock
