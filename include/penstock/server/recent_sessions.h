// The last sessions of a worker that have ended.
// Owned by the worker; its thread only.
// Invariant: its memory is allocated once, so adding a session costs a move, and frees the strings of the oldest.
// Does not: merge those of all workers (surveyor.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "penstock/session/session.h"

namespace penstock {

class RecentSessions {
 public:
  static constexpr std::uint64_t kNewest = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint64_t kDone = 0;

  // Keeps `capacity` sessions, at least 1.
  explicit RecentSessions(std::size_t capacity) : ring_(capacity) {}

  void Add(EndedSession&& session) { ring_[added_++ % ring_.size()] = std::move(session); }

  // Calls `visit(const EndedSession&)` for at most `count` sessions, the newest first: from the one before `next` on,
  // or from the newest of all. Returns the `next` to continue with; kDone at the end. Sessions may be added in between.
  template <class Visit>
  std::uint64_t ForSome(std::uint64_t next, std::size_t count, Visit visit) const {
    const std::uint64_t oldest = added_ - std::min<std::uint64_t>(added_, ring_.size());
    next = std::min(next, added_);
    for (; count > 0 && next > oldest; --count) visit(ring_[--next % ring_.size()]);
    return next > oldest ? next : kDone;
  }

 private:
  std::vector<EndedSession> ring_;
  std::uint64_t added_ = 0;  // in all; number i is at i % ring_.size()
};

}  // namespace penstock
