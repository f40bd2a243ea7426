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
  enum class Turn : std::uint8_t {
    kWaiting,     // an edge, a deadline or an answer will come
    kUnfinished,  // give it another turn
    kReached,     // take reached(), and relay
    kAssociate,   // the request was UDP ASSOCIATE
    kRefused,     // the client has its answer, or is owed none: close so that it arrives
    kOver,        // there is nobody to talk to
  };

  // The other end of the relay that is to begin.
  struct Reached {
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
  Turn Step(const SessionTools& tools);

  // What happened; but for OnName and OnDeadline, a step should follow.
  void OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools);
  void OnAttemptDelay(const SessionTools& tools);
  void OnBindListener() { bind_wait_.OnListener(); }
  Turn OnName(const NameAnswer& answer, const SessionTools& tools);
  Turn OnLogin(const LoginAnswer& answer, const SessionTools& tools);
  Turn OnDeadline(const SessionTools& tools);

  // Nobody waits any more for what was asked of others, and what is under way ends.
  void Withdraw(const SessionTools& tools);

  Handle self() const { return self_; }
  Reached& reached() { return reached_; }

  // What the client sent beyond its request.
  std::span<const std::uint8_t> unread() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }

  // Something besides the deadline will wake a session in CONNECTING or BINDING.
  bool awaits_something() const;

 private:
  Turn StepNego(const SessionTools& tools);
  Turn StepAuth(const SessionTools& tools);
  Turn StepRequest(const SessionTools& tools);
  Turn StepConnecting(const SessionTools& tools);
  Turn StepBinding(const SessionTools& tools);

  enum class Received : std::uint8_t { kMore, kNotYet, kGone };
  Received Receive();
  Turn AfterReceiving(Received received);

  Turn Refuse(Outcome outcome, const SessionTools& tools);
  bool OpenAccount(const SessionTools& tools);
  Turn Deny(const AccessVerdict& ruling, const SessionTools& tools);
  Turn RefuseBadRequest(socks5::RequestFault fault, const SessionTools& tools);
  void Warn(std::string_view event, const SessionTools& tools) const;
  Turn RefusedAs(SessionEnd end);
  Turn OverAs(SessionEnd end);

  Turn CheckLogin(const socks5::Credentials& credentials, const SessionTools& tools);
  Turn AfterLogin(LoginOutcome outcome, const SessionTools& tools);
  Turn RefuseLogin(SessionEnd end);
  LoginWaiter waiter(const SessionTools& tools) const { return {&tools.login_answers, core_.handle}; }

  Turn Obey(const socks5::Request& request, const SessionTools& tools);
  Turn FindTarget(const socks5::Request& request, const SessionTools& tools);
  Turn LookUp(std::string_view name, const SessionTools& tools);
  Turn Reach(const TargetName& name, std::span<const IpAddress> addresses, const SessionTools& tools);
  Turn AfterListening(Fault fault, const SessionTools& tools);
  Turn TakeTarget(const SessionTools& tools);
  Turn TakePeer(const SessionTools& tools);
  void KeepName(const TargetName& name, const SessionTools& tools);

  DialTools Dial(const SessionTools& tools) const {
    return {.poller = tools.poller,
            .attempt_delays = tools.deadlines.attempt_delay,
            .clock = tools.flow.clock,
            .further_attempts = tools.further_attempts,
            .share = core_.share};
  }
  BindTools Bind(const SessionTools& tools) const {
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
  bool user_is_full_ = false;  // has as many sessions as it may
  bool checking_login_ = false;
  Digest login_ticket_{};                 // while it is checked
  std::shared_ptr<const RuleSet> rules_;  // in which the sources are that the dialer uses
  Dialer dialer_;
  BindWait bind_wait_;
  Reached reached_;
};

// What a client is told of a failed connect.
Outcome OutcomeOf(Fault fault);

}  // namespace penstock
