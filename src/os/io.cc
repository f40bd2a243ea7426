#include "penstock/os/io.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace penstock {
namespace {

// Repeats `call` while it fails with EINTR. A result of 0 is the end of file.
template <class Call>
IoResult Try(Call call) {
  for (;;) {
    const ssize_t moved = call();
    if (moved > 0) return {IoStatus::kDone, Fault::kNone, static_cast<std::size_t>(moved)};
    if (moved == 0) return {IoStatus::kEnd, Fault::kNone, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return {IoStatus::kAgain, Fault::kNone, 0};
    return {IoStatus::kFault, FaultOfErrno(errno), 0};
  }
}

}  // namespace

Fault FaultOfErrno(int error) {
  switch (error) {
    case 0:
      return Fault::kNone;
    case ECONNREFUSED:
      return Fault::kRefused;
    case ECONNRESET:
    case EPIPE:
      return Fault::kReset;
    case ENETUNREACH:
    case ENETDOWN:
      return Fault::kNetworkUnreachable;
    case EHOSTUNREACH:
    case EHOSTDOWN:
      return Fault::kHostUnreachable;
    case ETIMEDOUT:
      return Fault::kTimedOut;
    case EPERM:
    case EACCES:
      return Fault::kDenied;
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
      return Fault::kNoFamily;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return Fault::kExhausted;
    default:
      return Fault::kOther;
  }
}

IoResult Receive(int socket, std::span<std::uint8_t> room) {
  return Try([&] { return ::recv(socket, room.data(), room.size(), 0); });
}

IoResult Peek(int socket, std::span<std::uint8_t> room) {
  return Try([&] { return ::recv(socket, room.data(), room.size(), MSG_PEEK); });
}

IoResult Discard(int socket, std::size_t bytes) {
  return Try([&] { return ::recv(socket, nullptr, bytes, MSG_TRUNC); });
}

IoResult Send(int socket, std::span<const std::uint8_t> bytes) {
  return Try([&] { return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
}

IoResult SendLast(int socket, std::span<const std::uint8_t> bytes) {
  return Try([&] { return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_MORE); });
}

IoResult SpliceIn(int socket, int pipe_write, std::size_t bytes) {
  return Try([&] { return ::splice(socket, nullptr, pipe_write, nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK); });
}

IoResult SpliceOut(int pipe_read, int socket, std::size_t bytes) {
  return Try([&] { return ::splice(pipe_read, nullptr, socket, nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK); });
}

}  // namespace penstock
