// The first half of a session: NEGO, AUTH, REQUEST, CONNECTING and BINDING (core.h), from the greeting to a connected
// target or peer.
// Owned by a worker's slab, which lends it to a session until RELAY, ASSOCIATED or CLOSING; its worker's thread only.
// Invariants:
//   - A message is decoded where it lies in the buffer and consumed once, when it is complete, so a client may send one
//     byte at a time, or all its messages and its first data at once. Bytes after the request are kept for the target.
//   - The buffer has room for the longest messages of all three kinds (kHandshakeBytes), so it cannot be full while a
//     message is incomplete.
//   - No password stays in the buffer: credentials are wiped as soon as they have been passed to Logins, and the whole
//     buffer at the end.
//   - At most one query of the resolver and one check of Logins is pending, and Cancel withdraws both. An answer that
//     arrives later is ignored.
// Does not: relay (relay.h), release itself or close the client's socket (session.h).
//
//   NEGO        The greeting offers methods (RFC 1928 section 3). With users the gateway selects username and password,
//               otherwise none; if the greeting does not offer it, the answer is X'FF'.
//   AUTH        Logins verifies name and password (RFC 1929), at once or on a thread of its own. The client is not read
//               meanwhile, and a client that has only finished sending still gets its verdict.
//   REQUEST     CONNECT, BIND or UDP ASSOCIATE (RFC 1928 section 4). The limits of the client and the user are enforced
//               here, where a reply can say so.
//   CONNECTING  A name is checked before it is resolved, and each resolved address is checked again. The dialer tries
//               the allowed addresses. A client that has only finished sending still gets its reply.
//   BINDING     The same for the peer, with a listener instead of a dialer. The first reply says where it listens, the
//               second one which peer has connected. A client that has finished sending has left: otherwise a port
//               could stay open for a client that no longer exists.
//
// A Step function runs until it has to wait. NEGO, AUTH and REQUEST wait for an edge of the client's socket, AUTH also
// for the answer of Logins; the handshake timeout bounds all three together. CONNECTING and BINDING wait for the answer
// of the resolver, then for an edge of an attempt or of the listener, or for the attempt delay. The connect timeout
// bounds both until the target is connected or the first reply of BIND is sent; then the bind timeout begins.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "penstock/base/command.h"
#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/base/slab.h"
#include "penstock/base/socks5.h"
#include "penstock/login/logins.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"
#include "penstock/session/bind_wait.h"
#include "penstock/session/core.h"
#include "penstock/session/dialer.h"
#include "penstock/session/tools.h"

namespace penstock {

class Handshake {
 public:
  // What its session does next.
  enum class Progress : std::uint8_t {
    kWaiting,     // an edge, a deadline or an answer will come; after a change of state, step again
    kUnfinished,  // peers may be left in the backlog of a BIND: step again in the next turn
    kConnected,   // take connection(), send the reply that is due, and relay
    kAssociate,   // the request is an allowed UDP ASSOCIATE: open the association, and send its reply
    kRefused,     // the refusal has been sent, or the protocol has none: close so that it arrives
    kEnded,       // the client has left, or memory has run out: release at once
  };

  // The connection to the target, or from the peer of a BIND.
  struct Connection {
    Fd socket;                 // registered with the poller under kTagTarget + attempt
    Endpoint peer;             // the target or peer
    Endpoint bound;            // BND of the reply that is due (RFC 1928 sections 4 and 6)
    Events events;             // that have been reported for the socket; the poller reports the rest
    std::uint8_t attempt = 0;  // the attempt that won; 0 for a BIND
  };

  // `self` is its handle in the slab; `core` must outlive it.
  Handshake(Handle self, SessionCore& core);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  // Calls the Step function of the state that `core` is in, which may advance it or set `core.end`.
  Progress Step(const SessionTools& tools);

  // The socket of an attempt has events, the attempt delay or the retry of a BIND has expired, the listener of a BIND
  // has an edge. They update the dialer or the wait: call Step next. One that is no longer awaited is ignored.
  void OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools);
  void OnAttemptDelay(const SessionTools& tools);
  void OnBindListener() { bind_wait_.OnListener(); }

  // An answer of the resolver or of Logins, or the deadline of the state. Each returns what Step does: act on it, and
  // call Step next unless that ended the handshake. An answer that is not awaited is ignored.
  Progress OnName(const NameAnswer& answer, const SessionTools& tools);
  Progress OnLogin(const LoginAnswer& answer, const SessionTools& tools);
  Progress OnDeadline(const SessionTools& tools);

  // Withdraws the pending query and the pending check, and closes the attempts. Call it before the handshake is
  // released.
  void Cancel(const SessionTools& tools);

  Handle self() const { return self_; }

  // Valid after kConnected; the session moves the socket out of it.
  Connection& connection() { return connection_; }

  // Bytes that have been received and not consumed; after kConnected they are for the target.
  std::span<const std::uint8_t> unread() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }

  // True if something besides the deadline will wake the session; for CONNECTING and BINDING.
  bool awaits_event() const;

 private:
  Progress StepNego(const SessionTools& tools);
  Progress StepAuth(const SessionTools& tools);
  Progress StepRequest(const SessionTools& tools);
  Progress StepConnecting(const SessionTools& tools);
  Progress StepBinding(const SessionTools& tools);

  enum class Received : std::uint8_t {
    kBytes,    // decode again
    kNothing,  // wait for an edge
    kEnd,      // the client has left: end of file or an error, in the middle of a message
  };
  Received Receive();
  Progress AfterReceiving(Received received, const SessionTools& tools);

  Progress Refuse(Outcome outcome, const SessionTools& tools);
  Progress RefuseUser(const SessionTools& tools);
  bool AdmitUser(const SessionTools& tools);
  void NoteFailedLogin(const SessionTools& tools) const;
  Progress Deny(const AccessVerdict& verdict, const SessionTools& tools);
  void NoteAllowed(const AccessVerdict& verdict, const SessionTools& tools);
  Progress RefuseBadRequest(socks5::RequestFault fault, const SessionTools& tools);
  void Warn(std::string_view event, const SessionTools& tools) const;
  Progress CloseWith(SessionEnd end);
  Progress EndWith(SessionEnd end);

  Progress CheckLogin(const socks5::Credentials& credentials, const SessionTools& tools);
  Progress FinishLogin(LoginOutcome outcome, const SessionTools& tools);
  Progress RefuseLogin(SessionEnd end);
  LoginWaiter waiter(const SessionTools& tools) const { return {&tools.login_answers, core_.handle}; }

  Progress BeginCommand(const socks5::Request& request, const SessionTools& tools);
  Progress ResolveTarget(const socks5::Request& request, const SessionTools& tools);
  Progress ResolveName(std::string_view name, const SessionTools& tools);
  Progress ConnectOrListen(const TargetName& name, std::span<const IpAddress> addresses, const SessionTools& tools);
  Progress AfterListening(Fault fault, const SessionTools& tools);
  Progress FinishConnect(const SessionTools& tools);
  Progress FinishBind(const SessionTools& tools);
  void StoreName(const TargetName& name, const SessionTools& tools);

  DialTools dial_tools(const SessionTools& tools) const {
    return {.poller = tools.poller,
            .attempt_delays = tools.deadlines.attempt_delay,
            .clock = tools.flow.clock,
            .further_attempts = tools.further_attempts,
            .share = core_.share};
  }
  BindTools bind_tools(const SessionTools& tools) const {
    return {.access = core_.access(tools),
            .poller = tools.poller,
            .retries = tools.deadlines.attempt_delay,
            .counters = tools.counters(),
            .clock = tools.flow.clock,
            .ports = tools.bind_ports};
  }

  const Handle self_;
  SessionCore& core_;
  std::size_t begin_ = 0;  // of unread() in bytes_
  std::size_t end_ = 0;
  std::array<std::uint8_t, kHandshakeBytes> bytes_;
  std::string_view name_;                          // the requested name, in bytes_, once it is resolved
  bool resolving_ = false;                         // a query of the resolver is pending
  bool deciders_differ_ = false;                   // not all addresses are allowed by the same rule
  UserRefusal user_refusal_ = UserRefusal::kNone;  // why the request will be refused
  bool checking_login_ = false;                    // a check of Logins is pending, under login_ticket_
  Digest login_ticket_{};
  std::shared_ptr<const RuleSet> rules_;  // keeps the sources alive that the dialer uses
  TimePoint dial_begun_;
  Dialer dialer_;
  BindWait bind_wait_;
  Connection connection_;
};

// The outcome to reply for a fault of connecting or listening (RFC 1928 section 6).
Outcome OutcomeOf(Fault fault);

}  // namespace penstock
