// What another thread can learn from the workers and ask of them: their totals, their sessions, and to end sessions.
// Plain values, owned by whoever asks. Server has the calls; inquiry.h has the way of a question to a worker and back.
// Invariants:
//   - The totals of a worker are of one moment between two steps of its sessions, so all invariants of counters.h hold
//     exactly in them, and in the sum over all workers.
//   - A session's id belongs to no other session for the life of the program (slab.h: for 16 million sessions of its
//     slot), so an id that is stale ends nobody else.
// Does not: write text (admin), keep sessions that have ended (recent_sessions.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/command.h"
#include "penstock/base/counters.h"
#include "penstock/base/domain.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/prefix.h"
#include "penstock/base/slab.h"
#include "penstock/os/clock.h"
#include "penstock/policy/access.h"
#include "penstock/session/session.h"

namespace penstock {

// Those of a worker, or the sum over all workers.
struct Totals {
  // Adds what another worker has. Both have the same listeners.
  void Add(const Totals& other);

  Counters counters;
  Gauges gauges;
  std::vector<std::uint64_t>
      accepted;                     // the part of counters.accepted of each listener, in the order of Server::listening
  std::size_t workers_missing = 0;  // they did not answer in time: their last totals are included instead
};

struct SessionId {
  std::uint32_t worker = 0;
  Handle handle;

  // "0-17-3": the worker, the slot and its generation.
  std::string ToString() const;
  static std::optional<SessionId> Parse(std::string_view text);

  bool operator==(const SessionId&) const = default;
};

// Which sessions: those that match every member that is set. Without any, all.
struct SessionFilter {
  std::optional<SessionId> id;
  std::optional<Prefix> client;
  std::optional<std::string> user;
  std::optional<Prefix> target;       // the address as asked; once connected, that of the target
  std::optional<Domain> target_name;  // the name as asked, if it is stored (Settings::store_names)
  std::optional<Command> command;
  std::optional<SessionState> state;

  bool Matches(const SessionView& session) const;  // except for `id`
};

struct SessionRow {
  SessionId id;
  SessionState state = SessionState::kNego;
  Endpoint client;
  std::string user;                // empty: no login
  std::optional<Command> command;  // until the request: none
  std::string asked;               // a name, or an address; empty: none yet, or not stored
  std::uint16_t port = 0;          // DST.PORT of the request
  std::optional<Endpoint> target;  // or peer, once connected
  std::uint64_t bytes_up = 0;      // of data, client to target
  std::uint64_t bytes_down = 0;
  std::chrono::nanoseconds age{0};  // since it was accepted
};

struct SessionList {
  std::vector<SessionRow> rows;   // by worker and slot
  std::optional<SessionId> next;  // the list was cut at the limit: pass it on to get the rest
  bool complete = true;           // false: a worker did not answer in time, or had no memory
};

// A session that has ended.
struct RecentSession {
  SessionRow row;  // `state`: in which it ended; `age`: how long it lasted
  SessionEnd end = SessionEnd::kNone;
  std::optional<Outcome> reply;  // the last one sent
  Decider decider = Decider::kNone;
  TimePoint ended{};
};

struct RecentList {
  std::vector<RecentSession> sessions;  // the newest first
  bool complete = true;                 // false: a worker did not answer in time, or had no memory
};

// What was carried for a target since the start: at most these bytes, and at least as many less `error`.
struct TargetRow {
  std::string target;          // as asked: "host:port", the host in lower case
  std::uint64_t sessions = 0;  // at least
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::uint64_t error = 0;
};

struct TargetList {
  std::vector<TargetRow> rows;  // the one with most bytes first
  bool complete = true;         // false: a worker did not answer in time, or had no memory
};

struct SessionsEnded {
  std::size_t count = 0;
  bool complete = true;  // false: a worker did not answer in time; it may still end some
};

}  // namespace penstock
