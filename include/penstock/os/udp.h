// UDP sockets, and many datagrams with one system call: recvmmsg(2), sendmmsg(2), UDP_GRO and UDP_SEGMENT (udp(7)).
// Stateless; any thread. A returned Fd owns its descriptor; an int argument is borrowed.
// Invariant: errno ends here. Sockets made here are never connected, so the kernel reports no ICMP errors (udp(7)), and
// an error from one peer cannot stop datagrams to another.
// Deliberately not here: the buffers of messages and their owner (udp/datagrams.h).
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
  Fault fault;  // kOther: the address is in use
};

// Returns a socket that is bound to `at`, and to the interface of `source` unless that is null. Port 0: the kernel
// picks a random one. IPv6 sockets have IPV6_V6ONLY. With UDP_GRO, several datagrams of one sender may be received as
// one message (SegmentBytes).
OpenedUdp OpenUdp(const Endpoint& at, const Source* source = nullptr);

// Returns a socket that receives nothing and keeps UDP_GRO enabled in the kernel while it is open. When the first
// socket enables UDP_GRO and when the last one closes, the kernel patches its own code with all CPUs stopped. Invalid
// if the host has no such family or no descriptor.
Fd KeepUdpGro(bool v4);

struct Received {
  IoStatus status;  // kDone: `count` messages, at least one; kAgain: none is queued; kFault: call again
  std::size_t count;
};

// recvmmsg(2): fills the first `count` of `messages`. Fewer than messages.size(): the queue was empty after them.
Received ReceiveMany(int socket, std::span<mmsghdr> messages);

struct Sent {
  enum class Status : std::uint8_t {
    kDone,      // `count` messages were sent, at least one; send the rest to learn why the next one was not
    kFull,      // the send buffer or the queue of the device is full: none was sent; later it may be
    kUnjoined,  // the first is too long, or UDP_SEGMENT does not work for it: send its datagrams one by one
    kFailed,    // the first cannot be sent
  };
  Status status;
  std::size_t count;
};

// sendmmsg(2) of `messages`, which is not empty.
Sent SendMany(int socket, std::span<mmsghdr> messages);

// Space for one control message (cmsg(3)): UDP_GRO when receiving, UDP_SEGMENT when sending.
struct UdpControl {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> bytes;
};

// The length of each datagram in a received message; the last may be shorter. 0 if the message is one datagram.
std::size_t SegmentBytes(const msghdr& message);

// Makes the kernel split `message` into datagrams of `segment_bytes`; the last may be shorter. `control` must live
// until the message is sent.
void CutIntoSegments(msghdr& message, UdpControl& control, std::size_t segment_bytes);

}  // namespace penstock
