#include "penstock/os/socket.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/os/thread.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::At;
using unit::Bytes;
using unit::HasV6;
using unit::IntOption;
using unit::MustListen;
using unit::Pair;
using unit::TcpPair;
using unit::WaitFor;
using unit::WaitUntil;

bool IsNonBlocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }
bool IsCloseOnExec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

// A port of `ip` on which nobody listens, and where nobody will while the Fd lives.
Fd ClosedPort(const Endpoint& at, Endpoint* port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  *port = LocalEndpoint(socket.get());
  return socket;
}

TEST_CASE("socket: a listener is non-blocking, close-on-exec, and shares its port") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  CHECK(IsNonBlocking(listener.get()));
  CHECK(IsCloseOnExec(listener.get()));
  CHECK(IntOption(listener.get(), SOL_SOCKET, SO_REUSEPORT) == 1);
  CHECK(IntOption(listener.get(), SOL_SOCKET, SO_ACCEPTCONN) == 1);
  const Endpoint at = LocalEndpoint(listener.get());
  CHECK(at.ip == At("127.0.0.1:0").ip);
  CHECK(at.port != 0);
  const Fd second = MustListen(at);
  CHECK(LocalEndpoint(second.get()) == at);
}

TEST_CASE("socket: a listener that stops listening keeps its port, and listens there again") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const Endpoint at = LocalEndpoint(listener.get());
  const auto fault = [&at] {
    const Connecting client = Connect(at);
    if (client.fault != Fault::kNone) return client.fault;
    pollfd writable{client.socket.get(), POLLOUT, 0};
    REQUIRE(::poll(&writable, 1, 10'000) == 1);
    return ConnectFault(client.socket.get());
  };
  for (int i = 0; i < 3; ++i) {
    CHECK(fault() == Fault::kNone);
    StopListening(listener.get());
    CHECK(fault() == Fault::kRefused);
    CHECK(LocalEndpoint(listener.get()) == at);
    CHECK(InUse(at));
    CHECK(ListenAlone(at).fault == Fault::kOther);  // although it sets SO_REUSEADDR
    CHECK(Accept(listener.get()).status != Accepted::Status::kTaken);
    StopListening(listener.get());  // changes nothing
    CHECK(ListenAgain(listener.get()));
  }
  CHECK(fault() == Fault::kNone);
  CHECK(Accept(listener.get()).status == Accepted::Status::kTaken);
}

TEST_CASE("socket: the message about a failed Listen has the address") {
  std::string error;
  CHECK_FALSE(Listen(At("203.0.113.1:0"), &error).valid());
  CHECK(error == "cannot bind 203.0.113.1:0: Cannot assign requested address");

  Endpoint taken;
  const Fd owner = ClosedPort(At("127.0.0.1:0"), &taken);  // bound without SO_REUSEPORT
  CHECK_FALSE(Listen(taken, &error).valid());
  CHECK(error == "cannot bind " + taken.ToString() + ": Address already in use");

  const unit::NoDescriptors none;
  CHECK_FALSE(Listen(At("127.0.0.1:0"), &error).valid());
  CHECK(error == "cannot make a socket for 127.0.0.1:0: Too many open files");
}

void ExpectAlone(const Endpoint& where) {
  const Listening first = ListenAlone(where);
  REQUIRE(first.fault == Fault::kNone);
  CHECK(IsNonBlocking(first.socket.get()));
  CHECK(IsCloseOnExec(first.socket.get()));
  CHECK(IntOption(first.socket.get(), SOL_SOCKET, SO_REUSEPORT) == 0);
  CHECK(IntOption(first.socket.get(), SOL_SOCKET, SO_ACCEPTCONN) == 1);
  const Endpoint at = LocalEndpoint(first.socket.get());
  CHECK(at.ip == where.ip);
  const Listening second = ListenAlone(at);
  CHECK(second.fault == Fault::kOther);
  CHECK_FALSE(second.socket.valid());
  std::string error;
  CHECK_FALSE(Listen(at, &error).valid());
}

TEST_CASE("socket: a connection goes to the listener of the CPU that received it, until that is switched off") {
  const Fd first = MustListen(At("127.0.0.1:0"));
  const Fd second = MustListen(LocalEndpoint(first.get()));
  const auto accept_all = [](const Fd& listener) {
    std::size_t count = 0;
    while (Accept(listener.get()).status == Accepted::Status::kTaken) ++count;
    return count;
  };
  const auto connect_from = [&](unsigned cpu) {
    std::thread([&] {
      StayOnCpu(cpu);  // over loopback, a connection is received where it is sent
      for (int i = 0; i < 64; ++i) {
        const Connecting client = Connect(LocalEndpoint(first.get()));
        REQUIRE(WaitFor(client.socket.get(), POLLOUT));
      }
    }).join();
  };
  constexpr unsigned kAbsent = kCpusMax;
  const unsigned here = UsableCpus().front();
  REQUIRE(SteerByCpu(first.get(), std::array{kAbsent, here}));
  connect_from(here);
  CHECK(accept_all(first) == 0);
  CHECK(accept_all(second) == 64);
  REQUIRE(SteerByCpu(second.get(), std::array{here, kAbsent}));
  connect_from(here);
  CHECK(accept_all(first) == 64);
  CHECK(accept_all(second) == 0);
  const auto expect_spread = [&] {
    connect_from(here);
    CHECK(accept_all(first) > 0);
    CHECK(accept_all(second) > 0);
  };
  REQUIRE(SteerByCpu(first.get(), std::array{kAbsent, kAbsent + 1}));
  expect_spread();  // from a CPU without a listener
  REQUIRE(SteerByCpu(first.get(), std::array{kAbsent, here}));
  StopSteering(first.get());
  expect_spread();
}

TEST_CASE("socket: ListenAlone does not share its port") { ExpectAlone(At("127.0.0.1:0")); }

TEST_CASE("socket: ListenAlone does not share its port over IPv6" * doctest::skip(!HasV6())) {
  ExpectAlone(At("[::1]:0"));
}

TEST_CASE("socket: a failed ListenAlone has its fault") {
  Endpoint taken;
  const Fd bound = ClosedPort(At("127.0.0.1:0"), &taken);
  CHECK(ListenAlone(taken).fault == Fault::kOther);
  CHECK(ListenAlone(At("203.0.113.1:0")).fault == Fault::kNoFamily);
  const unit::NoDescriptors none;
  CHECK(ListenAlone(At("127.0.0.1:0")).fault == Fault::kExhausted);
}

TEST_CASE("socket: the address towards a target is a local one without a port") {
  const LocalAddress v4 = LocalAddressTowards(At("127.0.0.1:0").ip);
  CHECK(v4.fault == Fault::kNone);
  CHECK(v4.at == At("127.0.0.1:0"));
  CHECK(LocalAddressTowards(At("255.255.255.255:0").ip).fault != Fault::kNone);
  const unit::NoDescriptors none;
  CHECK(LocalAddressTowards(At("127.0.0.1:0").ip).fault == Fault::kExhausted);
}

TEST_CASE("socket: the address towards an IPv6 target is a local one" * doctest::skip(!HasV6())) {
  CHECK(LocalAddressTowards(At("[::1]:0").ip).at == At("[::1]:0"));
}

TEST_CASE("socket: one program can listen on 0.0.0.0 and on :: with one port" * doctest::skip(!HasV6())) {
  const Fd v4 = MustListen(At("0.0.0.0:0"));
  Endpoint at = At("[::]:0");
  at.port = LocalEndpoint(v4.get()).port;
  const Fd v6 = MustListen(at);
  CHECK(IntOption(v6.get(), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
}

TEST_CASE("socket: an address is in use exactly while a socket listens on it") {
  Fd listener = MustListen(At("127.0.0.1:0"));
  const Endpoint at = LocalEndpoint(listener.get());
  CHECK(InUse(at));
  CHECK(InUse(at));  // asking changes nothing

  Connecting client = Connect(at);
  REQUIRE(WaitFor(listener.get(), POLLIN));
  const Accepted accepted = Accept(listener.get());
  REQUIRE(accepted.socket.valid());
  listener.Close();
  CHECK_FALSE(InUse(at));  // a connection of the port is no listener
}

TEST_CASE("socket: a listener of the other family does not use an address" * doctest::skip(!HasV6())) {
  bool in_use = true;
  for (int i = 0; i < 10 && in_use; ++i) {  // another program may use the port there
    const Fd v6 = MustListen(At("[::1]:0"));
    Endpoint at = LocalEndpoint(v6.get());
    CHECK(InUse(at));
    at.ip = At("127.0.0.1:0").ip;
    in_use = InUse(at);
  }
  CHECK_FALSE(in_use);
}

TEST_CASE("socket: an accepted socket has the options of the gateway") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  CHECK(Accept(listener.get()).status == Accepted::Status::kNone);
  const Connecting client = Connect(LocalEndpoint(listener.get()));
  REQUIRE(client.fault == Fault::kNone);
  REQUIRE(WaitFor(listener.get(), POLLIN));

  const Accepted accepted = Accept(listener.get());
  CHECK(accepted.status == Accepted::Status::kTaken);
  CHECK(accepted.peer == LocalEndpoint(client.socket.get()));
  CHECK(LocalEndpoint(accepted.socket.get()) == LocalEndpoint(listener.get()));
  for (const int fd : {accepted.socket.get(), client.socket.get()}) {
    CHECK(IsNonBlocking(fd));
    CHECK(IsCloseOnExec(fd));
    CHECK(IntOption(fd, SOL_SOCKET, SO_OOBINLINE) == 1);
  }
  CHECK(IntOption(accepted.socket.get(), IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(IntOption(client.socket.get(), IPPROTO_TCP, TCP_NODELAY) == 0);
  SendAtOnce(client.socket.get());
  CHECK(IntOption(client.socket.get(), IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(Accept(listener.get()).status == Accepted::Status::kNone);
}

TEST_CASE("socket: without a descriptor a connection stays in the backlog") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const Connecting client = Connect(LocalEndpoint(listener.get()));
  REQUIRE(WaitFor(listener.get(), POLLIN));
  {
    const unit::NoDescriptors none;
    const Accepted refused = Accept(listener.get());
    CHECK(refused.status == Accepted::Status::kExhausted);
    CHECK_FALSE(refused.socket.valid());
  }
  CHECK(Accept(listener.get()).status == Accepted::Status::kTaken);
}

void ExpectConnected(const Endpoint& where) {
  const Fd listener = MustListen(where);
  const Connecting connecting = Connect(LocalEndpoint(listener.get()));
  CHECK(connecting.fault == Fault::kNone);
  REQUIRE(connecting.socket.valid());
  REQUIRE(WaitFor(connecting.socket.get(), POLLOUT));
  CHECK(ConnectFault(connecting.socket.get()) == Fault::kNone);
}

TEST_CASE("socket: a connection that is established has no fault") { ExpectConnected(At("127.0.0.1:0")); }

TEST_CASE("socket: a connection that is established over IPv6 has no fault" * doctest::skip(!HasV6())) {
  ExpectConnected(At("[::1]:0"));
}

TEST_CASE("socket: a refused connection has the fault kRefused, once") {
  Endpoint closed;
  const Fd owner = ClosedPort(At("127.0.0.1:0"), &closed);
  const Connecting connecting = Connect(closed);
  REQUIRE(connecting.socket.valid());
  REQUIRE(WaitFor(connecting.socket.get(), POLLOUT));
  CHECK(ConnectFault(connecting.socket.get()) == Fault::kRefused);
  CHECK(ConnectFault(connecting.socket.get()) == Fault::kNone);
}

TEST_CASE("socket: a connection that is reset before ConnectFault is kReset, not kRefused") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const Connecting connecting = Connect(LocalEndpoint(listener.get()));
  REQUIRE(connecting.socket.valid());
  REQUIRE(WaitFor(listener.get(), POLLIN));
  Accepted accepted = Accept(listener.get());
  REQUIRE(accepted.socket.valid());
  unit::AbortNow(accepted.socket);
  REQUIRE(WaitFor(connecting.socket.get(), POLLERR));
  CHECK(ConnectFault(connecting.socket.get()) == Fault::kReset);
}

TEST_CASE("socket: a connection that fails at once has its fault") {
  const Connecting broadcast = Connect(At("255.255.255.255:80"));
  CHECK_FALSE(broadcast.socket.valid());
  CHECK(broadcast.fault != Fault::kNone);

  const unit::NoDescriptors none;
  const Connecting exhausted = Connect(At("127.0.0.1:80"));
  CHECK_FALSE(exhausted.socket.valid());
  CHECK(exhausted.fault == Fault::kExhausted);
  CHECK(ConnectUdp(At("127.0.0.1:53")).fault == Fault::kExhausted);
}

TEST_CASE("socket: a connection has the address of its source") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const Endpoint at = LocalEndpoint(listener.get());
  const Source source{At("127.0.0.2:0").ip, {}, {}};
  std::vector<Connecting> connections;
  for (int i = 0; i < 3; ++i) {
    connections.push_back(Connect(at, &source));
    REQUIRE(connections.back().fault == Fault::kNone);
    CHECK(WaitFor(listener.get(), POLLIN));
    const Accepted accepted = Accept(listener.get());
    CHECK(accepted.peer.ip == source.v4);
    CHECK(accepted.peer == LocalEndpoint(connections.back().socket.get()));
    CHECK(IntOption(connections.back().socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 1);
  }
  const Source nothing;
  CHECK(Connect(at, &nothing).fault == Fault::kNone);
}

TEST_CASE("socket: a source of the other family is kNoFamily, and one of another host kOther") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const Endpoint at = LocalEndpoint(listener.get());
  const Source v6{{}, At("[::1]:0").ip, {}};
  CHECK(Connect(at, &v6).fault == Fault::kNoFamily);
  CHECK(ConnectUdp(at, &v6).fault == Fault::kNoFamily);
  CHECK(LocalAddressTowards(at.ip, &v6).fault == Fault::kNoFamily);
  const Source foreign{At("192.0.2.1:0").ip, {}, {}};
  CHECK(Connect(at, &foreign).fault == Fault::kOther);
  const Source no_interface{{}, {}, "no-such-device"};
  CHECK(Connect(at, &no_interface).fault == Fault::kOther);
  CHECK(LocalAddressTowards(at.ip, &no_interface).fault == Fault::kOther);
}

TEST_CASE("socket: a connection has the IPv6 address of its source" * doctest::skip(!HasV6())) {
  const Fd listener = MustListen(At("[::1]:0"));
  const Source source{{}, At("[::1]:0").ip, "lo"};
  const Connecting connecting = Connect(LocalEndpoint(listener.get()), &source);
  REQUIRE(connecting.fault == Fault::kNone);
  CHECK(LocalEndpoint(connecting.socket.get()).ip == source.v6);
  const Source v4{At("127.0.0.2:0").ip, {}, {}};
  CHECK(Connect(LocalEndpoint(listener.get()), &v4).fault == Fault::kNoFamily);
}

TEST_CASE("socket: a connection leaves by the interface of its source") {
  const Fd listener = MustListen(At("127.0.0.1:0"));
  const Source loopback{{}, {}, "lo"};
  const Connecting connecting = Connect(LocalEndpoint(listener.get()), &loopback);
  REQUIRE(connecting.fault == Fault::kNone);
  std::array<char, IFNAMSIZ> name{};
  socklen_t size = name.size();
  REQUIRE(::getsockopt(connecting.socket.get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &size) == 0);
  CHECK(std::string_view(name.data()) == "lo");
  CHECK(WaitFor(listener.get(), POLLIN));
  CHECK(Accept(listener.get()).status == Accepted::Status::kTaken);
}

TEST_CASE("socket: the address towards a target is that of the source") {
  const Source source{At("127.0.0.2:0").ip, {}, {}};
  const LocalAddress local = LocalAddressTowards(At("127.0.0.1:0").ip, &source);
  CHECK(local.fault == Fault::kNone);
  CHECK(local.at == At("127.0.0.2:0"));
}

TEST_CASE("socket: a connected UDP socket receives only from the address that it sends to") {
  const Connecting server = ConnectUdp(At("127.0.0.1:9"));  // any: what counts is its own address
  REQUIRE(server.socket.valid());
  const Connecting client = ConnectUdp(LocalEndpoint(server.socket.get()));
  REQUIRE(client.fault == Fault::kNone);
  CHECK(IsNonBlocking(client.socket.get()));
  CHECK(IsCloseOnExec(client.socket.get()));
  CHECK(LocalEndpoint(client.socket.get()).port != 0);
  CHECK(IntOption(client.socket.get(), SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);

  // Sends from `from`, which need not be connected, to the client.
  const auto send = [&](const Fd& from) {
    sockaddr_storage address;
    const socklen_t size = LocalEndpoint(client.socket.get()).ToSockaddr(&address);
    return ::sendto(from.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), size);
  };
  const Fd stranger(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(send(stranger) == 1);
  REQUIRE(send(server.socket) == 1);
  REQUIRE(WaitFor(client.socket.get(), POLLIN));
  CHECK(unit::ReceiveSome(client.socket.get()) == "x");  // once
}

TEST_CASE("socket: ShutdownSend leaves the other direction open") {
  const Pair pair = TcpPair();
  ShutdownSend(pair.near.get());
  REQUIRE(WaitFor(pair.far.get(), POLLIN));
  IoResult last{};
  CHECK(unit::ReceiveSome(pair.far.get(), &last).empty());
  CHECK(last.status == IoStatus::kEnd);
  Send(pair.far.get(), Bytes("answer"));
  REQUIRE(WaitFor(pair.near.get(), POLLIN));
  CHECK(unit::ReceiveSome(pair.near.get()) == "answer");
}

TEST_CASE("socket: close sends FIN, and after AbortOnClose a reset") {
  std::array<std::uint8_t, 8> room;
  Pair clean = TcpPair();
  clean.near.Close();
  REQUIRE(WaitFor(clean.far.get(), POLLIN));
  CHECK(Receive(clean.far.get(), room).status == IoStatus::kEnd);

  Pair aborted = TcpPair();
  AbortOnClose(aborted.near.get());
  aborted.near.Close();
  REQUIRE(WaitFor(aborted.far.get(), POLLIN));
  CHECK(Receive(aborted.far.get(), room).fault == Fault::kReset);
}

TEST_CASE("socket: UnsentBytes counts what the peer has not acknowledged") {
  Pair pair = TcpPair(16 * 1024);
  CHECK(UnsentBytes(pair.near.get()) == 0);
  Send(pair.near.get(), Bytes("abc"));
  CHECK(WaitUntil([&] { return UnsentBytes(pair.near.get()) == 0; }));

  const std::size_t sent = unit::SendSome(pair.near.get(), unit::Pattern(4 * 1024 * 1024));
  REQUIRE(WaitUntil([&] { return unit::Readable(pair.far.get()) > 3; }));
  CHECK(UnsentBytes(pair.near.get()) > 0);
  CHECK(UnsentBytes(pair.near.get()) <= sent);
  CHECK(WaitUntil([&] {
    unit::ReceiveSome(pair.far.get());
    return UnsentBytes(pair.near.get()) == 0;
  }));
  CHECK(UnsentBytes(-1) == 0);
}

TEST_CASE("socket: UnsentBytes is 0 after a reset, whatever is queued") {
  Pair pair = TcpPair(16 * 1024);
  unit::SendSome(pair.near.get(), unit::Pattern(4 * 1024 * 1024));
  REQUIRE(UnsentBytes(pair.near.get()) > 0);
  unit::AbortNow(pair.far);
  REQUIRE(WaitFor(pair.near.get(), POLLERR));
  CHECK(UnsentBytes(pair.near.get()) == 0);
}

TEST_CASE("socket: UnansweredFor is 0 for a peer that answers, whether or not it reads") {
  const Pair pair = TcpPair(16 * 1024);
  CHECK(UnansweredFor(pair.near.get()) == std::chrono::milliseconds(0));
  unit::SendSome(pair.near.get(), unit::Pattern(4 * 1024 * 1024));
  CHECK(UnansweredFor(pair.near.get()) == std::chrono::milliseconds(0));
  CHECK(UnansweredFor(-1) == std::chrono::milliseconds(0));
}

TEST_CASE("socket: keepalive has the given times") {
  const Pair pair = TcpPair();
  CHECK(IntOption(pair.near.get(), SOL_SOCKET, SO_KEEPALIVE) == 0);
  EnableKeepAlive(pair.near.get(), {std::chrono::seconds(77), std::chrono::seconds(13), 5});
  CHECK(IntOption(pair.near.get(), SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(IntOption(pair.near.get(), IPPROTO_TCP, TCP_KEEPIDLE) == 77);
  CHECK(IntOption(pair.near.get(), IPPROTO_TCP, TCP_KEEPINTVL) == 13);
  CHECK(IntOption(pair.near.get(), IPPROTO_TCP, TCP_KEEPCNT) == 5);
}

TEST_CASE("socket: the addresses of this host include loopback, and it has a family to dial") {
  const auto addresses = HostAddresses();
  CHECK(std::ranges::find(addresses, At("127.0.0.1:0").ip) != addresses.end());
  const Families families = HostFamilies();
  CHECK((families.v4 || families.v6));
}

TEST_CASE("socket: an invalid descriptor has no address, and its fault is kOther") {
  CHECK(LocalEndpoint(-1) == Endpoint{});
  CHECK(ConnectFault(-1) == Fault::kOther);
}

}  // namespace
}  // namespace penstock
