// BIND (RFC 1928 section 4): waits on a listening socket for the one peer that the client expects.
// Owned by a session's Handshake, as a member; its worker's thread only. It owns the listener until the peer is
// accepted, and then the peer's socket until TakePeer.
// Invariants:
//   - A peer is accepted only if its address is one of those that were passed to ListenFor or, if any peer may connect,
//     if the client may reach it (access.h). Every other peer is reset and counted, and the wait continues.
//   - While the wait is paused, because no descriptor is left for accept4(2), its retry is armed: the edge of a peer in
//     the backlog has been reported already, and no other edge will come for it.
// Does not: resolve the peer's name, set a deadline for the wait, send the replies (handshake.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "penstock/base/counters.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"
#include "penstock/os/poller.h"
#include "penstock/os/socket.h"
#include "penstock/os/timers.h"
#include "penstock/policy/access.h"
#include "penstock/udp/port_pool.h"

namespace penstock {

// What a worker lends for the length of a call.
struct BindTools {
  Access access;  // of the client
  Poller& poller;
  DeadlineQueue& retries;  // the delay before a retry
  Counters& counters;
  const Clock& clock;
  PortPool& ports;  // of listeners: --bind-ports
};

class BindWait {
 public:
  enum class Progress : std::uint8_t {
    kWaiting,     // an edge of the listener or the retry will come; then call Step
    kUnfinished,  // more peers may be in the backlog: call Step again in the next turn
    kAccepted,    // the peer is connected: call TakePeer
  };

  // The cookie of the listener is `listener_tag` and `owner`, the cookie of the retry `retry_tag` and `owner`.
  BindWait(Handle owner, std::uint8_t listener_tag, std::uint8_t retry_tag)
      : owner_(owner), listener_tag_(listener_tag), retry_({retry_tag, owner}) {}

  // Listens for one of `peers`, on the address that this host uses towards the first of them that has a route. There is
  // at least one; those after kAddressesPerName are ignored. `sources` is as in Dialer::Begin, and used during the call
  // only. Errors: kExhausted: no descriptor or memory; kOther: no free port (port_pool.h); otherwise why the last of
  // `peers` has no route.
  Fault ListenFor(std::span<const IpAddress> peers, const BindTools& tools,
                  std::span<const Source* const> sources = {});

  // Listens for any peer, on the address and scope of `at`; its port is ignored. Errors: those of bind(2) and
  // listen(2), kExhausted and kOther as above.
  Fault ListenForAnyPeer(const Endpoint& at, const BindTools& tools) { return Open(at, tools); }

  bool listening() const { return listener_.valid(); }

  // Where the listener is bound: BND of the first reply. Call it while listening() is true.
  Endpoint at() const { return LocalEndpoint(listener_.get()); }

  // The listener has an edge; call Step next.
  void OnListener() { ready_ = true; }

  // Accepts and checks peers, at most kBindPeersPerTurn. `port` is DST.PORT of the request, against which the rules
  // evaluate a peer if any may connect; a peer's own port is ephemeral. Call it also when the retry has expired.
  Progress Step(std::uint16_t port, const BindTools& tools);

  // The peer's socket and address. Call it once, after kAccepted; the listener is closed by then.
  Accepted TakePeer() { return std::move(peer_); }

 private:
  Fault Open(Endpoint at, const BindTools& tools);
  Progress AcceptPeers(std::uint16_t port, const BindTools& tools);
  bool IsExpected(const IpAddress& peer, std::uint16_t port, const Access& access) const;
  void CheckInvariants() const;

  std::array<IpAddress, kAddressesPerName> peers_;
  std::size_t count_ = 0;  // of peers_; 0: any peer
  PortLease port_;         // of the listener
  Fd listener_;
  Accepted peer_{Accepted::Status::kNone, Fd(), {}};
  Handle owner_;
  std::uint8_t listener_tag_;
  bool ready_ = false;  // a latch: a peer may be in the backlog
  Deadline retry_;      // armed: paused, without descriptors or memory
};

}  // namespace penstock
