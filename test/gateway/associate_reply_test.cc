// UDP ASSOCIATE: requests and their replies.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("associate");

TEST_CASE("UDP: BND is the address that the client connected to, in its own family, with a new port") {
  Settings settings = TestSettings();
  settings.listen = {*Endpoint::Parse("0.0.0.0:0"), *Endpoint::Parse("[::]:0")};
  const TestGateway gateway(settings);
  std::vector<Endpoint> seen;
  for (const std::string address : {"127.0.0.1", "127.0.0.5", "::1"}) {
    CAPTURE(address);
    const Endpoint at{*IpAddress::Parse(address), gateway.at(address == "::1" ? 1 : 0).port};
    const Peer client = Peer::To(at);
    client.Send(kGreeting + AssociateRequest());
    CHECK(client.Receive(2) == kChosenNone);
    const Endpoint bound = ReceiveBound(client);
    CHECK(bound.ip == at.ip);
    CHECK(bound.port != 0);
    CHECK(std::ranges::find(seen, bound) == seen.end());
    seen.push_back(bound);
    // The port is real: a datagram that is sent there reaches the target.
    const UdpPeer udp(Endpoint{client.local().ip, 0});
    const UdpPeer target;
    udp.Send(UdpHeader(target.at()) + "x", bound);
    target.Send("y", target.Receive().from);
    CHECK(udp.Receive().from == bound);
  }
}

TEST_CASE("UDP: the address in the request, valid or not, does not affect the association") {
  const TestGateway gateway;
  const UdpPeer target;
  const std::string requests[] = {
      AssociateRequest(*Endpoint::Parse("0.0.0.0:0")),
      AssociateRequest(*Endpoint::Parse("[::]:0")),
      AssociateRequest(*Endpoint::Parse("192.168.1.5:40000")),
      AssociateRequest(*Endpoint::Parse("255.255.255.255:65535")),
      AssociateRequest(*Endpoint::Parse("[2001:db8::1]:53")),
      AssociateRequest(target.at()),
      "05 03 00 03 01 30 00 00"_hex,  // the name "0"
      "05 03 00 03 0c"_hex + "gone.invalid" + "00 35"_hex,
      "05 03 00 03 03 00 20 ff ff ff"_hex,  // not a valid name
      "05 03 ff 01 00 00 00 00 00 00"_hex,  // RSV
  };
  for (const std::string& request : requests) {
    CAPTURE(Hex(request));
    const UdpClient client(gateway, 0, request);
    client.PingPong(target);
  }
  CHECK(gateway.Count(&Counters::names_asked) == 0);
}

TEST_CASE("UDP: the request may arrive split, and with further bytes behind it, which are ignored") {
  const TestGateway gateway;
  const UdpPeer target;
  for (std::size_t split = 1; split < 10; ++split) {
    const Peer client = gateway.GreetedClient();
    const std::string request = AssociateRequest();
    client.Send(request.substr(0, split));
    CHECK(gateway.WaitUntilRead(client));
    client.Send(request.substr(split) + "and more");
    const Endpoint bound = ReceiveBound(client);
    client.Send(std::string(100'000, 'x'));
    CHECK(gateway.WaitUntilRead(client));
    const UdpPeer udp;
    udp.Send(UdpHeader(target.at()) + "x", bound);
    CHECK(target.Receive().bytes == "x");
  }
}

TEST_CASE("--udp-advertise: BND is the advertised address of the client's family, with the real port") {
  Settings settings = TestSettings();
  settings.listen = {kLoopback, kLoopback6};
  settings.udp_advertise = {*IpAddress::Parse("203.0.113.5")};
  const TestGateway gateway(settings);
  const Peer client = gateway.GreetedClient();
  client.Send(AssociateRequest());
  const Endpoint advertised = ReceiveBound(client);
  CHECK(advertised.ip.ToString() == "203.0.113.5");
  const UdpPeer udp;
  const UdpPeer target;
  udp.Send(UdpHeader(target.at()) + "x", Endpoint{kLoopback.ip, advertised.port});
  CHECK(target.Receive().bytes == "x");
  const UdpClient client6(gateway, 1);
  CHECK(client6.bound().ip == kLoopback6.ip);

  settings.udp_advertise.push_back(*IpAddress::Parse("2001:db8::5"));
  const TestGateway both(settings);
  const Peer other(Peer::To(both.at(1)));
  other.Send(kGreeting + AssociateRequest());
  other.Receive(2);
  CHECK(ReceiveBound(other).ip.ToString() == "2001:db8::5");
}

TEST_CASE("--udp-ports: BND has a port of the range; while none is free the reply is REP 01") {
  Settings settings = TestSettings();
  settings.udp_ports = FreePorts(3);
  const TestGateway gateway(settings);
  const UdpPeer target;
  std::vector<std::unique_ptr<UdpClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<UdpClient>(gateway));
    CHECK(clients.back()->bound().port >= settings.udp_ports.low);
    CHECK(clients.back()->bound().port <= settings.udp_ports.high);
    clients.back()->PingPong(target);
  }
  CHECK(Hex(gateway.AnswerTo(AssociateRequest())) == Hex(Refusal(1)));
  const std::uint16_t freed = clients[1]->bound().port;
  clients[1].reset();
  CHECK(gateway.WaitForSessions(2));
  const UdpClient again(gateway);
  CHECK(again.bound().port == freed);
  again.PingPong(target);
}

TEST_CASE("UDP: without descriptors a request gets REP 01 and datagrams are dropped; both work again afterwards") {
  const TestGateway gateway;
  const Peer refused = gateway.GreetedClient();
  const UdpClient client(gateway);
  const UdpPeer target;
  {
    const NoMoreDescriptors none;
    refused.Send(AssociateRequest());
    CHECK(Hex(refused.ReceiveToEnd()) == Hex(Refusal(1)));
    client.Send("x", target.at());
    CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_unreachable) == 1; }));
  }
  client.PingPong(target);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
