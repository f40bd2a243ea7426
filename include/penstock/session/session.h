// One client's session, from accept to the end: a state machine with one Step function per state. core.h has the
// diagram of the states, and a table of what each waits for, what wakes it and what bounds it.
// Owned by a worker's slab; its worker's thread only. Everything else refers to a session by its Handle.
// Invariants:
//   - States only move forward. Each call that handles an event returns what the worker does next (Next).
//   - A session that waits has its deadline armed, whatever else may wake it: an edge of one of its sockets, an answer
//     of the resolver or of Logins, its throttle, or its place on the ready list. CheckInvariants asserts it.
//   - A transfer that is cut short never looks complete: a relay that breaks, expires or is stopped ends with a reset.
// Does not: move bytes (relay.h, associate.h), find the target (handshake.h), destroy itself (worker.h).
//
//   RELAY       The Relay moves bytes as the latches allow, at most a quantum per step. A session with more to move is
//               put on the ready list; one without tokens is woken by its throttle. A periodic check ends it after the
//               idle or the half-close timeout, and finds dead peers.
//   ASSOCIATED  The Association relays datagrams. The TCP connection carries nothing: its end is the end of the
//               association (RFC 1928 section 7), and bytes on it are dropped.
//   CLOSING     The refusal may still be in flight. Sending is shut down, and input is dropped until the client closes,
//               for at most kLingerMax and kLingerBytesMax.
//   RESETTING   One side broke. The other gets a reset as soon as its send queue is empty, for which the session polls
//               (no edge tells it), for at most kResetDrainMax.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "penstock/base/command.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/names.h"
#include "penstock/base/slab.h"
#include "penstock/login/logins.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"
#include "penstock/policy/limiter.h"
#include "penstock/relay/relay.h"
#include "penstock/relay/throttle.h"
#include "penstock/session/core.h"
#include "penstock/session/handshake.h"
#include "penstock/session/tags.h"
#include "penstock/session/tools.h"
#include "penstock/udp/associate.h"

namespace penstock {

// What a session tells others about itself. Valid until its next event.
struct SessionView {
  // True if `target` is an address: the request has one, or the name has been resolved and connected.
  bool has_target_address() const { return command && !target.ip.is_unspecified(); }

  Handle handle;
  SessionState state;
  const Endpoint& client;
  std::string_view user;           // empty: no login
  std::optional<Command> command;  // until the request: none
  std::string_view name;           // as asked; empty: an address, or not stored
  std::uint16_t port;              // DST.PORT of the request
  const Endpoint& target;
  bool connected;  // `target` is the target or the peer itself
  std::uint64_t bytes_up;
  std::uint64_t bytes_down;
  TimePoint begun;
};

// What is left of a session that has ended: the values of its line in the log. Finish moves the strings of the session
// into it, so it costs no allocation.
struct EndedSession {
  SessionView view() const;  // refers to this object

  Handle handle;
  SessionState state = SessionState::kNego;  // in which it ended
  SessionEnd end = SessionEnd::kNone;
  std::optional<Command> command;    // until the request: none
  std::optional<Outcome> reply;      // the last one sent
  Decider decider = Decider::kNone;  // of the request
  std::uint16_t port = 0;            // DST.PORT of the request
  bool connected = false;            // `target` is the target or the peer itself
  Endpoint client;
  Endpoint target;
  std::unique_ptr<char[]> name;  // as in SessionCore
  std::unique_ptr<char[]> user;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  TimePoint begun{};
  TimePoint ended{};
};

class Session {
 public:
  using State = SessionState;
  using End = SessionEnd;

  // What the worker does next.
  enum class Next : std::uint8_t {
    kWait,     // nothing: an edge, a deadline or an answer will come
    kReady,    // put it on the ready list: it has used up its quantum and can continue
    kRelease,  // call Finish and release it: it has ended
  };

  // `client` is non-blocking and `peer` its address; `admission` is what the limiter returned.
  Session(Handle handle, Fd client, const Endpoint& peer, Admission admission, TimePoint now);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Registers the client with the poller and arms the handshake timeout. False if there is no memory for that; the
  // worker then releases the session without Finish.
  [[nodiscard]] bool Begin(const SessionTools& tools);

  // A socket of the session has events: that of the client, of an attempt or the target, or of UDP. If the session is
  // on the ready list or its relay moves bulk, it takes its turn in the ready list instead of a step at once. So bulk
  // is shared fairly, and small messages of other sessions do not wait for it.
  Next OnClient(const Events& events, const SessionTools& tools);
  Next OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools);
  Next OnUdp(Association::Side side, const Events& events, const SessionTools& tools);

  // The listener of a BIND has an edge, or its retry or the attempt delay of the dialer has expired.
  Next OnBindListener(const SessionTools& tools);
  Next OnAttemptDelay(const SessionTools& tools);

  // An answer of the resolver for the target or for a datagram, or an answer of Logins. One that is no longer awaited
  // is ignored. The caller releases `datagram` afterwards.
  Next OnName(const NameAnswer& answer, const SessionTools& tools);
  Next OnLogin(const LoginAnswer& answer, const SessionTools& tools);
  Next OnDatagramName(const WaitingDatagram& datagram, const NameAnswer& answer, const SessionTools& tools);

  // The deadline of the state has expired.
  Next OnDeadline(const SessionTools& tools);

  // It is the session's turn in the ready list, or its throttle has expired.
  Next OnTurn(const SessionTools& tools) { return Drive(tools); }

  // A reload has replaced the policy. Its bandwidth limits apply to sessions that exist already; its rules do if it
  // says so (Policy::reload_ends_denied).
  Next OnPolicy(const SessionTools& tools);

  // Users have reached a limit that all their sessions share (Accounts::endings): ends the session if its user has, and
  // refuses a request that waits for a target or a peer.
  Next OnUserLimits(const SessionTools& tools);

  // The gateway stops: the session ends, a relay with a reset. The worker calls Finish next.
  void Stop() { Abort(End::kStopped); }

  // The operator ends the session: both sides get a reset, in every state. The worker calls Finish next.
  void Kill();

  // Asserts the invariants. Call it after every event with what that returned.
  void CheckInvariants(Next next) const;

  // Returns what is lent, counts and logs the end, and fills in `ended` unless that is null. Call it once, before the
  // session is released.
  void Finish(const SessionTools& tools, EndedSession* ended = nullptr);

  Handle handle() const { return core_.handle; }
  State state() const { return core_.state(); }  // for tests
  const Endpoint& client() const { return core_.client; }
  Admission admission() const { return core_.admission; }
  End end() const { return core_.end; }
  TimePoint begun() const { return begun_; }
  SessionView view() const;

  // True if an event does not lead to a step at once, as above.
  bool defers_steps() const { return on_ready_list_ || (core_.state() == State::kRelay && relay_.bulk()); }

  // For the worker: true exactly while the session is on its ready list.
  bool on_ready_list() const { return on_ready_list_; }
  void set_on_ready_list(bool on_it) { on_ready_list_ = on_it; }

 private:
  Next Drive(const SessionTools& tools);
  Next Step(const SessionTools& tools);
  Next StepRelay(const SessionTools& tools);
  Relay::Progress StepThrottled(const FlowTools& lent, ThrottleTicks& ticks);
  Next StepAssociated(const SessionTools& tools);
  Next StepClosing(const SessionTools& tools);
  Next StepResetting(const SessionTools& tools);

  Next AfterHandshake(Handshake::Progress progress, const SessionTools& tools);
  Next DriveAfter(Handshake::Progress progress, const SessionTools& tools);
  Next BeginRelay(const SessionTools& tools);
  Next BeginAssociation(const SessionTools& tools);
  bool BeginThrottle(const SessionTools& tools);
  Next BeginClosing(const SessionTools& tools);
  Next EndWith(End end);
  void Abort(End end);
  End NoteDenied(const SessionTools& tools);
  Next Refuse(Outcome outcome, End end, const SessionTools& tools);
  std::optional<AccessVerdict> Denied(const SessionTools& tools) const;
  void ReturnHandshake(const SessionTools& tools);

  Next CheckIdle(const SessionTools& tools);
  bool FindDeadPeer(const SessionTools& tools);
  Next CheckAssociationIdle(const SessionTools& tools);
  AssociateTools associate_tools(const SessionTools& tools) const;
  Usage moved() const;
  bool Count(const Usage& before, const SessionTools& tools);

  FlowTools flow_tools(const SessionTools& tools) const;
  void LogEnd(const SessionTools& tools) const;
  void MoveTo(EndedSession& ended, TimePoint now);

  SessionCore core_;
  Handshake* handshake_ = nullptr;      // from Begin until RELAY, ASSOCIATED, CLOSING or the end
  Association* association_ = nullptr;  // from ASSOCIATED until the end
  Throttle* throttle_ = nullptr;        // from RELAY or ASSOCIATED until the end, if its bandwidth is limited
  Relay relay_;
  TimePoint begun_;
  // When bytes or datagrams last moved, or one side finished; in RESETTING: when that began.
  TimePoint active_;
  Fd target_;
  std::uint32_t lingered_bytes_ = 0;
  std::uint32_t unsent_bytes_ = 0;   // in the send queues of both sides, at the last check
  std::uint8_t target_attempt_ = 0;  // the attempt that won
  bool keepalive_ = false;
  bool half_closed_ = false;      // one side has finished sending
  bool client_owes_ack_ = false;  // for longer than the keepalive timeout, at the last check
  bool target_owes_ack_ = false;
  bool watches_writes_ = false;  // the client's socket is registered for space to write, too
  bool on_ready_list_ = false;
};

}  // namespace penstock
