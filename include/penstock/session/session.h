// One client's session, from its first byte to its last: a hand-written state machine, one function per state. The
// picture of its states is in session/core.h.
// Owned by a worker's slab; its worker's thread only. Whoever else means a session holds its Handle.
// Invariant: states only move forward, and whenever a step has ended something will wake the session again: an edge of
// one of its sockets, its deadline, an answer of the resolver or of Logins, or its place on the ready list.
// Deliberately not here: what leads to a target (handshake.h), and destroying itself. A step says what should happen
// next; the worker does it.
#pragma once

#include <cstddef>
#include <cstdint>

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

class Session {
 public:
  using State = SessionState;
  using End = SessionEnd;

  // What the worker should do next.
  enum class Next : std::uint8_t {
    kWait,     // an edge, a deadline or an answer will come
    kReady,    // give it another turn: its work is not done
    kRelease,  // it is over
  };

  Session(Handle handle, Fd client, const Endpoint& peer, Admission admission, TimePoint now);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Registers the client with the poller and sets the first deadline. False when there is no memory for it.
  [[nodiscard]] bool Begin(const SessionTools& tools);

  // Events of a session that is on the ready list, or whose relay moves bulk, only raise latches: its turn comes behind
  // those who have waited for it, and short messages of others do not wait for either.
  Next OnClient(const Events& events, const SessionTools& tools);
  Next OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools);
  Next OnBindListener(const SessionTools& tools);
  Next OnUdp(Association::Side side, const Events& events, const SessionTools& tools);
  Next OnAttemptDelay(const SessionTools& tools);
  Next OnName(const NameAnswer& answer, const SessionTools& tools);
  Next OnLogin(const LoginAnswer& answer, const SessionTools& tools);
  Next OnDatagramName(const WaitingDatagram& datagram, const NameAnswer& answer, const SessionTools& tools);
  Next OnDeadline(const SessionTools& tools);
  Next OnTurn(const SessionTools& tools) { return Drive(tools); }  // from the ready list

  // There is another policy. Its bandwidth holds for sessions that are there already; whether its rules do is its own
  // choice (Policy::reload_ends_denied).
  Next OnPolicy(const SessionTools& tools);

  // The gateway is stopping: what is cut off shall not look whole.
  void Stop() { Abort(End::kStopped); }

  // Asserts what holds after every event, when the worker has been told `next`.
  void CheckInvariants(Next next) const;

  // The last words before the worker destroys it: gives back what is lent, counts, and logs.
  void Finish(const SessionTools& tools);

  Handle handle() const { return core_.handle; }
  State state() const { return core_.state(); }  // for tests
  const Endpoint& client() const { return core_.client; }
  Admission admission() const { return core_.admission; }

  // The worker's note.
  bool on_ready_list() const { return on_ready_list_; }
  void set_on_ready_list(bool on_it) { on_ready_list_ = on_it; }

 private:
  bool defers_steps() const { return on_ready_list_ || (core_.state() == State::kRelay && relay_.bulk()); }
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
  Next RefuseForbidden(const SessionTools& tools);
  Next Refuse(Outcome outcome, End end, const SessionTools& tools);
  bool MustEnd(const SessionTools& tools) const;
  bool Forbidden(const SessionTools& tools) const;
  void ReturnHandshake(const SessionTools& tools);

  Next CheckIdle(const SessionTools& tools);
  bool FindDeadPeer(const SessionTools& tools);
  Next CheckAssociationIdle(const SessionTools& tools);
  AssociateTools associate_tools(const SessionTools& tools) const;
  std::uint64_t datagrams() const { return association_->up().datagrams + association_->down().datagrams; }

  FlowTools flow_tools(const SessionTools& tools) const;
  void LogEnd(const SessionTools& tools) const;

  SessionCore core_;
  Handshake* handshake_ = nullptr;      // from Begin until RELAY, ASSOCIATED, CLOSING or the end
  Association* association_ = nullptr;  // from ASSOCIATED until the end
  Throttle* throttle_ = nullptr;        // from RELAY or ASSOCIATED until the end, if its bandwidth is limited
  Relay relay_;
  TimePoint begun_;
  // When bytes last moved or one side finished; when RESETTING began.
  TimePoint active_;
  Fd target_;
  std::uint32_t lingered_bytes_ = 0;
  std::uint32_t unsent_bytes_ = 0;   // in the send queues of both sides, at the last check
  std::uint8_t target_attempt_ = 0;  // the one that won
  bool keepalive_ = false;
  bool half_closed_ = false;      // one side has finished sending
  bool client_owes_ack_ = false;  // for longer than keepalive would wait, at the last check
  bool target_owes_ack_ = false;
  bool on_ready_list_ = false;
};

}  // namespace penstock
