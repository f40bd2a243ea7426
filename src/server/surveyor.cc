#include "penstock/server/surveyor.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <iterator>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/server/worker.h"

namespace penstock {

std::uint64_t Surveyor::Post(Worker& worker, std::unique_ptr<Inquiry> inquiry) {
  const std::uint64_t number = ++number_;
  inquiry->number = number;
  worker.desk().Post(std::move(inquiry));
  worker.Wake();
  return number;
}

// The answer to inquiry `number`; null if it does not come before `deadline`. An earlier one that comes now is dropped.
// If the worker has ended, this thread answers in its place (inquiry.h). A worker that ends puts what it has taken back
// on its desk before it closes it, so after closed() the inquiry is at one of the two places.
std::unique_ptr<Inquiry> Surveyor::Await(Worker& worker, std::uint64_t number, TimePoint deadline) {
  InquiryDesk& desk = worker.desk();
  for (;;) {
    const bool ended = desk.closed();
    if (auto answer = desk.Collect(); answer != nullptr && answer->number == number) return answer;
    if (ended) {
      auto own = desk.TakeBack();
      if (own == nullptr) return nullptr;
      while (!worker.Answer(*own)) {
      }
      return own;
    }
    const auto left = deadline - SteadyNow();
    if (left.count() <= 0) return nullptr;
    static_cast<void>(news_.WaitFor(left));
  }
}

Totals Surveyor::Survey(Workers workers) {
  Totals sum;
  sum.accepted.resize(listeners_);
  for (const Totals& of_worker : SurveyEach(workers)) sum.Add(of_worker);
  return sum;
}

// Asks all workers at once, so that they answer beside each other. `ask(inquiry, i)` fills the inquiry of worker i;
// false: that worker is not asked. `take(answer, i)` gets each answer, null if it did not come in time.
template <class Fill, class Take>
void Surveyor::AskAll(Workers workers, Fill ask, Take take) {
  const std::lock_guard lock(asking_);
  const TimePoint deadline = SteadyNow() + kAnswerTimeout;
  std::vector<std::uint64_t> numbers(workers.size());
  for (std::size_t i = 0; i < workers.size(); ++i) {
    auto inquiry = std::make_unique<Inquiry>();
    inquiry->worker = static_cast<std::uint32_t>(i);
    if (ask(*inquiry, i)) numbers[i] = Post(*workers[i], std::move(inquiry));
  }
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (numbers[i] != 0) take(Await(*workers[i], numbers[i], deadline), i);
  }
}

std::vector<Totals> Surveyor::SurveyEach(Workers workers) {
  Totals none;
  none.accepted.resize(listeners_);
  std::vector<Totals> each(workers.size());
  AskAll(
      workers,
      [&](Inquiry& inquiry, std::size_t) {
        inquiry.totals = none;
        return true;
      },
      [&](std::unique_ptr<Inquiry> answer, std::size_t i) {
        last_.resize(workers.size(), none);
        if (answer != nullptr) last_[i] = std::move(answer->totals);
        last_[i].workers_missing = answer == nullptr ? 1 : 0;
        each[i] = last_[i];
      });
  return each;
}

// One worker after the other, so that no more than `limit` rows exist.
SessionList Surveyor::List(Workers workers, const SessionFilter& filter, std::size_t limit,
                           std::optional<SessionId> after) {
  assert(limit > 0);
  const std::lock_guard lock(asking_);
  const TimePoint deadline = SteadyNow() + kAnswerTimeout;
  SessionList list;
  for (std::size_t i = after ? after->worker : 0; i < workers.size(); ++i) {
    if (filter.id && filter.id->worker != i) continue;
    auto inquiry = std::make_unique<Inquiry>();
    inquiry->kind = Inquiry::Kind::kSessions;
    inquiry->worker = static_cast<std::uint32_t>(i);
    inquiry->filter = filter;
    inquiry->limit = limit - list.rows.size();
    if (after && after->worker == i) inquiry->next_slot = after->handle.slot + 1;
    if (filter.id) inquiry->next_slot = std::max(inquiry->next_slot, filter.id->handle.slot);
    const auto answer = Await(*workers[i], Post(*workers[i], std::move(inquiry)), deadline);
    if (answer == nullptr || answer->out_of_memory) list.complete = false;
    if (answer == nullptr) continue;
    if (list.rows.empty()) {
      list.rows = std::move(answer->rows);
    } else {
      std::ranges::move(answer->rows, std::back_inserter(list.rows));
    }
    if (list.rows.size() < limit) continue;
    list.next = list.rows.back().id;
    break;
  }
  return list;
}

RecentList Surveyor::Recent(Workers workers, std::size_t limit) {
  assert(limit > 0);
  limit = std::min(limit, kRecentSessions);
  RecentList list;
  AskAll(
      workers,
      [&](Inquiry& inquiry, std::size_t) {
        inquiry.kind = Inquiry::Kind::kRecent;
        inquiry.limit = limit;
        return true;
      },
      [&](std::unique_ptr<Inquiry> answer, std::size_t) {
        if (answer == nullptr || answer->out_of_memory) list.complete = false;
        if (answer == nullptr) return;
        std::ranges::move(answer->recent, std::back_inserter(list.sessions));
        // Both parts are in order, so each worker costs one merge, and no more than two lists exist.
        const auto part = static_cast<std::ptrdiff_t>(answer->recent.size());
        std::ranges::inplace_merge(list.sessions, list.sessions.end() - part, std::greater(), &RecentSession::ended);
        if (list.sessions.size() > limit) list.sessions.resize(limit);
      });
  return list;
}

TargetList Surveyor::Targets(Workers workers, std::size_t limit) {
  TargetList list;
  std::vector<TopTargets> parts;
  AskAll(
      workers,
      [](Inquiry& inquiry, std::size_t) {
        inquiry.kind = Inquiry::Kind::kTargets;
        inquiry.targets.emplace(kTargetsCounted, DigestKey());
        return true;
      },
      [&](std::unique_ptr<Inquiry> answer, std::size_t) {
        if (answer == nullptr) list.complete = false;
        if (answer != nullptr) parts.push_back(*std::move(answer->targets));
      });
  list.rows = Merge(parts, limit);
  return list;
}

SessionsEnded Surveyor::End(Workers workers, const SessionFilter& filter) {
  SessionsEnded ended;
  AskAll(
      workers,
      [&](Inquiry& inquiry, std::size_t i) {
        inquiry.kind = Inquiry::Kind::kEnd;
        inquiry.filter = filter;
        return !filter.id || filter.id->worker == i;
      },
      [&](std::unique_ptr<Inquiry> answer, std::size_t) {
        if (answer == nullptr) ended.complete = false;
        if (answer != nullptr) ended.count += answer->ended;
      });
  return ended;
}

}  // namespace penstock
