#include "penstock/os/socket.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

// For options that the kernel supports, with valid values: setsockopt(2) cannot fail in a way that can be handled.
void SetOption(int socket, int level, int name, int value) { ::setsockopt(socket, level, name, &value, sizeof value); }

Fd NewSocket(const Endpoint& peer, int type) {
  const int family = peer.ip.is_v4() ? AF_INET : AF_INET6;
  return Fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// For a listener: accepted sockets inherit both.
void PrepareStream(int socket) {
  SendAtOnce(socket);
  SetOption(socket, SOL_SOCKET, SO_OOBINLINE, 1);
}

tcp_info TcpInfo(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info;
}

// accept(2) also returns errors of the connection that it would have returned. All others are a state of this host,
// which an immediate retry does not change.
Accepted::Status AcceptStatus(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Accepted::Status::kGone;
    default:
      return Accepted::Status::kExhausted;
  }
}

// An error of the configured source, which says nothing about the target.
Fault SourceFault(int error) { return FaultOfErrno(error) == Fault::kExhausted ? Fault::kExhausted : Fault::kOther; }

// Binds a socket to `source` before it connects to `peer`.
Fault BindToSource(int socket, const IpAddress& peer, const Source& source) {
  if (source.excludes(peer)) return Fault::kNoFamily;
  const auto& own = source.towards(peer);
  if (const Fault fault = BindToInterface(socket, source); fault != Fault::kNone) return fault;
  if (!own) return Fault::kNone;
  // Without this, bind(2) reserves a port for this socket alone; with it, sockets to different targets share one
  // (ip(7)).
  SetOption(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  sockaddr_storage address;
  const socklen_t size = Endpoint{*own, 0}.ToSockaddr(&address);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0) return SourceFault(errno);
  return Fault::kNone;
}

Connecting BeginConnect(Fd socket, const Endpoint& to, const Source* source) {
  if (!socket.valid()) return {Fd(), FaultOfErrno(errno)};
  if (source != nullptr) {
    if (const Fault fault = BindToSource(socket.get(), to.ip, *source); fault != Fault::kNone) return {Fd(), fault};
  }
  sockaddr_storage address;
  const socklen_t size = to.ToSockaddr(&address);
  const int result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size);
  if (result == 0 || errno == EINPROGRESS || errno == EINTR) return {std::move(socket), Fault::kNone};
  // With an address, EADDRNOTAVAIL means that no port is free. A socket has one if `source` gives it, and a host that
  // supports IPv4 always has an IPv4 address.
  const bool has_address = to.ip.is_v4() || (source != nullptr && source->towards(to.ip));
  if (errno == EADDRNOTAVAIL && has_address) return {Fd(), Fault::kExhausted};
  return {Fd(), FaultOfErrno(errno)};
}

}  // namespace

Fd Listen(const Endpoint& at, std::string* error) {
  const auto fail = [&](std::string_view what) {
    *error = "cannot " + std::string(what) + ' ' + at.ToString() + ": " + std::strerror(errno);
    return Fd();
  };
  Fd socket = NewSocket(at, SOCK_STREAM);
  if (!socket.valid()) return fail("make a socket for");
  const int fd = socket.get();
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (!at.ip.is_v4()) SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  PrepareStream(fd);
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) return fail("bind");
  // After StopListening a socket keeps its port only if bind(2) has named it (SOCK_BINDPORT_LOCK, Linux). So a second
  // socket names the port that the kernel has chosen, while this one holds it.
  if (at.port == 0) return Listen({at.ip, LocalEndpoint(fd).port, at.scope}, error);
  if (::listen(fd, SOMAXCONN) != 0) return fail("listen on");
  return socket;
}

bool AdoptListener(int listener) {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  if (::getsockopt(listener, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0 || protocol != IPPROTO_TCP) return false;
  if (TcpInfo(listener).tcpi_state != TCP_LISTEN) return false;
  PrepareStream(listener);
  return ::fcntl(listener, F_SETFD, FD_CLOEXEC) == 0 && ::fcntl(listener, F_SETFL, O_NONBLOCK) == 0;
}

// With SO_REUSEADDR any user could bind the port of a socket that does not listen.
void StopListening(int listener) {
  SetOption(listener, SOL_SOCKET, SO_REUSEADDR, 0);
  ::shutdown(listener, SHUT_RDWR);
}

bool ListenAgain(int listener) {
  SetOption(listener, SOL_SOCKET, SO_REUSEADDR, 1);
  return ::listen(listener, SOMAXCONN) == 0;
}

Listening ListenAlone(const Endpoint& at) {
  Fd socket = NewSocket(at, SOCK_STREAM);
  if (!socket.valid()) return {Fd(), FaultOfErrno(errno)};
  SetOption(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);  // connections in TIME_WAIT do not count
  if (!at.ip.is_v4()) SetOption(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return {Fd(), FaultOfErrno(errno)};
  PrepareStream(socket.get());
  if (::listen(socket.get(), kBindBacklog) != 0) return {Fd(), FaultOfErrno(errno)};
  return {std::move(socket), Fault::kNone};
}

bool InUse(const Endpoint& at) {
  const Fd probe = NewSocket(at, SOCK_STREAM);
  if (!probe.valid()) return false;
  SetOption(probe.get(), SOL_SOCKET, SO_REUSEADDR, 1);  // connections in TIME_WAIT do not count
  if (!at.ip.is_v4()) SetOption(probe.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  return ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 && errno == EADDRINUSE;
}

Accepted Accept(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  Fd socket(::accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket.valid()) return {Accepted::Status::kTaken, std::move(socket), Endpoint::FromSockaddr(address)};
  if (errno == EAGAIN) return {Accepted::Status::kNone, Fd(), {}};
  return {AcceptStatus(errno), Fd(), {}};
}

// A classic BPF program returns the number of the listener; one that does not exist leaves the choice to the hash.
bool SteerByCpu(int listener, std::span<const unsigned> cpus) {
  constexpr auto kCpu = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_CPU);
  std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kCpu)};
  for (std::uint32_t i = 0; i < cpus.size(); ++i) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cpus[i], 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, i));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, std::numeric_limits<std::uint32_t>::max()));
  const sock_fprog whole{static_cast<std::uint16_t>(program.size()), program.data()};
  return ::setsockopt(listener, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole) == 0;
}

void StopSteering(int listener) { SetOption(listener, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0); }

std::size_t BacklogOf(int listener) {
  const tcp_info info = TcpInfo(listener);
  return info.tcpi_state == TCP_LISTEN ? info.tcpi_unacked : 0;
}

Connecting Connect(const Endpoint& to, const Source* source) {
  Fd socket = NewSocket(to, SOCK_STREAM);
  // Not when urgent data is reported: a byte that arrives between that report and the read before it would be lost.
  if (socket.valid()) SetOption(socket.get(), SOL_SOCKET, SO_OOBINLINE, 1);
  return BeginConnect(std::move(socket), to, source);
}

Connecting ConnectUdp(const Endpoint& to, const Source* source) {
  return BeginConnect(NewSocket(to, SOCK_DGRAM), to, source);
}

Fault BindToInterface(int socket, const Source& source) {
  if (source.interface.empty()) return Fault::kNone;
  const auto size = static_cast<socklen_t>(source.interface.size());
  if (::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, source.interface.data(), size) == 0) return Fault::kNone;
  return SourceFault(errno);
}

LocalAddress LocalAddressTowards(const IpAddress& to, const Source* source) {
  constexpr std::uint16_t kDiscardPort = 9;  // any port will do
  const Connecting connecting = ConnectUdp({to, kDiscardPort}, source);
  if (connecting.fault != Fault::kNone) return {{}, connecting.fault};
  Endpoint at = LocalEndpoint(connecting.socket.get());
  at.port = 0;
  return {at, Fault::kNone};
}

Fault ConnectFault(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return Fault::kOther;
  return FaultOfErrno(error);
}

Endpoint LocalEndpoint(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return Endpoint::FromSockaddr(address);
}

void SendAtOnce(int socket) { SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1); }

void BoundUnsent(int socket, std::size_t bytes) {
  SetOption(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
}

void ShutdownSend(int socket) { ::shutdown(socket, SHUT_WR); }

void AbortOnClose(int socket) {
  const linger abort{1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

void EnableKeepAlive(int socket, const KeepAlive& keepalive) {
  SetOption(socket, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive.idle.count()));
  SetOption(socket, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive.interval.count()));
  SetOption(socket, IPPROTO_TCP, TCP_KEEPCNT, keepalive.probes);
  SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

std::uint32_t UnsentBytes(int socket) {
  int bytes = 0;
  if (::ioctl(socket, SIOCOUTQ, &bytes) != 0 || bytes == 0) return 0;
  // After a reset, the kernel still counts what was queued.
  return TcpInfo(socket).tcpi_state == TCP_CLOSE ? 0 : static_cast<std::uint32_t>(bytes);
}

std::chrono::milliseconds UnansweredFor(int socket) {
  const tcp_info info = TcpInfo(socket);
  const bool due = info.tcpi_retransmits > 0 || info.tcpi_probes > 0;
  return std::chrono::milliseconds(due ? info.tcpi_last_ack_recv : 0);
}

std::vector<IpAddress> HostAddresses() {
  std::vector<IpAddress> found;
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return found;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(raw, &::freeifaddrs);
  for (const ifaddrs* entry = raw; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage address{};
    std::memcpy(&address, entry->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    found.push_back(Endpoint::FromSockaddr(address).ip);
  }
  return found;
}

Families HostFamilies() {
  Families found{false, false};
  for (const IpAddress& ip : HostAddresses()) {
    if (!ip.is_loopback() && !ip.is_link_local()) (ip.is_v4() ? found.v4 : found.v6) = true;
  }
  return found.v4 || found.v6 ? found : Families{};
}

}  // namespace penstock
