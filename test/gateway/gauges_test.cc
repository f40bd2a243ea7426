// The gauges of a running gateway, as another thread reads them.
#include <doctest/doctest.h>

#include "test/support/dns_server.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("gauges");

bool WaitForGauge(const TestGateway& gateway, Gauge Gauges::*gauge, std::uint64_t value) {
  return WaitUntil([&] { return gateway.server().Sum(gauge) == value; });
}

bool WaitForState(const TestGateway& gateway, SessionState state, std::size_t count) {
  return WaitUntil([&] { return gateway.server().sessions(state) == count; });
}

TEST_CASE("gauges: sessions are counted by state, and all of them are zero at the end") {
  const TestGateway gateway;
  {
    const TargetListener listener;
    const UdpPeer target;
    const Peer silent = gateway.Client();
    const Peer greeted = gateway.GreetedClient();
    const auto first = gateway.Open(listener);
    const auto second = gateway.Open(listener);
    UdpClient associated(gateway);
    associated.PingPong(target, "ping");
    CHECK(WaitForState(gateway, SessionState::kNego, 1));
    CHECK(WaitForState(gateway, SessionState::kRequest, 1));
    CHECK(WaitForState(gateway, SessionState::kRelay, 2));
    CHECK(WaitForState(gateway, SessionState::kAssociated, 1));
    CHECK(WaitForGauge(gateway, &Gauges::handshakes, 2));
    CHECK(WaitForGauge(gateway, &Gauges::associations, 1));
    CHECK(WaitForGauge(gateway, &Gauges::pending_buffers, 0));
    CHECK(WaitForGauge(gateway, &Gauges::accepting_paused, 0));
  }
  CHECK(gateway.WaitForSessions(0));
  for (const SessionState state : {SessionState::kNego, SessionState::kRequest, SessionState::kRelay,
                                   SessionState::kAssociated, SessionState::kResetting}) {
    CHECK(WaitForState(gateway, state, 0));
  }
  CHECK(WaitForGauge(gateway, &Gauges::handshakes, 0));
  CHECK(WaitForGauge(gateway, &Gauges::associations, 0));
}

TEST_CASE("gauges: a full gateway has paused accepting, and no permit in reserve") {
  Settings settings = TestSettings();
  settings.connections_max = 1;
  const TestGateway gateway(settings);
  const TargetListener listener;
  auto session = gateway.Open(listener);
  CHECK(WaitForGauge(gateway, &Gauges::accepting_paused, 0));
  const Peer waiting = gateway.Client();
  CHECK(WaitForGauge(gateway, &Gauges::accepting_paused, 1));
  CHECK(WaitForGauge(gateway, &Gauges::permits_unused, 0));
  session.client.Close();
  session.target.Close();
  CHECK(WaitForGauge(gateway, &Gauges::accepting_paused, 0));
}

TEST_CASE("gauges: a lookup is under way until its name server answers; then its name is in the cache") {
  DnsServer dns;
  dns.Add("held.example", "127.0.0.1");
  dns.Behave("held.example", DnsServer::Behaviour::kHold);
  const TempDirectory directory;
  Settings settings = TestSettings();
  settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf());
  settings.names.families = Families{true, false};
  const TestGateway gateway(settings);
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest("held.example", listener.at().port));
  CHECK(WaitForGauge(gateway, &Gauges::dns_lookups, 1));
  CHECK(WaitForGauge(gateway, &Gauges::dns_sockets, 1));
  CHECK(WaitForGauge(gateway, &Gauges::dns_cache_entries, 0));
  CHECK(gateway.server().sessions(SessionState::kConnecting) == 1);
  dns.Release("held.example");
  CHECK(WaitForState(gateway, SessionState::kRelay, 1));
  CHECK(WaitForGauge(gateway, &Gauges::dns_lookups, 0));
  CHECK(WaitForGauge(gateway, &Gauges::dns_sockets, 0));
  CHECK(WaitForGauge(gateway, &Gauges::dns_cache_entries, 1));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
