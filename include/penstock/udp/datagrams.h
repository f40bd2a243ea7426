// Datagrams in batches: an inbox that receives many with one recvmmsg(2), and an outbox that sends many with one
// sendmmsg(2).
// Owned by a worker: one inbox, and one outbox for each address family, for all its associations; its own thread only.
// Invariant: nothing is copied. The outbox points into the inbox, or into a waiting datagram, so it is flushed before
// the inbox receives again and is empty between two steps. An association at rest holds no byte of either.
// Does not: decide which datagrams may pass (associate.h), wait for buffer space: a datagram that cannot be sent at
// once is dropped.
//
// A slot of the inbox has headroom in front of the datagram for the UDP request header (RFC 1928 section 7), so that a
// datagram to the client is sent from where it was received, with the header before it:
//
//   | headroom: 22 | datagram: up to 65,527 |
//
// With UDP_SEGMENT (udp(7)) the kernel takes several datagrams of one length to one destination as one message and
// splits it as late as it can, so a batch to one destination costs little more than one datagram. The outbox joins
// consecutive datagrams into such messages; only the last of a message may be shorter. Their bytes need not be
// adjacent.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/socks5.h"
#include "penstock/os/udp.h"

namespace penstock {

class DatagramInbox {
 public:
  static constexpr std::size_t kHeadroom = socks5::kUdpHeaderBytesMax;

  // What one sender has sent: one datagram, or several of one length, of which the last may be shorter (UDP_GRO).
  struct Message {
    Endpoint from;
    std::span<std::uint8_t> bytes;                // of all datagrams, in order
    std::size_t segment_bytes;                    // of each datagram; bytes.size() for a single one
    std::span<std::uint8_t, kHeadroom> headroom;  // ends where `bytes` begins

    std::size_t datagrams() const { return bytes.empty() ? 1 : (bytes.size() + segment_bytes - 1) / segment_bytes; }

    // Calls `visit` with each datagram, in order. A message of no bytes is one empty datagram.
    template <class Visit>
    void ForEach(Visit visit) const {
      std::size_t at = 0;
      do {
        const std::size_t size = std::min(segment_bytes, bytes.size() - at);
        visit(bytes.subspan(at, size));
        at += size;
      } while (at < bytes.size());
    }
  };

  DatagramInbox();
  DatagramInbox(const DatagramInbox&) = delete;
  DatagramInbox& operator=(const DatagramInbox&) = delete;

  // Replaces the contents by what `socket` has received, at most kUdpBatch messages. Returns as ReceiveMany does
  // (os/udp.h).
  Received Receive(int socket);

  // Message `index` of the last Receive, below the count that it returned. Valid until the next Receive.
  Message At(std::size_t index) const;

 private:
  std::uint8_t* SlotAt(std::size_t index) const { return room_.get() + index * kSlotBytes; }

  // Rounded up to an odd number of cache lines, so that the slots do not all begin in the same cache set.
  static constexpr std::size_t kSlotBytes = (kHeadroom + kUdpBytesMax) / 64 * 64 + 64;
  static_assert(kSlotBytes >= kHeadroom + kUdpBytesMax && kSlotBytes / 64 % 2 == 1);

  std::unique_ptr<std::uint8_t[]> room_;
  std::array<mmsghdr, kUdpBatch> messages_{};
  std::array<iovec, kUdpBatch> iovecs_{};
  std::array<sockaddr_storage, kUdpBatch> senders_;
  std::array<UdpControl, kUdpBatch> controls_;
  std::size_t used_ = kUdpBatch;  // messages that the kernel may have written to, and that must be reset
};

class DatagramOutbox {
 public:
  // The result of a Flush, in datagrams.
  struct Outcome {
    std::uint64_t sent = 0;
    std::uint64_t sent_bytes = 0;  // of data, without headers
    std::uint64_t full = 0;        // dropped: the send buffer or the queue of the device was full
    std::uint64_t failed = 0;      // dropped: sendmmsg(2) failed, as for an unreachable destination
  };

  DatagramOutbox();
  DatagramOutbox(const DatagramOutbox&) = delete;
  DatagramOutbox& operator=(const DatagramOutbox&) = delete;

  bool empty() const { return count_ == 0; }

  // True if there might be no room for another datagram: flush first.
  bool full() const { return count_ == kUdpBatch || iovecs_used_ + 2 > iovecs_.size(); }

  // Adds one datagram, `header` and then `data`, to an outbox that is not full. Both must stay valid until Flush. If
  // `join` is true, it may be joined with the datagram before it.
  void Add(const Endpoint& to, std::span<const std::uint8_t> header, std::span<const std::uint8_t> data, bool join);

  // Sends everything from `socket` and empties the outbox. Sets `join` to false if joined datagrams cannot be sent from
  // this socket (Sent::Status::kUnjoined); they have been sent one by one then.
  Outcome Flush(int socket, bool& join);

 private:
  // Of one header in msghdrs_.
  struct Message {
    Endpoint to;
    std::size_t bytes = 0;
    std::size_t data_bytes = 0;
    std::size_t segment_bytes = 0;  // of each datagram but the last
    std::size_t segments = 0;
    bool complete = false;  // no other datagram can be joined: the last one was shorter, empty or too long
  };

  bool Joins(const Endpoint& to, std::size_t size) const;
  void Drop(std::size_t first, std::uint64_t& reason);
  void SendSeparately(int socket, std::size_t index, Outcome& outcome);

  std::array<Message, kUdpBatch> messages_;
  std::array<mmsghdr, kUdpBatch> msghdrs_{};
  std::array<sockaddr_storage, kUdpBatch> receivers_;
  std::array<UdpControl, kUdpBatch> controls_;
  std::array<iovec, kUdpIovecs> iovecs_;
  std::size_t count_ = 0;  // of messages_
  std::size_t iovecs_used_ = 0;
};

}  // namespace penstock
