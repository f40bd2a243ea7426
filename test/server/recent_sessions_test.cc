#include "penstock/server/recent_sessions.h"

#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

// The ports of the sessions that one call visits, and the next one continues before.
std::vector<std::uint16_t> Visit(const RecentSessions& sessions, std::uint64_t& next, std::size_t count) {
  std::vector<std::uint16_t> ports;
  next = sessions.ForSome(next, count, [&](const EndedSession& session) { ports.push_back(session.port); });
  return ports;
}

void Add(RecentSessions& sessions, std::uint16_t port) {
  EndedSession session;
  session.port = port;
  sessions.Add(std::move(session));
}

TEST_CASE("recent sessions: the newest come first, in pieces, and the oldest make room") {
  RecentSessions sessions(4);
  std::uint64_t next = RecentSessions::kNewest;
  CHECK(Visit(sessions, next, 3).empty());
  CHECK(next == RecentSessions::kDone);
  for (std::uint16_t port = 1; port <= 6; ++port) Add(sessions, port);
  next = RecentSessions::kNewest;
  CHECK(Visit(sessions, next, 3) == std::vector<std::uint16_t>{6, 5, 4});
  CHECK(Visit(sessions, next, 3) == std::vector<std::uint16_t>{3});
  CHECK(next == RecentSessions::kDone);
}

TEST_CASE("recent sessions: those that are added between two pieces neither repeat nor replace one that is visited") {
  RecentSessions sessions(4);
  for (std::uint16_t port = 1; port <= 4; ++port) Add(sessions, port);
  std::uint64_t next = RecentSessions::kNewest;
  CHECK(Visit(sessions, next, 1) == std::vector<std::uint16_t>{4});
  Add(sessions, 5);
  Add(sessions, 6);  // in the places of 1 and 2
  CHECK(Visit(sessions, next, 4) == std::vector<std::uint16_t>{3});
  CHECK(next == RecentSessions::kDone);
}

}  // namespace
}  // namespace penstock
