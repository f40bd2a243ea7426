// Helpers of the unit tests: connected sockets, waits with a timeout, and a process without free descriptors.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/endpoint.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"
#include "penstock/os/socket.h"
#include "test/support/address.h"
#include "test/support/wait.h"

namespace penstock::unit {

using test::At;
using test::Ip;
using test::kTestTimeout;
using test::WaitUntil;

inline std::span<const std::uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// `size` bytes in which a lost, repeated or moved byte is detected.
inline std::string Pattern(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

// True if one of `events` (poll(2)) happens for `fd` within `timeout`.
inline bool WaitFor(int fd, int events, std::chrono::milliseconds timeout = kTestTimeout) {
  pollfd entry{fd, static_cast<short>(events), 0};
  int count = 0;
  do {
    count = ::poll(&entry, 1, static_cast<int>(timeout.count()));
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

inline int IntOption(int socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, level, name, &value, &size) == 0 ? value : -1;
}

inline bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// Bytes that can be read from a socket or a pipe.
inline std::size_t Readable(int fd) {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

// The largest socket buffer that the system grants to every user (socket(7)).
inline std::size_t BufferBytesMax() {
  std::size_t receive = 0;
  std::size_t send = 0;
  std::ifstream("/proc/sys/net/core/rmem_max") >> receive;
  std::ifstream("/proc/sys/net/core/wmem_max") >> send;
  return std::min(receive, send);
}

// True if this host has IPv6, at least on loopback; tests that need it are skipped if not.
inline bool HasV6() {
  std::string error;
  return Listen(At("[::1]:0"), &error).valid();
}

inline Fd MustListen(const Endpoint& at) {
  std::string error;
  Fd listener = Listen(at, &error);
  REQUIRE_MESSAGE(listener.valid(), error);
  return listener;
}

// The two ends of a TCP connection: `near` is under test, `far` is its peer. Both have the gateway's socket options.
struct Pair {
  Fd near;
  Fd far;
};

// With `buffer_bytes` both sides get send and receive buffers of about that size, otherwise the system's default.
inline Pair TcpPair(int buffer_bytes = 0) {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const auto limit_buffers = [&](int socket) {
    if (buffer_bytes == 0) return;
    // Beyond the system's limits where that is allowed, as for root.
    if (::setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0) {
      ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    }
    if (::setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0) {
      ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    }
  };
  limit_buffers(listener.get());  // inherited

  Pair pair;
  pair.far = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  limit_buffers(pair.far.get());  // before the handshake, which fixes the window scale
  const int yes = 1;
  ::setsockopt(pair.far.get(), SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
  sockaddr_storage address;
  const socklen_t size = LocalEndpoint(listener.get()).ToSockaddr(&address);
  const int begun = ::connect(pair.far.get(), reinterpret_cast<const sockaddr*>(&address), size);
  REQUIRE((begun == 0 || errno == EINPROGRESS));
  REQUIRE(WaitFor(listener.get(), POLLIN));
  pair.near = Accept(listener.get()).socket;
  REQUIRE(pair.near.valid());
  REQUIRE(WaitFor(pair.far.get(), POLLOUT));
  return pair;
}

// Closes with a reset, even if bytes are still under way.
inline void AbortNow(Fd& socket) {
  AbortOnClose(socket.get());
  socket.Close();
}

// The same, once the peer's kernel has acknowledged all bytes.
inline void Reset(Fd& socket) {
  REQUIRE(WaitUntil([&] { return UnsentBytes(socket.get()) == 0; }));
  AbortNow(socket);
}

// Sends as much of `text` as the socket accepts now; returns the number of bytes.
inline std::size_t SendSome(int socket, std::string_view text) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    const IoResult result = Send(socket, Bytes(text.substr(sent)));
    if (result.status != IoStatus::kDone) break;
    sent += result.bytes;
  }
  return sent;
}

// Receives what is there now.
inline std::string ReceiveSome(int socket, IoResult* last = nullptr) {
  std::string text;
  std::vector<std::uint8_t> room(64 * 1024);
  for (;;) {
    const IoResult result = Receive(socket, room);
    if (last != nullptr) *last = result;
    if (result.status != IoStatus::kDone) return text;
    text.append(reinterpret_cast<const char*>(room.data()), result.bytes);
  }
}

// While it exists, no descriptor can be opened (EMFILE).
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace penstock::unit
