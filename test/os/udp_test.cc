#include "penstock/os/udp.h"

#include <netinet/udp.h>

#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/socket.h"
#include "test/support/sockets.h"

namespace penstock::unit {
namespace {

Fd MustOpen(const Endpoint& at) {
  OpenedUdp opened = OpenUdp(at);
  REQUIRE(opened.fault == Fault::kNone);
  REQUIRE(opened.socket.valid());
  return std::move(opened.socket);
}

// Waits until so many messages have arrived, without taking them.
bool WaitUntilQueued(const Fd& socket, std::size_t count) {
  const auto peek_from = [&](int offset) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset);
  };
  return WaitUntil([&] {
    std::array<char, 4'096> room;  // more than any of them has
    std::size_t queued = 0;
    peek_from(0);
    while (queued < count && ::recv(socket.get(), room.data(), room.size(), MSG_PEEK) >= 0) ++queued;
    peek_from(-1);
    return queued == count;
  });
}

// Messages to or from one peer, with room of their own.
struct Messages {
  explicit Messages(std::size_t count, std::size_t bytes = 2'000)
      : room(count, std::string(bytes, '\0')), pieces(count), names(count), controls(count), headers(count) {
    for (std::size_t i = 0; i < count; ++i) {
      pieces[i] = {room[i].data(), room[i].size()};
      headers[i].msg_hdr.msg_iov = &pieces[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_name = &names[i];
      headers[i].msg_hdr.msg_namelen = sizeof names[i];
    }
  }
  void Expect() {
    for (std::size_t i = 0; i < headers.size(); ++i) {
      headers[i].msg_hdr.msg_control = controls[i].bytes.data();
      headers[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
  }
  void Put(std::size_t i, std::string_view text, const Endpoint& to) {
    room[i].replace(0, text.size(), text);
    pieces[i].iov_len = text.size();
    headers[i].msg_hdr.msg_namelen = to.ToSockaddr(&names[i]);
  }
  std::string At(std::size_t i) const { return room[i].substr(0, headers[i].msg_len); }

  std::vector<std::string> room;
  std::vector<iovec> pieces;
  std::vector<sockaddr_storage> names;
  std::vector<UdpControl> controls;
  std::vector<mmsghdr> headers;
};

TEST_CASE("udp: a socket is bound, non-blocking, close-on-exec, and of one family") {
  for (const std::string_view at : {"127.0.0.1:0", "[::1]:0"}) {
    const Fd socket = MustOpen(At(at));
    CHECK(LocalEndpoint(socket.get()).ip == At(at).ip);
    CHECK(LocalEndpoint(socket.get()).port != 0);
    CHECK((::fcntl(socket.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(OpenUdp(LocalEndpoint(socket.get())).fault == Fault::kOther);  // in use
  }
  const Fd v6 = MustOpen(At("[::]:0"));
  CHECK(IntOption(v6.get(), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
  const NoDescriptors none;
  CHECK(OpenUdp(At("127.0.0.1:0")).fault == Fault::kExhausted);
}

TEST_CASE("udp: one call sends many datagrams, and one receives them") {
  const Fd near = MustOpen(At("127.0.0.1:0"));
  const Fd far = MustOpen(At("127.0.0.1:0"));
  Messages in(8);
  in.Expect();
  CHECK(ReceiveMany(near.get(), in.headers).status == IoStatus::kAgain);
  Messages out(3);
  for (std::size_t i = 0; i < 3; ++i) out.Put(i, std::string(i, 'x'), LocalEndpoint(near.get()));
  const Sent sent = SendMany(far.get(), out.headers);
  CHECK(sent.status == Sent::Status::kDone);
  CHECK(sent.count == 3);
  REQUIRE(WaitUntilQueued(near, 3));
  const Received received = ReceiveMany(near.get(), in.headers);
  CHECK(received.status == IoStatus::kDone);
  REQUIRE(received.count == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(in.At(i) == std::string(i, 'x'));
    CHECK(Endpoint::FromSockaddr(in.names[i]) == LocalEndpoint(far.get()));
    CHECK(SegmentBytes(in.headers[i].msg_hdr) == 0);
  }
}

TEST_CASE("udp: a message with segments is received as one message or as several") {
  const Fd near = MustOpen(At("127.0.0.1:0"));
  const Fd far = MustOpen(At("127.0.0.1:0"));
  Messages out(1);
  out.Put(0, "aaaabbbbcc", LocalEndpoint(near.get()));
  CutIntoSegments(out.headers[0].msg_hdr, out.controls[0], 4);
  CHECK(SendMany(far.get(), out.headers).count == 1);
  Messages in(8);
  in.Expect();
  REQUIRE(WaitUntilQueued(near, 1));
  const Received received = ReceiveMany(near.get(), in.headers);
  REQUIRE(received.count == 1);
  CHECK(in.At(0) == "aaaabbbbcc");
  CHECK(SegmentBytes(in.headers[0].msg_hdr) == 4);

  const int off = 0;
  ::setsockopt(near.get(), SOL_UDP, UDP_GRO, &off, sizeof off);
  CHECK(SendMany(far.get(), out.headers).count == 1);
  Messages several(8);
  several.Expect();
  REQUIRE(WaitUntilQueued(near, 3));
  REQUIRE(ReceiveMany(near.get(), several.headers).count == 3);
  CHECK(several.At(0) == "aaaa");
  CHECK(several.At(1) == "bbbb");
  CHECK(several.At(2) == "cc");
}

TEST_CASE("udp: the status says why the first message was not sent") {
  const Fd far = MustOpen(At("127.0.0.1:0"));
  Messages out(2, 70'000);
  out.Put(0, "x", At("127.0.0.1:9"));
  out.Put(1, "x", At("255.255.255.255:9"));
  const Sent first = SendMany(far.get(), out.headers);
  CHECK(first.status == Sent::Status::kDone);
  CHECK(first.count == 1);
  CHECK(SendMany(far.get(), std::span(out.headers).subspan(1)).status == Sent::Status::kFailed);
  out.Put(0, std::string(65'508, 'x'), At("127.0.0.1:9"));
  CHECK(SendMany(far.get(), std::span(out.headers).first(1)).status == Sent::Status::kUnjoined);
  // A local datagram socket whose peer does not read is full, as a UDP socket is whose device is too slow.
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const Fd one(ends[0]);
  const Fd other(ends[1]);
  while (::send(one.get(), "x", 1, 0) == 1) {
  }
  Messages unnamed(1);
  unnamed.headers[0].msg_hdr.msg_name = nullptr;
  unnamed.headers[0].msg_hdr.msg_namelen = 0;
  CHECK(SendMany(one.get(), unnamed.headers).status == Sent::Status::kFull);
}

TEST_CASE("udp: segments are not fragmented: a message with too long ones is kUnjoined" * doctest::skip(!HasV6())) {
  const Fd near = MustOpen(At("[::1]:0"));
  const Fd far = MustOpen(At("[::1]:0"));
  const int mtu = 1'280;  // of one socket's packets, for whoever may not change a device (ipv6(7))
  REQUIRE(::setsockopt(far.get(), IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof mtu) == 0);
  const auto send = [&](std::size_t bytes, std::size_t segment_bytes) {
    Messages out(1, bytes);
    out.Put(0, Pattern(bytes), LocalEndpoint(near.get()));
    if (segment_bytes != 0) CutIntoSegments(out.headers[0].msg_hdr, out.controls[0], segment_bytes);
    return SendMany(far.get(), out.headers).status;
  };
  CHECK(send(2'400, 1'200) == Sent::Status::kDone);
  CHECK(send(2'800, 1'400) == Sent::Status::kUnjoined);
  CHECK(send(1'400, 0) == Sent::Status::kDone);
  REQUIRE(WaitUntilQueued(near, 2));
  Messages in(8, 3'000);
  in.Expect();
  REQUIRE(ReceiveMany(near.get(), in.headers).count == 2);
  CHECK(in.At(0) == Pattern(2'400));
  CHECK(in.At(1) == Pattern(1'400));
}

}  // namespace
}  // namespace penstock::unit
