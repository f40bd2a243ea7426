// BIND (RFC 1928 section 4): waits on a listening socket for the one peer that a client expects.
// A member of a session's handshake; its worker's thread only. It owns the listener until the peer has come, and then
// the peer's socket until it is taken.
// Invariant: nobody comes in whom the client did not name, or whom it might not be connected to (access.h): whoever
// else connects is reset, and the wait goes on. While it is paused, its retry is armed: no edge will tell of who waits.
// Deliberately not here: looking the peer's name up, the deadline for all of it, and the replies (handshake.h).
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

// What a worker lends to the wait whose turn it is.
struct BindTools {
  Access access;
  Poller& poller;
  DeadlineQueue& retries;
  Counters& counters;
  const Clock& clock;
  PortPool& ports;
};

class BindWait {
 public:
  enum class Progress : std::uint8_t {
    kWaiting,     // for an edge of the listener, or for the retry
    kUnfinished,  // more peers may be waiting: give it another turn
    kAccepted,    // TakePeer()
  };

  // The listener is registered with the poller under `listener_tag` and `owner`; the retry yields `retry_tag` and
  // `owner`.
  BindWait(Handle owner, std::uint8_t listener_tag, std::uint8_t retry_tag)
      : owner_(owner), listener_tag_(listener_tag), retry_({retry_tag, owner}) {}

  // Listens for one of `peers`, one at least, on the address that this host would use towards the first of them that it
  // has a way to; more than kAddressesPerName are left out. kNone, or why it cannot.
  // `sources`: as in Dialer::Begin.
  Fault ListenFor(std::span<const IpAddress> peers, const BindTools& tools,
                  std::span<const Source* const> sources = {});

  // Listens for anybody, on the address and scope of `at`.
  Fault ListenForAnyPeer(const Endpoint& at, const BindTools& tools) { return Open(at, tools); }

  bool listening() const { return listener_.valid(); }
  Endpoint at() const { return LocalEndpoint(listener_.get()); }

  void OnListener() { ready_ = true; }

  // Judges those who have connected, kBindPeersPerTurn at most. `port`: that the client asked for.
  Progress Step(std::uint16_t port, const BindTools& tools);

  // Once, after kAccepted. The listener is closed by then.
  Accepted TakePeer() { return std::move(peer_); }

 private:
  Fault Open(Endpoint at, const BindTools& tools);
  Progress AcceptPeers(std::uint16_t port, const BindTools& tools);
  bool IsExpected(const IpAddress& peer, std::uint16_t port, const Access& access) const;
  void CheckInvariants() const;

  std::array<IpAddress, kAddressesPerName> peers_;
  std::size_t count_ = 0;  // 0: anyone
  PortLease port_;         // of the listener
  Fd listener_;
  Accepted peer_{Accepted::Status::kNone, Fd(), {}};
  Handle owner_;
  std::uint8_t listener_tag_;
  bool ready_ = false;  // a latch: somebody may be waiting
  Deadline retry_;      // armed: out of descriptors or memory
};

}  // namespace penstock
