#include "test/support/udp_peer.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>

#include "penstock/os/socket.h"
#include "test/support/bytes.h"

namespace penstock::test {
namespace {

// Decodes the ATYP, address and port at the beginning of `bytes`; `size` is set to their length.
Endpoint ReadAddressAndPort(std::string_view bytes, std::size_t& size) {
  const std::size_t address_bytes = !bytes.empty() && bytes[0] == 1 ? 4 : 16;
  size = 1 + address_bytes + 2;
  if (bytes.size() < size || (bytes[0] != 1 && bytes[0] != 4)) throw std::runtime_error("no address: " + Hex(bytes));
  const std::span raw(reinterpret_cast<const std::uint8_t*>(bytes.data()), size);
  Endpoint endpoint;
  endpoint.ip = address_bytes == 4 ? IpAddress::FromV4(raw.subspan<1, 4>()) : IpAddress::FromV6(raw.subspan<1, 16>());
  endpoint.port = static_cast<std::uint16_t>(raw[size - 2] << 8 | raw[size - 1]);
  return endpoint;
}

Endpoint LocalOf(const Peer& control) {
  Endpoint local = control.local();
  local.port = 0;
  return local;
}

}  // namespace

UdpPeer::UdpPeer(const Endpoint& at)
    : socket_(::socket(at.ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  if (!socket_.valid()) FailErrno("socket");
  const int room = 4 * 1024 * 1024;  // capped at the system's limit
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  ::setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  sockaddr_storage address;
  const socklen_t size = at.ToSockaddr(&address);
  if (::bind(fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0) FailErrno("bind " + at.ToString());
  at_ = LocalEndpoint(fd());
}

void UdpPeer::Send(std::string_view bytes, const Endpoint& to) const {
  sockaddr_storage address;
  const socklen_t size = to.ToSockaddr(&address);
  if (::sendto(fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address), size) < 0) {
    FailErrno("sendto " + to.ToString());
  }
}

void UdpPeer::SendAll(const std::vector<std::string>& datagrams, const Endpoint& to) const {
  sockaddr_storage address;
  const socklen_t size = to.ToSockaddr(&address);
  std::vector<mmsghdr> messages(datagrams.size());
  std::vector<iovec> pieces(datagrams.size());
  for (std::size_t i = 0; i < datagrams.size(); ++i) {
    pieces[i] = {const_cast<char*>(datagrams[i].data()), datagrams[i].size()};
    messages[i].msg_hdr.msg_name = &address;
    messages[i].msg_hdr.msg_namelen = size;
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int sent = ::sendmmsg(fd(), messages.data(), static_cast<unsigned>(messages.size()), 0);
  if (sent != static_cast<int>(datagrams.size())) FailErrno("sendmmsg");
}

void UdpPeer::SendSegments(std::string_view bytes, std::uint16_t segment_bytes, const Endpoint& to) const {
  const int size = segment_bytes;
  if (::setsockopt(fd(), SOL_UDP, UDP_SEGMENT, &size, sizeof size) != 0) FailErrno("UDP_SEGMENT");
  Send(bytes, to);
  const int none = 0;
  ::setsockopt(fd(), SOL_UDP, UDP_SEGMENT, &none, sizeof none);
}

UdpPeer::Datagram UdpPeer::Receive() const {
  pollfd waiting{fd(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, static_cast<int>(kTestTimeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready != 1) throw std::runtime_error("no datagram arrived");
  std::string bytes(65'536, '\0');
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const ssize_t got = ::recvfrom(fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&address), &size);
  if (got < 0) FailErrno("recvfrom");
  bytes.resize(static_cast<std::size_t>(got));
  return {std::move(bytes), Endpoint::FromSockaddr(address)};
}

bool UdpPeer::nothing_arrived() const {
  pollfd waiting{fd(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 0;
}

std::string UdpHeader(const Endpoint& target, std::uint8_t fragment) {
  return "00 00"_hex + static_cast<char>(fragment) + AddressAndPort(target);
}

std::string UdpHeader(std::string_view name, std::uint16_t port) { return "00 00 00"_hex + AddressAndPort(name, port); }

std::string AssociateRequest(const Endpoint& claimed) { return "05 03 00"_hex + AddressAndPort(claimed); }

Endpoint ReceiveBound(const Peer& client) {
  std::string reply = client.Receive(10);
  if (reply.substr(0, 3) != "05 00 00"_hex) throw std::runtime_error("expected success, received " + Hex(reply));
  if (reply[3] == 4) reply += client.Receive(12);
  std::size_t size = 0;
  return ReadAddressAndPort(std::string_view(reply).substr(3), size);
}

UdpClient::UdpClient(Peer control, std::string_view request) : control_(std::move(control)), udp_(LocalOf(control_)) {
  control_.Send(kGreeting);
  if (control_.Receive(2) != kChosenNone) throw std::runtime_error("the greeting was not answered");
  control_.Send(request);
  bound_ = ReceiveBound(control_);
}

UdpPeer::Datagram UdpClient::Receive() const {
  UdpPeer::Datagram answer = udp_.Receive();
  if (answer.from != bound_) throw std::runtime_error("an answer arrived from " + answer.from.ToString());
  if (answer.bytes.substr(0, 3) != "00 00 00"_hex) throw std::runtime_error("no header: " + Hex(answer.bytes));
  std::size_t size = 0;
  const Endpoint from = ReadAddressAndPort(std::string_view(answer.bytes).substr(3), size);
  return {answer.bytes.substr(3 + size), from};
}

void UdpClient::PingPong(const UdpPeer& target, std::string_view data) const {
  Send(data, target.at());
  const UdpPeer::Datagram question = target.Receive();
  if (question.bytes != data) throw std::runtime_error("the target received " + Hex(question.bytes.substr(0, 64)));
  target.Send(question.bytes, question.from);
  const UdpPeer::Datagram answer = Receive();
  if (answer.bytes != data) throw std::runtime_error("the client received " + Hex(answer.bytes.substr(0, 64)));
  if (answer.from != target.at()) throw std::runtime_error("an answer of " + answer.from.ToString());
}

}  // namespace penstock::test
