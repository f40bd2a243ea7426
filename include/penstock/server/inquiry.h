// A question to a worker and its answer, and the desk at which both change hands.
// An Inquiry is owned by one side at a time. A desk belongs to a worker and outlives its thread. One asker (surveyor.h)
// and the worker use it; each function says which.
// Invariants:
//   - A desk is two places for a pointer: `posted_`, from the asker to the worker, and `answered_`, back. Whoever takes
//     the pointer out by an exchange owns the inquiry alone, so neither side locks and none frees what the other uses.
//     The exchange is a release for whoever put it there and an acquire for whoever takes it: all that one has written
//     to the inquiry is visible to the other.
//   - An asker that waits no longer leaves the inquiry behind. It is freed by the next exchange that finds it, or with
//     the desk; its number tells the asker that it is too old.
//   - After Close the worker's thread touches neither the desk nor its own sessions, counters and gauges any more. An
//     asker that sees closed() has acquired all that it wrote, and may answer in its place.
// Does not: wake the worker (Worker::Wake), wait for it (surveyor.h).
//
//   asker ── Post ──▶ posted_ ── Take ──▶ worker ── Return ──▶ answered_ ── Collect ──▶ asker
//                        └───── TakeBack ──────────────────────────────────────────────────┘
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "penstock/os/thread.h"
#include "penstock/server/recent_sessions.h"
#include "penstock/server/survey.h"
#include "penstock/server/top_targets.h"

namespace penstock {

struct Inquiry {
  enum class Kind : std::uint8_t {
    kTotals,    // fill `totals`
    kSessions,  // append a row for each session of the filter, up to `limit`
    kEnd,       // end the sessions of the filter, and count them
    kTargets,   // fill `targets`, with the sessions that are alive
    kRecent,    // append to `recent` the sessions that have ended, the newest first, up to `limit`
  };

  Kind kind = Kind::kTotals;
  std::uint64_t number = 0;                            // of the asker's inquiries
  std::uint32_t worker = 0;                            // its index, for the ids of rows
  std::uint32_t next_slot = 0;                         // to continue from; Handle::kNoSlot: done
  std::uint64_t next_ended = RecentSessions::kNewest;  // to continue before; RecentSessions::kDone: done
  SessionFilter filter;
  std::size_t limit = 0;

  Totals totals;
  std::vector<SessionRow> rows;
  std::vector<RecentSession> recent;
  std::optional<TopTargets> targets;  // from the asker, so that the worker allocates nothing
  std::size_t ended = 0;
  bool out_of_memory = false;  // the rest is missing
};

class InquiryDesk {
 public:
  // `news` counts an event for each answer and for Close. It must outlive the desk.
  explicit InquiryDesk(Semaphore& news) : news_(news) {}
  ~InquiryDesk();
  InquiryDesk(const InquiryDesk&) = delete;
  InquiryDesk& operator=(const InquiryDesk&) = delete;

  // The asker: puts a question on the desk, in place of an older one that the worker has not taken; takes the answer,
  // null if there is none; takes back a question that the worker has not taken, null if there is none.
  void Post(std::unique_ptr<Inquiry> inquiry);
  std::unique_ptr<Inquiry> Collect();
  std::unique_ptr<Inquiry> TakeBack();
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  // The worker: whether there is a question, one relaxed load; takes it; returns it answered; ends.
  bool waiting() const { return posted_.load(std::memory_order_relaxed) != nullptr; }
  std::unique_ptr<Inquiry> Take() { return TakeBack(); }
  void Return(std::unique_ptr<Inquiry> inquiry);
  void Close();

 private:
  Semaphore& news_;
  std::atomic<Inquiry*> posted_{nullptr};
  std::atomic<Inquiry*> answered_{nullptr};
  std::atomic<bool> closed_{false};
};

}  // namespace penstock
