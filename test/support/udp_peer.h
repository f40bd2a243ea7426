// Scripted UDP peers: targets, and clients with an association.
// A peer belongs to one thread at a time. Every wait ends after kTestTimeout at most. A function that does not receive
// what the test expects throws a std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/os/fd.h"
#include "test/support/gateway.h"
#include "test/support/peer.h"
#include "test/support/wait.h"

namespace penstock::test {

class UdpPeer {
 public:
  struct Datagram {
    std::string bytes;
    Endpoint from;
  };

  // Binds to `at`; with port 0 the kernel picks the port.
  explicit UdpPeer(const Endpoint& at = kLoopback);

  const Endpoint& at() const { return at_; }
  int fd() const { return socket_.get(); }

  void Send(std::string_view bytes, const Endpoint& to) const;
  // Sends all datagrams with one system call, so that the gateway receives them as a batch.
  void SendAll(const std::vector<std::string>& datagrams, const Endpoint& to) const;
  // The same as one message that the kernel cuts into datagrams (UDP_SEGMENT).
  void SendSegments(std::string_view bytes, std::uint16_t segment_bytes, const Endpoint& to) const;

  Datagram Receive() const;
  // True if no datagram waits to be received.
  bool nothing_arrived() const;

 private:
  Fd socket_;
  Endpoint at_;
};

// RSV FRAG ATYP DST.ADDR DST.PORT, the header in front of the data.
std::string UdpHeader(const Endpoint& target, std::uint8_t fragment = 0);
std::string UdpHeader(std::string_view name, std::uint16_t port);

std::string AssociateRequest(const Endpoint& claimed = *Endpoint::Parse("0.0.0.0:0"));

// A client with an association.
class UdpClient {
 public:
  // Connects to listener `index` of the gateway and sends `request`; its datagrams come from the connection's address.
  explicit UdpClient(const TestGateway& gateway, std::size_t index = 0, std::string_view request = AssociateRequest())
      : UdpClient(gateway.at(index), request) {}
  explicit UdpClient(const Endpoint& gateway, std::string_view request = AssociateRequest())
      : UdpClient(Peer::To(gateway), request) {}
  explicit UdpClient(Peer control, std::string_view request = AssociateRequest());

  // Through the gateway.
  void Send(std::string_view data, const Endpoint& target) const { SendRaw(UdpHeader(target) + std::string(data)); }
  void Send(std::string_view data, std::string_view name, std::uint16_t port) const {
    SendRaw(UdpHeader(name, port) + std::string(data));
  }
  void SendRaw(std::string_view datagram) const { udp_.Send(datagram, bound_); }
  // The next answer without its header, and its source. Throws if it was not sent from the bound address.
  UdpPeer::Datagram Receive() const;

  // Sends `data` to `target` and an answer back. Throws unless both arrive.
  void PingPong(const UdpPeer& target, std::string_view data = "ping") const;

  Peer& control() { return control_; }
  const UdpPeer& udp() const { return udp_; }
  const Endpoint& bound() const { return bound_; }

 private:
  Peer control_;
  Endpoint bound_;  // BND of the reply
  UdpPeer udp_;
};

// Receives a success reply and returns its BND. Throws if it is a refusal.
Endpoint ReceiveBound(const Peer& client);

}  // namespace penstock::test
