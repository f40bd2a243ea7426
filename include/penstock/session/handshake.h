// The first half of a session: what the client asks for, and who answers it. NEGO, AUTH, REQUEST, CONNECTING and
// BINDING.
// Lent to a session by its worker's slab until a relay or an association begins; its worker's thread only.
// Invariant: whatever a client sends, and however it is split or glued, each message is consumed once, when it is
// whole; what follows the request is kept for the target. No password stays in its buffer. While it waits, something
// will wake its session: an edge of the client or of an attempt, an answer of the resolver or of Logins, or the
// session's deadline.
// Deliberately not here: bytes for the target once there is one (relay.h), and the end of a session (session.h).
//
// A client may send all of it at once, its first data included, or one byte at a time.
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
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"
#include "penstock/session/bind_wait.h"
#include "penstock/session/core.h"
#include "penstock/session/dialer.h"
#include "penstock/session/tools.h"

namespace penstock {

class Handshake {
 public:
  // What its session should do next.
  enum class Progress : std::uint8_t {
    kWaiting,     // an edge, a deadline or an answer will come
    kUnfinished,  // give it another turn
    kConnected,   // take reached(), and relay
    kAssociate,   // the request was UDP ASSOCIATE
    kRefused,     // the client has its answer, or is owed none: close so that it arrives
    kOver,        // there is nobody to talk to
  };

  // The other end of the relay that is to begin.
  struct Connection {
    Fd socket;                 // registered with the poller under kTagTarget + attempt
    Endpoint peer;             // who it is
    Endpoint bound;            // BND of the reply that is due
    Events events;             // what is known of the socket; the poller will tell the rest
    std::uint8_t attempt = 0;  // the one that won
  };

  // `core` outlives it.
  Handshake(Handle self, SessionCore& core);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  // One step of the state that `core` is in.
  Progress Step(const SessionTools& tools);

  // What happened; but for OnName and OnDeadline, a step should follow.
  void OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools);
  void OnAttemptDelay(const SessionTools& tools);
  void OnBindListener() { bind_wait_.OnListener(); }
  Progress OnName(const NameAnswer& answer, const SessionTools& tools);
  Progress OnLogin(const LoginAnswer& answer, const SessionTools& tools);
  Progress OnDeadline(const SessionTools& tools);

  // Nobody waits any more for what was asked of others, and what is under way ends.
  void Cancel(const SessionTools& tools);

  Handle self() const { return self_; }
  Connection& connection() { return connection_; }

  // What the client sent beyond its request.
  std::span<const std::uint8_t> unread() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }

  // Something besides the deadline will wake a session in CONNECTING or BINDING.
  bool awaits_event() const;

 private:
  Progress StepNego(const SessionTools& tools);
  Progress StepAuth(const SessionTools& tools);
  Progress StepRequest(const SessionTools& tools);
  Progress StepConnecting(const SessionTools& tools);
  Progress StepBinding(const SessionTools& tools);

  enum class Received : std::uint8_t { kBytes, kNothing, kEnd };
  Received Receive();
  Progress AfterReceiving(Received received);

  Progress Refuse(Outcome outcome, const SessionTools& tools);
  bool AdmitUser(const SessionTools& tools);
  Progress Deny(const AccessVerdict& verdict, const SessionTools& tools);
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
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint8_t, kHandshakeBytes> bytes_;
  std::string_view name_;  // of the target, in bytes_; empty when an address was asked for
  bool resolving_ = false;
  bool user_over_limit_ = false;  // has as many sessions as it may
  bool checking_login_ = false;
  Digest login_ticket_{};                 // while it is checked
  std::shared_ptr<const RuleSet> rules_;  // in which the sources are that the dialer uses
  Dialer dialer_;
  BindWait bind_wait_;
  Connection connection_;
};

// What a client is told of a failed connect.
Outcome OutcomeOf(Fault fault);

}  // namespace penstock
