// One client's session, from its first byte to its last: a hand-written state machine, one function per state.
// Owned by a worker's slab; its worker's thread only. Whoever else means a session holds its Handle.
// Invariant: states only move forward, and whenever a step has ended something will wake the session again: an edge of
// one of its sockets, its deadline, an answer of the resolver, or its place on the ready list.
// Deliberately not here: destroying itself. A step says what should happen next; the worker does it.
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
//
// A client may send all of it at once, its first data included, or one byte at a time. Username and password (RFC 1929)
// belong between NEGO and REQUEST, as a state of their own.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "penstock/associate.h"
#include "penstock/bind_wait.h"
#include "penstock/counters.h"
#include "penstock/dialer.h"
#include "penstock/endpoint.h"
#include "penstock/fd.h"
#include "penstock/log.h"
#include "penstock/poller.h"
#include "penstock/relay.h"
#include "penstock/resolver.h"
#include "penstock/rules.h"
#include "penstock/settings.h"
#include "penstock/slab.h"
#include "penstock/socks5.h"
#include "penstock/timers.h"

namespace penstock {

// Whom an event or a deadline is for.
enum Tag : std::uint8_t {
  kTagWake,          // the worker's eventfd
  kTagListener,      // slot: which one
  kTagNames,         // the resolver's
  kTagClient,        // a session's client socket
  kTagDeadline,      // a session's deadline
  kTagAttemptDelay,  // a session's dialer should start its next attempt, or its BIND accept again
  kTagBindListener,  // a session's listener for the peer of its BIND
  kTagUdp,           // a session's UDP sockets: kTagUdp + n for side n of its association
  // A session's socket towards its target; kTagTarget + n while attempt n is only an attempt.
  kTagTarget = kTagUdp + Association::kSides,
};
static_assert(kTagTarget + kAddressesPerName <= 256);

// What a session needs only until its relay begins: lent by its worker, and given back then.
struct Handshake {
  Handshake(Handle handle, Handle session)
      : self(handle),
        dialer(session, kTagTarget, kTagAttemptDelay),
        bind_wait(session, kTagBindListener, kTagAttemptDelay) {}

  std::span<const std::uint8_t> unread() const { return std::span(bytes).subspan(begin, end - begin); }

  Handle self;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::array<std::uint8_t, kHandshakeBytes> bytes;
  std::uint16_t port = 0;  // of the target
  bool resolving = false;
  Dialer dialer;
  BindWait bind_wait;
};

// The deadlines of one worker's sessions, a queue for each duration.
struct SessionDeadlines {
  explicit SessionDeadlines(const Settings& settings);

  DeadlineQueue handshake;
  DeadlineQueue connect;
  DeadlineQueue bind;
  DeadlineQueue attempt_delay;
  DeadlineQueue relay_check;  // idleness is looked for this often, so that a byte costs no timer work
  DeadlineQueue udp_check;    // the same for associations
  DeadlineQueue linger;
  DeadlineQueue reset_poll;
  DeadlineQueue reset_poll_slow;

  const std::array<DeadlineQueue*, 9> all{&handshake, &connect, &bind,       &attempt_delay,  &relay_check,
                                          &udp_check, &linger,  &reset_poll, &reset_poll_slow};
};

// What a worker lends to the session whose turn it is.
struct SessionTools {
  const Settings& settings;
  Guard& guard;
  Log& log;
  Poller& poller;
  Resolver& resolver;
  Slab<Handshake>& handshakes;
  AssociationPool& associations;
  SessionDeadlines& deadlines;
  LogPace& complaints;
  FlowTools flow;

  TimePoint now() const { return flow.clock.now(); }
  Counters& counters() const { return flow.counters; }
  DialTools dial() const { return {poller, deadlines.attempt_delay, flow.clock}; }
  BindTools bind() const { return {guard, poller, deadlines.attempt_delay, flow.counters, flow.clock}; }
};

class Session {
 public:
  enum class State : std::uint8_t {
    kNego,
    kRequest,
    kConnecting,
    kBinding,
    kRelay,
    kAssociated,
    kClosing,
    kResetting,
  };

  // What the worker should do next.
  enum class Next : std::uint8_t {
    kWait,     // an edge, a deadline or an answer will come
    kAgain,    // give it another turn: its work is not done
    kRelease,  // it is over
  };

  // Why a session is over.
  enum class End : std::uint8_t {
    kNone,
    kClosed,            // both sides said goodbye
    kReset,             // one side broke, and the other was told so
    kRefused,           // see the reply
    kBadRequest,        // not SOCKS5, or malformed
    kClientLeft,        // before it had a target or a peer
    kHandshakeExpired,  // the request was not whole in time
    kIdle,              // no bytes for too long
    kStopped,           // the gateway was stopped
    kExhausted,         // no memory
  };

  Session(Handle handle, Fd client, const Endpoint& peer, TimePoint now);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Registers the client with the poller and sets the first deadline. False when there is no memory for it.
  [[nodiscard]] bool Begin(const SessionTools& tools);

  Next OnClient(const Events& events, const SessionTools& tools);
  Next OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools);
  Next OnBindListener(const SessionTools& tools);
  Next OnUdp(Association::Side side, const Events& events, const SessionTools& tools);
  Next OnAttemptDelay(const SessionTools& tools);
  Next OnName(const NameAnswer& answer, const SessionTools& tools);
  Next OnDatagramName(const WaitingDatagram& datagram, const NameAnswer& answer, const SessionTools& tools);
  Next OnDeadline(const SessionTools& tools);
  Next OnTurn(const SessionTools& tools) { return Drive(tools); }  // from the ready list

  // The gateway is stopping: what is cut off shall not look whole.
  void Stop();

  // The last words before the worker destroys it: gives back what is lent, counts, and logs.
  void Finish(const SessionTools& tools);

  Handle handle() const { return handle_; }
  State state() const { return state_; }

  bool on_ready_list = false;  // the worker's note

 private:
  static constexpr std::uint8_t kNoReply = 0xff;
  static constexpr std::uint8_t kNoCommand = 0;

  Next Drive(const SessionTools& tools);
  Next Continue(Next next, const SessionTools& tools);
  Next Step(const SessionTools& tools);
  Next StepNego(const SessionTools& tools);
  Next StepRequest(const SessionTools& tools);
  Next StepConnecting(const SessionTools& tools);
  Next StepBinding(const SessionTools& tools);
  Next StepRelay(const SessionTools& tools);
  Next StepAssociated(const SessionTools& tools);
  Next StepClosing(const SessionTools& tools);
  Next StepResetting(const SessionTools& tools);

  enum class Received : std::uint8_t { kMore, kNotYet, kGone };
  Received ReceiveHandshake();
  Next AfterReceiving(Received received);

  bool SendWhole(std::span<const std::uint8_t> bytes);
  bool SendReply(socks5::Reply reply, const Endpoint& bound, const SessionTools& tools);
  Next Refuse(socks5::Reply reply, const SessionTools& tools);
  Next RefuseBadRequest(socks5::RequestFault fault, const SessionTools& tools);
  void Complain(std::string_view event, const SessionTools& tools) const;
  Next CloseGently(End end, const SessionTools& tools);
  Next OverAs(End end);

  Next Obey(const socks5::Request& request, const SessionTools& tools);
  Next FindTarget(const socks5::Request& request, const SessionTools& tools);
  Next LookUp(std::string_view name, const SessionTools& tools);
  Next TakeName(const NameAnswer& answer, const SessionTools& tools);
  Next RefuseLate(const SessionTools& tools);
  Next Reach(std::span<const IpAddress> addresses, const SessionTools& tools);
  Next AfterListening(Fault fault, const SessionTools& tools);
  Next TakeTarget(const SessionTools& tools);
  Next TakePeer(const SessionTools& tools);
  Next BeginRelay(const Endpoint& bound, const Events& target_events, const SessionTools& tools);
  void ReturnHandshake(const SessionTools& tools);

  AssociateTools Associate(const SessionTools& tools) const;
  Next BeginAssociation(const SessionTools& tools);
  Next CheckAssociationIdle(const SessionTools& tools);
  std::uint64_t datagrams() const { return association_->up().datagrams + association_->down().datagrams; }

  Next CheckIdle(const SessionTools& tools);
  void KeepName(std::string_view name, const SessionTools& tools);
  void LogEnd(const SessionTools& tools) const;
  void CheckInvariants(Next next) const;

  Handle handle_;
  Fd client_;
  Fd target_;
  Handshake* handshake_ = nullptr;      // from Begin until RELAY, ASSOCIATED, CLOSING or the end
  Association* association_ = nullptr;  // from ASSOCIATED until the end
  Deadline deadline_;
  Relay relay_;
  Endpoint client_endpoint_;
  Endpoint target_endpoint_;      // as asked, when an address was asked for; the target's own, from RELAY on
  std::unique_ptr<char[]> name_;  // as asked; kept only for the log
  TimePoint begun_;
  TimePoint active_;  // when bytes last moved; when RESETTING began
  std::uint32_t lingered_bytes_ = 0;
  Events client_events_;  // latched until the relay takes over
  State state_ = State::kNego;
  End end_ = End::kNone;
  std::uint8_t reply_ = kNoReply;
  std::uint8_t target_attempt_ = 0;  // the one that won
  std::uint8_t command_ = kNoCommand;
  bool keepalive_ = false;
};

std::string_view Describe(Session::End end);

// The reply that tells a client of a failed connect (RFC 1928 section 6).
socks5::Reply ReplyFor(Fault fault);

}  // namespace penstock
