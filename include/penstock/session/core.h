// What the parts of a session share: its state, its client and request, and the reason of its end.
// Owned by a Session, as a member; its worker's thread only.
// Invariants: states only move forward, through Advance, so every session ends. `end` is set before a session ends.
// Does not: act in a state (handshake.h, session.h), hold what the worker lends (tools.h).
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
// If users are configured, AUTH comes between NEGO and REQUEST (RFC 1929). UDP ASSOCIATE leads from REQUEST to
// ASSOCIATED, and from there to the end. A session may end in every state: its client breaks, a deadline passes, the
// gateway stops.
//
//   state       waits for                                    woken by                          bounded by
//   ----------  -------------------------------------------  --------------------------------  ------------------------
//   NEGO        the greeting                                 edge of the client                handshake timeout
//   AUTH        name and password, then the verdict          edge of the client; Logins        handshake timeout
//   REQUEST     the request                                  edge of the client                handshake timeout
//   CONNECTING  the target's name, then the first attempt    resolver; edge of an attempt      connect timeout
//               that connects                                or the client; attempt delay
//   BINDING     the peer's name, then the peer               resolver; edge of the listener    connect timeout, then
//                                                            or the client; retry              bind timeout
//   RELAY       bytes and buffer space, both ways            edge of a side; throttle;         idle timeout or
//                                                            ready list                        half-close timeout
//   ASSOCIATED  datagrams, names of targets, the end of      edge of a socket; resolver;       UDP idle timeout
//               the TCP connection                           ready list
//   CLOSING     the end of the client's stream               edge of the client                kLingerMax and
//                                                                                              kLingerBytesMax
//   RESETTING   empty send queues                            poll interval                     kResetDrainMax and
//                                                                                              half-close timeout
//
// The handshake timeout begins when the client is accepted, and covers the first three states together. In RELAY and
// ASSOCIATED the deadline is periodic: it checks how long ago something moved, so that a byte costs no timer work.
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
#include "penstock/policy/meter.h"
#include "penstock/session/tags.h"
#include "penstock/session/tools.h"

namespace penstock {

// In life order. Each state has one Step function (handshake.h, session.h).
enum class SessionState : std::uint8_t {
  kNego,        // the greeting has not arrived in full
  kAuth,        // the method is chosen; name and password are not verified yet
  kRequest,     // the request has not arrived in full
  kConnecting,  // CONNECT: the target's name is resolved, then its addresses are dialled
  kBinding,     // BIND: the peer's name is resolved, then the listener waits for the peer
  kRelay,       // the last reply has been sent; bytes are relayed both ways
  kAssociated,  // UDP ASSOCIATE: datagrams are relayed both ways
  kClosing,     // refused: sending is shut down, and input is dropped until the client closes
  kResetting,   // one side broke; the other is reset once its send queue is empty
};
static_assert(std::tuple_size_v<decltype(Gauges::sessions)> == static_cast<std::size_t>(SessionState::kResetting) + 1);

// Why a session ended.
enum class SessionEnd : std::uint8_t {
  kNone,              // it has not
  kClosed,            // both sides closed in order; of an association: the client closed the TCP connection
  kReset,             // one side broke; of an association: the TCP connection
  kRefused,           // the reply or the method says why
  kOverLimit,         // refused: its client or its user has reached a limit
  kBadRequest,        // a message was malformed, or not SOCKS5
  kLoginFailed,       // wrong name or wrong password
  kLoginThrottled,    // the login was not verified (logins.h)
  kClientLeft,        // the client closed or broke before the last reply
  kHandshakeExpired,  // the handshake timeout passed before the request was complete
  kIdle,              // an idle timeout passed
  kStopped,           // the gateway was stopped
  kForbidden,         // a reload brought a policy that denies the session
  kKilled,            // the operator ended it
  kQuota,             // its user has used up the quota
  kExpired,           // its user has expired
  kHours,             // its user is not served at this hour
  kMaxClients,        // refused: its user has sessions of the maximum of clients
  kExhausted,         // no memory
};

static_assert(std::tuple_size_v<decltype(Counters::ended)> == static_cast<std::size_t>(SessionEnd::kExhausted));

// How a session ends that its user may not have; kNone if he may.
SessionEnd EndOf(UserRefusal refusal);

// Counts a request that is refused for a limit of its user, by the limit.
void CountRefusal(UserRefusal refusal, Counters& counters);

// The word for it in the log, such as "client-left".
std::string_view Describe(SessionEnd end);

// The word for it in metrics and lists, such as "nego".
std::string_view Describe(SessionState state);

// Copies two strings into one allocation: `name`, a NUL, `second`, a NUL. Copies `name` only up to its first NUL: such
// a name is refused, and the log shows it up to there. Null if there is no memory.
std::unique_ptr<char[]> CopyStrings(std::string_view name, std::string_view second = {});

struct SessionCore {
  // `its_admission` is what the limiter returned for this client (limiter.h).
  SessionCore(Handle handle_of_session, Fd client_socket, const Endpoint& client_endpoint, Admission its_admission)
      : handle(handle_of_session),
        deadline({kTagDeadline, handle_of_session}),
        client(client_endpoint),
        socket(std::move(client_socket)),
        admission(its_admission) {}

  // Advance moves to a later state and updates the worker's gauges of sessions.
  SessionState state() const { return state_; }
  void Advance(SessionState to, const SessionTools& tools) {
    assert(to > state_);
    SessionsIn(state_, tools).Decrement();
    SessionsIn(to, tools).Increment();
    state_ = to;
  }

  // Counts the end of the relay, if there was one. Call it once, at the end.
  void CountRelayEnd(Counters& counters) const;

  // The worker's gauge of the sessions in `state`.
  static Gauge& SessionsIn(SessionState state, const SessionTools& tools) {
    return tools.gauges.sessions[static_cast<std::size_t>(state)];
  }

  // Evaluates the current rules and the guard for this client, its user and its command. `command` must be set.
  Access access(const SessionTools& tools) const;

  // The target's name, for those rules. Empty if it was not stored, or if the client asked for an address.
  TargetName target_name() const;

  // Stores the name of the user and its credential (users.h) in one allocation, so that a session without a login costs
  // one pointer. False if there is no memory.
  [[nodiscard]] bool StoreUser(std::string_view who, const Digest& credential = {});

  // True if the current policy has no users, or if the credential of this session's login is still that of its user.
  bool login_valid(const SessionTools& tools) const;

  // The limit that all sessions of this user have reached; kNone if he may go on, or there was no login.
  UserRefusal user_refusal() const;

  // Counts and logs what denies the request. `command` must be set.
  void NoteDenied(const AccessVerdict& verdict, const SessionTools& tools);

  // Sends a message of the handshake. False if not all of it was accepted by the send buffer: the client then either
  // broke or does not read its answers, and the session ends.
  bool Send(std::span<const std::uint8_t> bytes) const;

  // Stores and sends a reply (RFC 1928 section 6); `bound` is BND. Counts it as the last reply to the request, unless
  // it is the first of a BIND that succeeds so far. Returns as Send does.
  bool SendReply(Outcome outcome, const Endpoint& bound, const SessionTools& tools);

  const Handle handle;
  std::unique_ptr<char[]> name;  // as requested, NUL, as found by the search list; for log, lists and later rules
  std::unique_ptr<char[]> user;  // who logged in or tried to (StoreUser); null if no login was requested
  Meter* meter = nullptr;        // of that user, which counts this session; null before the login was accepted
  Deadline deadline;             // of the state; armed whenever the session waits
  Endpoint client;
  Endpoint target;  // as requested, if by address; once connected, the target or peer itself
  Fd socket;        // towards the client
  Events events;    // latches of that socket, until the relay has its own
  SessionEnd end = SessionEnd::kNone;
  std::optional<Outcome> reply;      // the last one sent
  std::optional<Command> command;    // set by the request
  std::uint16_t port = 0;            // DST.PORT of the request
  Decider decider = Decider::kNone;  // of the request; kNone if there are no rules, until one was evaluated
  const Admission admission;         // passed back to the limiter at the end
  std::uint8_t share = 0;            // of its client (fair_shares.h)

 private:
  SessionState state_ = SessionState::kNego;
};

}  // namespace penstock
