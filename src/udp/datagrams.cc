#include "penstock/udp/datagrams.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace penstock {

// --- In ------------------------------------------------------------------------------------------------------------

// The buffer is not cleared, so the kernel backs only pages that a datagram has reached.
DatagramInbox::DatagramInbox() : room_(new std::uint8_t[kUdpBatch * kSlotBytes]) {
  for (std::size_t i = 0; i < kUdpBatch; ++i) {
    iovecs_[i] = {SlotAt(i) + kHeadroom, kUdpBytesMax};
    messages_[i].msg_hdr.msg_iov = &iovecs_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &senders_[i];
    messages_[i].msg_hdr.msg_control = controls_[i].bytes.data();
  }
}

Received DatagramInbox::Receive(int socket) {
  for (mmsghdr& message : std::span(messages_).first(used_)) {
    message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    message.msg_hdr.msg_controllen = sizeof(UdpControl);
  }
  const Received received = ReceiveMany(socket, messages_);
  // When the queue is empty, the kernel has also written to the message after the last one.
  used_ = std::min(received.count + 1, kUdpBatch);
  return received;
}

DatagramInbox::Message DatagramInbox::At(std::size_t index) const {
  const mmsghdr& message = messages_[index];
  std::uint8_t* const slot = SlotAt(index);
  const std::size_t size = message.msg_len;
  const std::size_t segment = SegmentBytes(message.msg_hdr);
  return {Endpoint::FromSockaddr(senders_[index]),
          {slot + kHeadroom, size},
          segment == 0 ? size : segment,
          std::span<std::uint8_t, kHeadroom>(slot, kHeadroom)};
}

// --- Out -----------------------------------------------------------------------------------------------------------

DatagramOutbox::DatagramOutbox() {
  for (std::size_t i = 0; i < kUdpBatch; ++i) msghdrs_[i].msg_hdr.msg_name = &receivers_[i];
}

bool DatagramOutbox::Joins(const Endpoint& to, std::size_t size) const {
  if (count_ == 0) return false;
  const Message& last = messages_[count_ - 1];
  return !last.complete && size > 0 && size <= last.segment_bytes && last.segments < kUdpSegmentsMax &&
         last.bytes + size <= kUdpJoinedBytesMax && last.to == to;
}

void DatagramOutbox::Add(const Endpoint& to, std::span<const std::uint8_t> header, std::span<const std::uint8_t> data,
                         bool join) {
  assert(!full());
  const std::size_t size = header.size() + data.size();
  const auto add_iovec = [&](std::span<const std::uint8_t> bytes) {
    // An iovec serves both directions; sendmmsg(2) only reads.
    iovecs_[iovecs_used_++] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  };
  if (!join || !Joins(to, size)) {
    msghdr& msg = msghdrs_[count_].msg_hdr;
    msg.msg_namelen = to.ToSockaddr(&receivers_[count_]);
    msg.msg_iov = &iovecs_[iovecs_used_];
    msg.msg_iovlen = 0;
    msg.msg_control = nullptr;
    msg.msg_controllen = 0;
    const std::size_t longest = to.ip.is_v4() ? kUdpSegmentBytesMaxIpv4 : kUdpSegmentBytesMaxIpv6;
    messages_[count_++] = {to, 0, 0, size, 0, size == 0 || size > longest};
  }
  Message& message = messages_[count_ - 1];
  msghdr& msg = msghdrs_[count_ - 1].msg_hdr;
  const std::size_t before = iovecs_used_;
  if (header.data() + header.size() == data.data()) {
    add_iovec({header.data(), size});
  } else {
    if (!header.empty()) add_iovec(header);
    add_iovec(data);
  }
  msg.msg_iovlen += iovecs_used_ - before;
  message.bytes += size;
  message.data_bytes += data.size();
  ++message.segments;
  if (size < message.segment_bytes) message.complete = true;
}

DatagramOutbox::Outcome DatagramOutbox::Flush(int socket, bool& join) {
  Outcome outcome;
  for (std::size_t i = 0; i < count_; ++i) {
    if (messages_[i].segments > 1) CutIntoSegments(msghdrs_[i].msg_hdr, controls_[i], messages_[i].segment_bytes);
  }
  std::size_t next = 0;
  while (next < count_) {
    const Sent sent = SendMany(socket, std::span(msghdrs_).subspan(next, count_ - next));
    switch (sent.status) {
      case Sent::Status::kDone:
        for (const Message& message : std::span(messages_).subspan(next, sent.count)) {
          outcome.sent += message.segments;
          outcome.sent_bytes += message.data_bytes;
        }
        next += sent.count;
        break;
      case Sent::Status::kFull:  // the rest would find it full, too
        Drop(next, outcome.full);
        next = count_;
        break;
      case Sent::Status::kUnjoined:
        if (messages_[next].segments > 1) {
          join = false;
          SendSeparately(socket, next, outcome);
        } else {
          ++outcome.failed;
        }
        ++next;
        break;
      case Sent::Status::kFailed:
        outcome.failed += messages_[next].segments;
        ++next;
        break;
    }
  }
  count_ = 0;
  iovecs_used_ = 0;
  return outcome;
}

// Counts all datagrams from message `first` on as dropped for `reason`.
void DatagramOutbox::Drop(std::size_t first, std::uint64_t& reason) {
  for (const Message& message : std::span(messages_).subspan(first, count_ - first)) reason += message.segments;
}

// Sends the datagrams of a message one by one that cannot be sent joined.
void DatagramOutbox::SendSeparately(int socket, std::size_t index, Outcome& outcome) {
  const Message& message = messages_[index];
  const msghdr& whole = msghdrs_[index].msg_hdr;
  const std::size_t headers = message.bytes - message.data_bytes;
  std::size_t iovec_index = 0;
  for (std::size_t segment = 0; segment < message.segments; ++segment) {
    mmsghdr single{};
    single.msg_hdr.msg_name = whole.msg_name;
    single.msg_hdr.msg_namelen = whole.msg_namelen;
    single.msg_hdr.msg_iov = whole.msg_iov + iovec_index;
    const std::size_t size = std::min(message.segment_bytes, message.bytes - segment * message.segment_bytes);
    for (std::size_t filled = 0; filled < size; filled += whole.msg_iov[iovec_index++].iov_len)
      ++single.msg_hdr.msg_iovlen;
    switch (SendMany(socket, {&single, 1}).status) {
      case Sent::Status::kDone:
        ++outcome.sent;
        outcome.sent_bytes += size - headers / message.segments;
        break;
      case Sent::Status::kFull:
        ++outcome.full;
        break;
      case Sent::Status::kUnjoined:
      case Sent::Status::kFailed:
        ++outcome.failed;
        break;
    }
  }
}

}  // namespace penstock
