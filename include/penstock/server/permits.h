// How many sessions may live at a time, over all workers: permits, as those of a counting semaphore.
// Permits is owned by the server; any thread. A PermitLease is owned by a worker; its own thread only.
// Invariant: no more permits are out than there are. While a worker waits for one, no worker keeps permits that it does
// not use beyond its turn, and the worker that has waited longest gets the next one.
// Deliberately not here: who may come in (limiter.h), and accepting (worker.h).
//
// A lease takes and returns permits in batches: in the steady state a connection that comes or goes writes to no memory
// of other workers.
//
//   Permits ── a batch ──▶ PermitLease ── one each ──▶ sessions
//      ▲                        │
//      └── a batch; each one, while somebody waits
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
  std::list<PermitLease*> waiting_;  // the one that has waited longest comes first
  std::atomic<bool> wanted_{false};  // true exactly when somebody is in waiting_
};

class PermitLease {
 public:
  // `wake` is raised when a permit that this lease waits for has been granted: call Collect then; and when others wait:
  // ReturnUnused follows. Takes and returns `batch` permits at a time, one at least.
  PermitLease(Permits& permits, const WakeUp& wake, std::size_t batch);
  ~PermitLease();  // no session has a permit of this lease any more
  PermitLease(const PermitLease&) = delete;
  PermitLease& operator=(const PermitLease&) = delete;

  // A permit for one session, unless there is none. The lease is not waiting().
  [[nodiscard]] bool Take();

  // After Take has said no: queues for the next permit that becomes free.
  void Wait();

  // Of a session that has ended, or has not begun.
  void Return();

  // Takes what has been granted while it waited, and waits no longer.
  void Collect();

  // At the end of each turn: gives up what is not used when somebody waits.
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
