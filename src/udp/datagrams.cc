#include "penstock/udp/datagrams.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace penstock {

// --- In ------------------------------------------------------------------------------------------------------------

// Not cleared: the pages that no datagram has reached yet are not there.
DatagramInbox::DatagramInbox() : room_(new std::uint8_t[kUdpBatch * kSlotBytes]) {
  for (std::size_t i = 0; i < kUdpBatch; ++i) {
    pieces_[i] = {SlotAt(i) + kRoomBefore, kUdpBytesMax};
    messages_[i].msg_hdr.msg_iov = &pieces_[i];
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
  // The kernel also writes to the message after the last one when it finds nothing for it.
  used_ = std::min(received.count + 1, kUdpBatch);
  return received;
}

DatagramInbox::Message DatagramInbox::At(std::size_t index) const {
  const mmsghdr& message = messages_[index];
  std::uint8_t* const slot = SlotAt(index);
  const std::size_t size = message.msg_len;
  const std::size_t segment = SegmentBytes(message.msg_hdr);
  return {Endpoint::FromSockaddr(senders_[index]),
          {slot + kRoomBefore, size},
          segment == 0 ? size : segment,
          std::span<std::uint8_t, kRoomBefore>(slot, kRoomBefore)};
}

// --- Out -----------------------------------------------------------------------------------------------------------

DatagramOutbox::DatagramOutbox() {
  for (std::size_t i = 0; i < kUdpBatch; ++i) messages_[i].msg_hdr.msg_name = &receivers_[i];
}

bool DatagramOutbox::Joins(const Endpoint& to, std::size_t size) const {
  if (count_ == 0) return false;
  const Parcel& last = parcels_[count_ - 1];
  return !last.closed && size > 0 && size <= last.segment_bytes && last.segments < kUdpSegmentsMax &&
         last.bytes + size <= kUdpJoinedBytesMax && last.to == to;
}

void DatagramOutbox::Add(const Endpoint& to, std::span<const std::uint8_t> header, std::span<const std::uint8_t> data,
                         bool join) {
  assert(!full());
  const std::size_t size = header.size() + data.size();
  const auto add_piece = [&](std::span<const std::uint8_t> bytes) {
    // iovec is made for both directions; sendmmsg(2) only reads.
    pieces_[pieces_used_++] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  };
  if (!join || !Joins(to, size)) {
    msghdr& message = messages_[count_].msg_hdr;
    message.msg_namelen = to.ToSockaddr(&receivers_[count_]);
    message.msg_iov = &pieces_[pieces_used_];
    message.msg_iovlen = 0;
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    const std::size_t longest = to.ip.is_v4() ? kUdpSegmentBytesMaxIpv4 : kUdpSegmentBytesMaxIpv6;
    parcels_[count_++] = {to, 0, 0, size, 0, size == 0 || size > longest};
  }
  Parcel& parcel = parcels_[count_ - 1];
  msghdr& message = messages_[count_ - 1].msg_hdr;
  const std::size_t before = pieces_used_;
  if (header.data() + header.size() == data.data()) {
    add_piece({header.data(), size});
  } else {
    if (!header.empty()) add_piece(header);
    add_piece(data);
  }
  message.msg_iovlen += pieces_used_ - before;
  parcel.bytes += size;
  parcel.data_bytes += data.size();
  ++parcel.segments;
  if (size < parcel.segment_bytes) parcel.closed = true;
}

DatagramOutbox::Outcome DatagramOutbox::Flush(int socket, bool& join) {
  Outcome outcome;
  for (std::size_t i = 0; i < count_; ++i) {
    if (parcels_[i].segments > 1) CutIntoSegments(messages_[i].msg_hdr, controls_[i], parcels_[i].segment_bytes);
  }
  std::size_t next = 0;
  while (next < count_) {
    const Sent sent = SendMany(socket, std::span(messages_).subspan(next, count_ - next));
    switch (sent.status) {
      case Sent::Status::kDone:
        for (const Parcel& parcel : std::span(parcels_).subspan(next, sent.count)) {
          outcome.sent += parcel.segments;
          outcome.sent_bytes += parcel.data_bytes;
        }
        next += sent.count;
        break;
      case Sent::Status::kFull:  // and so would the rest find it
        Drop(next, outcome.full);
        next = count_;
        break;
      case Sent::Status::kUnjoined:
        if (parcels_[next].segments > 1) {
          join = false;
          SendApart(socket, next, outcome);
        } else {
          ++outcome.failed;
        }
        ++next;
        break;
      case Sent::Status::kFailed:
        outcome.failed += parcels_[next].segments;
        ++next;
        break;
    }
  }
  count_ = 0;
  pieces_used_ = 0;
  return outcome;
}

// Everything from parcel `first` on.
void DatagramOutbox::Drop(std::size_t first, std::uint64_t& reason) {
  for (const Parcel& parcel : std::span(parcels_).subspan(first, count_ - first)) reason += parcel.segments;
}

// Sends the datagrams of a parcel that nobody takes as one.
void DatagramOutbox::SendApart(int socket, std::size_t index, Outcome& outcome) {
  const Parcel& parcel = parcels_[index];
  const msghdr& whole = messages_[index].msg_hdr;
  const std::size_t headers = parcel.bytes - parcel.data_bytes;
  std::size_t piece = 0;
  for (std::size_t segment = 0; segment < parcel.segments; ++segment) {
    mmsghdr single{};
    single.msg_hdr.msg_name = whole.msg_name;
    single.msg_hdr.msg_namelen = whole.msg_namelen;
    single.msg_hdr.msg_iov = whole.msg_iov + piece;
    const std::size_t size = std::min(parcel.segment_bytes, parcel.bytes - segment * parcel.segment_bytes);
    for (std::size_t filled = 0; filled < size; filled += whole.msg_iov[piece++].iov_len) ++single.msg_hdr.msg_iovlen;
    switch (SendMany(socket, {&single, 1}).status) {
      case Sent::Status::kDone:
        ++outcome.sent;
        outcome.sent_bytes += size - headers / parcel.segments;
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
