// Datagrams in batches: an inbox that receives many with one system call, and an outbox that sends many with one.
// Owned by a worker, one inbox and one outbox for each family for all its associations; its own thread only.
// Invariant: nothing stays in either between two turns, and nothing is copied: the outbox points into the inbox, which
// is why it is flushed before the inbox receives again. No byte of either belongs to an association at rest.
// Deliberately not here: who may send what to whom (associate.h), and waiting: what does not go at once is dropped.
//
// A slot of the inbox has room in front of the datagram for the header of an answer (socks5.h), so that an answer
// leaves as it came, from some bytes before:
//
//   | headroom: 22 | datagram: up to 65,527 |
//
// The kernel takes datagrams of one length to one destination as a single message, and cuts it apart as late as it can
// (UDP_SEGMENT): a batch to one destination then costs little more than one datagram. The outbox joins what it can:
// each message gathers its datagrams, all but the last of one length, from wherever they lie.
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

  // What came from one sender: one datagram, or several of one length (the last may be shorter) behind each other.
  struct Message {
    Endpoint from;
    std::span<std::uint8_t> bytes;
    std::size_t segment_bytes;  // of each datagram; bytes.size() for a single one
    std::span<std::uint8_t, kHeadroom> headroom;

    std::size_t datagrams() const { return bytes.empty() ? 1 : (bytes.size() + segment_bytes - 1) / segment_bytes; }

    // Calls `visit` with each datagram.
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

  // Replaces what is inside by what is there, kUdpBatch messages at most.
  Received Receive(int socket);

  // Message `index` of the last Receive.
  Message At(std::size_t index) const;

 private:
  std::uint8_t* SlotAt(std::size_t index) const { return room_.get() + index * kSlotBytes; }

  // Rounded up to an odd number of cache lines, so that the beginnings of all slots do not fall into the same cache
  // set.
  static constexpr std::size_t kSlotBytes = (kHeadroom + kUdpBytesMax) / 64 * 64 + 64;
  static_assert(kSlotBytes >= kHeadroom + kUdpBytesMax && kSlotBytes / 64 % 2 == 1);

  std::unique_ptr<std::uint8_t[]> room_;
  std::array<mmsghdr, kUdpBatch> messages_{};
  std::array<iovec, kUdpBatch> iovecs_{};
  std::array<sockaddr_storage, kUdpBatch> senders_;
  std::array<UdpControl, kUdpBatch> controls_;
  std::size_t used_ = kUdpBatch;  // messages that the kernel has written to
};

class DatagramOutbox {
 public:
  // What became of datagrams.
  struct Outcome {
    std::uint64_t sent = 0;
    std::uint64_t sent_bytes = 0;  // of data, without headers
    std::uint64_t full = 0;        // dropped: no room for them
    std::uint64_t failed = 0;      // dropped: nobody can be reached that way
  };

  DatagramOutbox();
  DatagramOutbox(const DatagramOutbox&) = delete;
  DatagramOutbox& operator=(const DatagramOutbox&) = delete;

  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == kUdpBatch || iovecs_used_ + 2 > iovecs_.size(); }

  // Puts one datagram, `header` and then `data`, into an outbox that is not full. Both must stay until Flush. `join`:
  // it may share a message with the one before it.
  void Add(const Endpoint& to, std::span<const std::uint8_t> header, std::span<const std::uint8_t> data, bool join);

  // Sends everything from `socket`, and is empty. `join` becomes false when the path does not take joined datagrams;
  // those have been sent one by one then.
  Outcome Flush(int socket, bool& join);

 private:
  struct Message {
    Endpoint to;
    std::size_t bytes = 0;
    std::size_t data_bytes = 0;
    std::size_t segment_bytes = 0;  // of each datagram but the last
    std::size_t segments = 0;
    bool complete = false;  // its last datagram is in
  };

  bool Joins(const Endpoint& to, std::size_t size) const;
  void Drop(std::size_t first, std::uint64_t& reason);
  void SendSeparately(int socket, std::size_t index, Outcome& outcome);

  std::array<Message, kUdpBatch> messages_;
  std::array<mmsghdr, kUdpBatch> msghdrs_{};
  std::array<sockaddr_storage, kUdpBatch> receivers_;
  std::array<UdpControl, kUdpBatch> controls_;
  std::array<iovec, kUdpIovecs> iovecs_;
  std::size_t count_ = 0;
  std::size_t iovecs_used_ = 0;
};

}  // namespace penstock
