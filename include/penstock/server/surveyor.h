// Asks the workers of a server, and waits for their answers for at most a second.
// Owned by the server. Any thread but a worker's; one asks at a time, the others wait for it.
// Invariants:
//   - A call returns within kAnswerTimeout and a turn of each worker that has ended, whatever the workers do.
//   - The totals of a worker never go down: if it does not answer in time, its last answer is used.
// Does not: fill in answers (worker.h), keep the workers alive: it must not be called while they are destroyed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "penstock/os/clock.h"
#include "penstock/os/thread.h"
#include "penstock/server/inquiry.h"
#include "penstock/server/survey.h"

namespace penstock {

class Worker;

class Surveyor {
 public:
  using Workers = std::span<const std::unique_ptr<Worker>>;

  // `listeners` is their number for each worker.
  explicit Surveyor(std::size_t listeners) : listeners_(listeners) {}
  Surveyor(const Surveyor&) = delete;
  Surveyor& operator=(const Surveyor&) = delete;

  // Where the desks of workers report their answers.
  Semaphore& news() { return news_; }

  // The totals of each worker, in their order, and their sum.
  std::vector<Totals> SurveyEach(Workers workers);
  Totals Survey(Workers workers);

  // The sessions of `filter` after `after`, in order: by worker and slot. At most `limit` of them, at least 1.
  SessionList List(Workers workers, const SessionFilter& filter, std::size_t limit, std::optional<SessionId> after);

  // The sessions that have ended, the newest first: at most `limit`, at least 1, and at most kRecentSessions. None if
  // the workers keep none.
  RecentList Recent(Workers workers, std::size_t limit);

  // The targets with most bytes, at most `limit`. None if the workers count none.
  TargetList Targets(Workers workers, std::size_t limit);

  // Ends the sessions of `filter`, with a reset of both sides.
  SessionsEnded End(Workers workers, const SessionFilter& filter);

 private:
  template <class Fill, class Take>
  void AskAll(Workers workers, Fill ask, Take take);
  std::uint64_t Post(Worker& worker, std::unique_ptr<Inquiry> inquiry);
  std::unique_ptr<Inquiry> Await(Worker& worker, std::uint64_t number, TimePoint deadline);

  const std::size_t listeners_;
  Semaphore news_;
  std::mutex asking_;         // guards the rest
  std::uint64_t number_ = 0;  // of the last inquiry
  std::vector<Totals> last_;  // of each worker
};

}  // namespace penstock
