// Where the kernel would send a packet: one question to its routing table (rtnetlink(7), RTM_GETROUTE).
// Owned by a worker, its own thread only.
// Invariant: an answer is as fresh as the question, and the answer to that question; nothing is remembered here, so an
// address that the host got a moment ago is known as its own.
// Deliberately not here: whether anyone may go there (guard.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "penstock/base/endpoint.h"
#include "penstock/os/fd.h"

namespace penstock {

enum class RouteKind : std::uint8_t {
  kElsewhere,  // another host, or no route at all: connecting will tell
  kThisHost,   // an address of this host, or one that it answers for
  kEverybody,  // broadcast, multicast or anycast
  kUnknown,    // the kernel would not say; it may be any of the others
};

// What a message of the kernel says, if it answers question `sequence` of the socket with this port id (netlink(7)).
std::optional<RouteKind> ReadRouteAnswer(std::span<const char> message, std::uint32_t sequence, std::uint32_t port);

class RouteTable {
 public:
  // Throws std::system_error when the system gives no netlink socket; at start-up only.
  RouteTable();

  // Of packets that leave as `source` says; null: as the kernel chooses. Two system calls, for the kernel answers
  // within the first, and three more for the number of an interface.
  RouteKind KindOf(const IpAddress& address, const Source* source = nullptr);

 private:
  Fd socket_;
  std::uint32_t port_ = 0;      // the socket's
  std::uint32_t sequence_ = 0;  // of the last question
};

}  // namespace penstock
