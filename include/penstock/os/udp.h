// UDP sockets, and many datagrams with one system call: recvmmsg(2) and sendmmsg(2), with the kernel's own joining of
// datagrams (UDP_GRO, UDP_SEGMENT; udp(7)).
// Stateless; any thread. A descriptor is owned by the Fd that OpenUdp returns and borrowed where a function takes an
// int. Invariant: errno ends here. Sockets made here are never connected: an ICMP error that one peer causes is
// reported to nobody (udp(7)), so it can never end what another one sends.
// Deliberately not here: whose bytes they are and where the messages point (datagrams.h).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "penstock/base/endpoint.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"

namespace penstock {

struct OpenedUdp {
  Fd socket;    // invalid exactly when `fault` is set
  Fault fault;  // kOther when the address is in use
};

// A socket that is bound to `at`; port 0 is one that the kernel picks at random. IPv6 sockets are IPV6_V6ONLY.
// Datagrams of one sender that came together may be received as one (SegmentBytes). Of `source`, unless null, the
// interface counts.
OpenedUdp OpenUdp(const Endpoint& at, const Source* source = nullptr);

// A socket that receives nothing and keeps the host's UDP_GRO switched on while it is open: the kernel rewrites its own
// code, with all CPUs stopped, for the first socket that wants it and when the last one has gone. Invalid where there
// is no such family, or no descriptor.
Fd KeepUdpGro(bool v4);

struct Received {
  IoStatus status;  // kDone: `count` messages, one at least; kAgain: none is there; kFault: ask again
  std::size_t count;
};

// Fills `messages` as far as datagrams are there. Fewer than asked for are all there were.
Received ReceiveMany(int socket, std::span<mmsghdr> messages);

struct Sent {
  enum class Status : std::uint8_t {
    kDone,      // `count` messages went, one at least; the next one says itself why it did not
    kFull,      // no room in the socket's buffer, or in the device's queue: the first did not go, for now
    kUnjoined,  // the first did not go because of its size, or because nobody can take its segments apart
    kFailed,    // the first did not go, and will not
  };
  Status status;
  std::size_t count;
};

Sent SendMany(int socket, std::span<mmsghdr> messages);

// Room for the one control message that each direction knows.
struct UdpControl {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> bytes;
};

// How long each of the datagrams is that were received as this one (the last may be shorter), or 0 for a single one.
std::size_t SegmentBytes(const msghdr& message);

// Makes the kernel cut `message` into datagrams of `segment_bytes` (the last may be shorter). `control` must stay.
void CutIntoSegments(msghdr& message, UdpControl& control, std::size_t segment_bytes);

}  // namespace penstock
