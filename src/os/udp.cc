#include "penstock/os/udp.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/socket.h"

namespace penstock {
namespace {

void SetUdpOption(int socket, int level, int name, int value) {
  ::setsockopt(socket, level, name, &value, sizeof value);
}

void EnableGro(int socket) { SetUdpOption(socket, SOL_UDP, UDP_GRO, 1); }  // fails on older kernels, without harm

// Repeats `call` while it fails with EINTR.
template <class Call>
int TryBatch(Call call) {
  for (;;) {
    const int count = call();
    if (count >= 0 || errno != EINTR) return count;
  }
}

}  // namespace

OpenedUdp OpenUdp(const Endpoint& at, const Source* source) {
  Fd socket(::socket(at.ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return {Fd(), FaultOfErrno(errno)};
  if (!at.ip.is_v4()) SetUdpOption(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (source != nullptr) {
    if (const Fault fault = BindToInterface(socket.get(), *source); fault != Fault::kNone) return {Fd(), fault};
  }
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return {Fd(), FaultOfErrno(errno)};
  // Holds a burst while the worker serves others. The kernel limits the size to rmem_max and allocates it on demand.
  SetUdpOption(socket.get(), SOL_SOCKET, SO_RCVBUF, kUdpReceiveBuffer);
  EnableGro(socket.get());
  return {std::move(socket), Fault::kNone};
}

Fd KeepUdpGro(bool v4) {
  Fd socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.valid()) EnableGro(socket.get());
  return socket;
}

Received ReceiveMany(int socket, std::span<mmsghdr> messages) {
  const int count =
      TryBatch([&] { return ::recvmmsg(socket, messages.data(), static_cast<unsigned>(messages.size()), 0, nullptr); });
  if (count > 0) return {IoStatus::kDone, static_cast<std::size_t>(count)};
  return {count == 0 || errno == EAGAIN ? IoStatus::kAgain : IoStatus::kFault, 0};
}

Sent SendMany(int socket, std::span<mmsghdr> messages) {
  const int count = TryBatch(
      [&] { return ::sendmmsg(socket, messages.data(), static_cast<unsigned>(messages.size()), MSG_NOSIGNAL); });
  if (count > 0) return {Sent::Status::kDone, static_cast<std::size_t>(count)};
  switch (errno) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return {Sent::Status::kFull, 0};
    case EMSGSIZE:  // a segment is longer than the path's MTU; EINVAL on older kernels
    case EINVAL:
    case EIO:  // the device cannot add checksums to segments
      return {Sent::Status::kUnjoined, 0};
    default:
      return {Sent::Status::kFailed, 0};
  }
}

std::size_t SegmentBytes(const msghdr& message) {
  for (const cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(control))) {
    if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    return size > 0 ? static_cast<std::size_t>(size) : 0;
  }
  return 0;
}

void CutIntoSegments(msghdr& message, UdpControl& control, std::size_t segment_bytes) {
  control = {};
  message.msg_control = control.bytes.data();
  message.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto size = static_cast<std::uint16_t>(segment_bytes);
  std::memcpy(CMSG_DATA(header), &size, sizeof size);
}

}  // namespace penstock
