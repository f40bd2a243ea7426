#include "test/support/peer.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "penstock/os/socket.h"
#include "test/support/bytes.h"

namespace penstock::test {
namespace {

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

Fd NewSocket(const Endpoint& like, int type = SOCK_STREAM) {
  Fd socket(::socket(like.ip.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
  if (!socket.valid()) FailErrno("socket");
  return socket;
}

void SetOption(int socket, int level, int name, int value) {
  if (::setsockopt(socket, level, name, &value, sizeof value) != 0) FailErrno("setsockopt");
}

Endpoint Name(int socket, int (*ask)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (ask(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) FailErrno("getsockname or getpeername");
  return Endpoint::FromSockaddr(address);
}

void Bind(int socket, const Endpoint& at) {
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0) FailErrno("bind " + at.ToString());
}

// True if one of `events` happened within `timeout`.
bool Poll(int fd, short events, milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{fd, events, 0};
    const int ready = ::poll(&waiting, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) FailErrno("poll");
  }
}

// The first bytes of what was received, for an error message.
std::string Shown(std::string_view bytes) {
  return std::to_string(bytes.size()) + " bytes (" + Hex(bytes.substr(0, 32)) + (bytes.size() > 32 ? " ...)" : ")");
}

}  // namespace

void FailErrno(const std::string& what) { Fail(what + ": " + std::strerror(errno)); }

std::vector<IpAddress> OutsideAddresses() {
  std::vector<IpAddress> addresses = HostAddresses();
  std::erase_if(addresses, [](const IpAddress& ip) { return ip.is_loopback() || ip.is_link_local(); });
  return addresses;
}

std::optional<IpAddress> OutsideAddress(bool v4) {
  for (const IpAddress& ip : OutsideAddresses()) {
    if (ip.is_v4() == v4) return ip;
  }
  return std::nullopt;
}

Peer::Peer(Fd connected) : socket_(std::move(connected)) { SendAtOnce(fd()); }  // without effect on a Unix socket

Peer Peer::Unconnected(const Endpoint& like, Buffers buffers) {
  Peer peer(NewSocket(like));
  if (buffers.receive > 0) SetOption(peer.fd(), SOL_SOCKET, SO_RCVBUF, buffers.receive);
  if (buffers.send > 0) SetOption(peer.fd(), SOL_SOCKET, SO_SNDBUF, buffers.send);
  return peer;
}

Peer Peer::To(const Endpoint& to, Buffers buffers) {
  Peer peer = Unconnected(to, buffers);
  peer.Connect(to);
  return peer;
}

Peer Peer::FromTo(const Endpoint& from, const Endpoint& to) {
  Peer peer = Unconnected(to, {});
  Bind(peer.fd(), from);
  peer.Connect(to);
  return peer;
}

void Peer::Connect(const Endpoint& to) {
  timeval timeout{kTestTimeout.count() / 1000, 0};  // socket(7): SO_SNDTIMEO bounds connect(2) too
  ::setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  sockaddr_storage address;
  const socklen_t size = to.ToSockaddr(&address);
  if (::connect(fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0) FailErrno("connect " + to.ToString());
}

Endpoint Peer::local() const { return Name(fd(), ::getsockname); }
Endpoint Peer::remote() const { return Name(fd(), ::getpeername); }

void Peer::Send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      FailErrno("send, with " + std::to_string(bytes.size()) + " bytes left");
    } else if (!Poll(fd(), POLLOUT, kTestTimeout)) {
      Fail("send: the other side does not take the last " + std::to_string(bytes.size()) + " bytes");
    }
  }
}

void Peer::SendUrgent(char byte) const {
  if (::send(fd(), &byte, 1, MSG_NOSIGNAL | MSG_OOB) != 1) FailErrno("send MSG_OOB");
}

std::size_t Peer::SendSome(std::string_view bytes) const {
  const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

// Waits for bytes, which are appended to `into`, or for the ending, which is returned.
Peer::Ending Peer::ReceiveMore(std::string& into, std::size_t room) const {
  const std::size_t before = into.size();
  for (;;) {
    into.resize(before + room);
    const ssize_t received = ::recv(fd(), into.data() + before, room, MSG_DONTWAIT);
    into.resize(before + (received > 0 ? static_cast<std::size_t>(received) : 0));
    if (received > 0) return Ending::kOpen;
    if (received == 0) return Ending::kEnd;
    if (errno == ECONNRESET) return Ending::kReset;
    if (errno != EAGAIN && errno != EINTR) FailErrno("recv");
    if (!Poll(fd(), POLLIN, kTestTimeout)) Fail("recv: nothing more comes after " + Shown(into));
  }
}

std::string Peer::Receive(std::size_t count) const {
  std::string received;
  while (received.size() < count) {
    const Ending ending = ReceiveMore(received, count - received.size());
    if (ending == Ending::kOpen) continue;
    Fail("recv: expected " + std::to_string(count) + " bytes; " + (ending == Ending::kEnd ? "the end" : "a reset") +
         " came after " + Shown(received));
  }
  return received;
}

std::string Peer::ReceiveSome(std::size_t room) const {
  std::string received(room, '\0');
  const ssize_t size = ::recv(fd(), received.data(), room, MSG_DONTWAIT);
  received.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return received;
}

std::string Peer::ReceiveAll(Ending& ending) const {
  std::string received;
  do {
    ending = ReceiveMore(received, 64 * 1024);
  } while (ending == Ending::kOpen);
  return received;
}

std::string Peer::ReceiveToEnd() const {
  Ending ending;
  std::string received = ReceiveAll(ending);
  if (ending != Ending::kEnd) Fail("recv: a reset instead of the end after " + Shown(received));
  return received;
}

std::string Peer::ReceiveToReset() const {
  Ending ending;
  std::string received = ReceiveAll(ending);
  if (ending != Ending::kReset) Fail("recv: the end instead of a reset after " + Shown(received));
  return received;
}

std::string Peer::ReceiveToClose() const {
  Ending ending;
  return ReceiveAll(ending);
}

bool Peer::Silent(milliseconds how_long) const { return !Poll(fd(), POLLIN | POLLRDHUP, how_long); }

void Peer::WaitUntilReadable() const {
  if (!Poll(fd(), POLLIN, kTestTimeout)) Fail("nothing arrives");
}

void Peer::WaitUntilAcknowledged() const {
  const bool acknowledged = WaitUntil([&] {
    int unsent = 0;
    return ::ioctl(fd(), SIOCOUTQ, &unsent) == 0 && unsent == 0;
  });
  if (!acknowledged) Fail("the other side does not acknowledge what was sent");
}

void Peer::HalfClose() const {
  if (::shutdown(fd(), SHUT_WR) != 0) FailErrno("shutdown");
}

void Peer::Abort() {
  const linger abort{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  socket_.Close();
}

TargetListener::TargetListener(const Endpoint& at, int backlog) : socket_(NewSocket(at)) {
  Bind(socket_.get(), at);
  if (::listen(socket_.get(), backlog) != 0) FailErrno("listen");
  at_ = Name(socket_.get(), ::getsockname);
}

Peer TargetListener::Accept() const {
  if (!Poll(socket_.get(), POLLIN, kTestTimeout)) Fail("accept: nobody connects to the target");
  Fd accepted(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted.valid()) FailErrno("accept");
  return Peer(std::move(accepted));
}

bool TargetListener::HasPendingConnection() const { return Poll(socket_.get(), POLLIN, milliseconds(0)); }

// listen(2) with a backlog of 0 still keeps one connection; a SYN beyond it is dropped without an answer.
SilentTarget::SilentTarget(const Endpoint& at) : listener_(at, 0), filler_(Peer::To(listener_.at())) {
  if (!WaitUntil([&] { return listener_.HasPendingConnection(); })) Fail("the backlog does not fill");
}

void SilentTarget::Open() { filler_ = listener_.Accept(); }

ClosedPort::ClosedPort(const Endpoint& at) : socket_(NewSocket(at)) {
  Bind(socket_.get(), at);
  at_ = Name(socket_.get(), ::getsockname);
}

PortRange FreePorts(int count) {
  static std::uint64_t random = RunSeed() ^ static_cast<std::uint64_t>(::getpid());
  int below = 32'768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> below;
  constexpr int kLowest = 5'000;
  const auto choices = static_cast<std::uint64_t>(std::max(below, kLowest + 2 * count) - kLowest - count);
  for (int attempts = 1;; ++attempts) {
    const int low = kLowest + static_cast<int>(NextRandom(random) % choices);
    try {
      for (int port = low; port < low + count; ++port) {
        const Endpoint at{kLoopback.ip, static_cast<std::uint16_t>(port)};
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) Bind(NewSocket(at, type).get(), at);
      }
      return {static_cast<std::uint16_t>(low), static_cast<std::uint16_t>(low + count - 1)};
    } catch (const std::runtime_error&) {
      if (attempts == 100) throw;
    }
  }
}

}  // namespace penstock::test
