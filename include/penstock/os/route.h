// Queries of the kernel's routing table (rtnetlink(7), RTM_GETROUTE).
// Owned by a worker; its own thread only.
// Invariant: each result comes from a query of its own; nothing is cached. So an address that the host has just got is
// known as its own.
// Deliberately not here: whether a client may reach an address (policy/guard.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "penstock/base/endpoint.h"
#include "penstock/os/fd.h"

namespace penstock {

enum class RouteKind : std::uint8_t {
  kElsewhere,  // another host, or no route: connect(2) will tell
  kThisHost,   // a local address: packets to it stay on this host
  kEverybody,  // broadcast, multicast or anycast
  kUnknown,    // the query failed: it may be any of the others
};

// The result in a netlink message; nothing if it is not the answer to query `sequence` of the socket with the netlink
// port id `port` (netlink(7)).
std::optional<RouteKind> ReadRouteAnswer(std::span<const char> message, std::uint32_t sequence, std::uint32_t port);

class RouteTable {
 public:
  // Throws std::system_error if the system gives no netlink socket.
  RouteTable();

  // The kind of the route to `address` for packets from `source`; null: without a source. Two system calls, as the
  // kernel answers during the first; three more if `source` names an interface.
  RouteKind KindOf(const IpAddress& address, const Source* source = nullptr);

 private:
  Fd socket_;
  std::uint32_t port_ = 0;      // the netlink port id of the socket
  std::uint32_t sequence_ = 0;  // of the last query
};

}  // namespace penstock
