// What all parts of a session share: how far it has come, its client, what that asked for, and why it ended.
// A SessionCore is a member of a Session; its worker's thread only.
// Invariant: states only move forward, and `end` is set before a session is over.
// Deliberately not here: what any state does (handshake.h, session.h), and what a worker lends to it (tools.h).
//
//              greeting              CONNECT                 target accepts
//     NEGO ───────────────▶ REQUEST ─────────▶ CONNECTING ──────────────────▶ RELAY ──── both ended ────▶ over
//       │                    │  │                   │                          ▲ │
//       │                    │  │  BIND             │   peer connects          │ │
//       │                    │  └───▶ BINDING ──────┼──────────────────────────┘ │
//       │                    │           │          │                            │ a side broke
//       └──── refused ───────┴───────────┴──────────┘                            ▼
//                   ▼                                                        RESETTING ── bytes have left ──▶ over
//                CLOSING ── the refusal has arrived ──▶ over
//
// UDP ASSOCIATE goes from REQUEST to ASSOCIATED, which is over when the TCP connection is, or no datagram comes.
// Where there are users, AUTH stands between NEGO and REQUEST: name and password (RFC 1929), and the verdict on them.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include "penstock/base/command.h"
#include "penstock/base/counters.h"
#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/slab.h"
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"
#include "penstock/policy/access.h"
#include "penstock/policy/limiter.h"
#include "penstock/session/tags.h"
#include "penstock/session/tools.h"

namespace penstock {

// In life order.
enum class SessionState : std::uint8_t {
  kNego,        // the greeting, and the method that answers it
  kAuth,        // name and password, and the verdict on them
  kRequest,     // what the client wants
  kConnecting,  // CONNECT: a name is looked up, a target dialled
  kBinding,     // BIND: a name is looked up, a peer waited for
  kRelay,       // bytes go both ways
  kAssociated,  // UDP ASSOCIATE: datagrams go both ways
  kClosing,     // refused, and the refusal is on its way
  kResetting,   // a side broke, and the other has not had all of its bytes yet
};
static_assert(std::tuple_size_v<decltype(Gauges::sessions)> == static_cast<std::size_t>(SessionState::kResetting) + 1);

// Why a session is over.
enum class SessionEnd : std::uint8_t {
  kNone,
  kClosed,            // both sides said goodbye
  kReset,             // one side broke, and the other was told so
  kRefused,           // see the reply
  kOverLimit,         // refused, because its client or its user has enough
  kBadRequest,        // not SOCKS5, or malformed
  kLoginFailed,       // the name, or the password, is wrong
  kLoginThrottled,    // it was not looked at: see logins.h
  kClientLeft,        // before it had a target or a peer
  kHandshakeExpired,  // the request was not whole in time
  kIdle,              // no bytes for too long
  kStopped,           // the gateway was stopped
  kForbidden,         // a reload has brought a policy that would not have let it begin
  kExhausted,         // no memory
};

std::string_view Describe(SessionEnd end);

// A copy of what a client has sent, and behind its NUL of `second`, with a NUL too; null when there is no memory for
// it. A name with a NUL inside is refused; the log shows it up to there.
std::unique_ptr<char[]> CopyStrings(std::string_view name, std::string_view second = {});

struct SessionCore {
  SessionCore(Handle handle_of_session, Fd client_socket, const Endpoint& client_endpoint, Admission its_admission)
      : handle(handle_of_session),
        deadline({kTagDeadline, handle_of_session}),
        client(client_endpoint),
        socket(std::move(client_socket)),
        admission(its_admission) {}

  // States only move forward, and the worker's gauges follow.
  SessionState state() const { return state_; }
  void Advance(SessionState to, const SessionTools& tools) {
    assert(to > state_);
    SessionsIn(state_, tools).Decrement();
    SessionsIn(to, tools).Increment();
    state_ = to;
  }

  // The worker's gauge of the sessions in `state`.
  static Gauge& SessionsIn(SessionState state, const SessionTools& tools) {
    return tools.gauges.sessions[static_cast<std::size_t>(state)];
  }

  // What this client may reach with the command that it gave. Not to be asked before it has given one.
  Access access(const SessionTools& tools) const;

  // Of the target, for those rules. None when it was not kept, or is an address.
  TargetName target_name() const;

  // Keeps who logs in, and behind the name what let them in (users.h): a session without a login shall not pay for it.
  // False when there is no memory.
  [[nodiscard]] bool StoreUser(std::string_view who, const Digest& credential = {});

  // True if nobody has to log in now, or the credential that this session logged in with still stands.
  bool login_valid(const SessionTools& tools) const;

  // True when all of it went. The few bytes of a handshake always fit the send buffer of a client that reads its
  // answers; with one that does not, there is nothing to talk about.
  bool Send(std::span<const std::uint8_t> bytes) const;

  // `bound`: BND. Counts and remembers the reply; true when it went.
  bool SendReply(Outcome outcome, const Endpoint& bound, const SessionTools& tools);

  const Handle handle;
  std::unique_ptr<char[]> name;  // as asked, and behind its NUL as found; kept for the log, and for rules to come
  std::unique_ptr<char[]> user;  // who has logged in, or has failed to; null when nobody had to (StoreUser)
  Account* account = nullptr;    // of that user, in which this session counts, if there are limits on users
  Deadline deadline;
  Endpoint client;  // whose session it is
  Endpoint target;  // as asked, when an address was asked for; the target's own, from RELAY on
  Fd socket;        // towards the client
  Events events;    // of that socket, latched until the relay takes over
  SessionEnd end = SessionEnd::kNone;
  std::optional<Outcome> reply;    // the last one
  std::optional<Command> command;  // since the request
  std::uint16_t port = 0;          // as asked
  const Admission admission;       // what the limiter said, and is to be told in the end
  std::uint8_t share = 0;          // of its client, of what clients share

 private:
  SessionState state_ = SessionState::kNego;
};

}  // namespace penstock
