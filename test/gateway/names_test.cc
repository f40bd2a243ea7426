// CONNECT to names: what the name servers answer or do not answer, and which reply the client gets.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_server.h"
#include "test/support/gateway.h"
#include "test/support/temp_directory.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("names");

using Behaviour = DnsServer::Behaviour;

// A gateway whose name server is `dns` and whose hosts file is `hosts`.
struct NamedGateway {
  explicit NamedGateway(const DnsServer& dns, std::string_view hosts = "", milliseconds connect_timeout = kTestTimeout,
                        std::string_view options = "")
      : gateway(SettingsFor(dns, hosts, connect_timeout, options)) {
    gateway.IgnoreSockets();
  }

  Settings SettingsFor(const DnsServer& dns, std::string_view hosts, milliseconds connect_timeout,
                       std::string_view options) const {
    Settings settings = TestSettings();
    settings.connect_timeout = connect_timeout;
    settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf(options));
    settings.names.hosts_file = directory.Write("hosts", hosts);
    settings.names.families = Families{true, true};
    return settings;
  }

  // A client that has sent a CONNECT request for `name`.
  Peer Requesting(std::string_view name, std::uint16_t port) const {
    Peer client = gateway.GreetedClient();
    client.Send(ConnectRequest(name, port));
    return client;
  }

  // Expects the client to be connected to the next connection that `listener` accepts.
  void ExpectConnected(const Peer& client, const TargetListener& listener) const {
    const Peer target = listener.Accept();
    const std::string success = Success(target.remote());
    CHECK(Hex(client.Receive(success.size())) == Hex(success));
  }

  TempDirectory directory;
  TestGateway gateway;
};

TEST_CASE("a name that the name server resolves is connected, over IPv4 and IPv6") {
  DnsServer dns;
  dns.Add("four.example", "127.0.0.1");
  dns.Add("six.example", "::1");
  dns.Alias("www.four.example", "four.example");
  const NamedGateway named(dns);
  const TargetListener listener;
  const TargetListener listener6(kLoopback6);
  for (const std::string name : {"four.example", "FOUR.Example", "four.example.", "www.four.example"}) {
    CAPTURE(name);
    named.ExpectConnected(named.Requesting(name, listener.at().port), listener);
  }
  named.ExpectConnected(named.Requesting("six.example", listener6.at().port), listener6);
}

TEST_CASE("a name is queried once and then cached") {
  DnsServer dns;
  dns.Add("four.example", "127.0.0.1");
  const NamedGateway named(dns);
  const TargetListener listener;
  for (int i = 0; i < 5; ++i) named.ExpectConnected(named.Requesting("four.example", listener.at().port), listener);
  CHECK(dns.Queries("four.example", DnsType::kA) == 1);
}

TEST_CASE("a name that does not exist, has no address or is refused by the server is \"host unreachable\"") {
  DnsServer dns;
  dns.Alias("nowhere.example", "gone.example");
  dns.Behave("failing.example", Behaviour::kServerFailure);
  dns.Behave("refused.example", Behaviour::kRefused);
  dns.Behave("bare.example", Behaviour::kRefusedBare);
  const NamedGateway named(dns);
  for (const std::string name :
       {"gone.example", "nowhere.example", "failing.example", "refused.example", "bare.example"}) {
    CAPTURE(name);
    const Stopwatch watch;
    CHECK(Hex(named.Requesting(name, 80).ReceiveToEnd()) == Hex(Refusal(4)));
    CHECK(watch.elapsed() < kTestTimeout / 2);  // long before the deadline
  }
}

TEST_CASE("a silent name server does not delay other clients") {
  DnsServer dns;
  dns.Add("four.example", "127.0.0.1");
  dns.Behave("lost.example", Behaviour::kSilent);
  const NamedGateway named(dns, "127.0.0.1 known.example\n");
  const TargetListener listener;
  const Peer lost = named.Requesting("lost.example", 80);
  REQUIRE(dns.AwaitQueries("lost.example", DnsType::kA, 1));
  named.ExpectConnected(named.Requesting("four.example", listener.at().port), listener);
  named.ExpectConnected(named.Requesting("known.example", listener.at().port), listener);
  named.ExpectConnected(named.Requesting("127.0.0.1", listener.at().port), listener);
  CHECK(lost.Silent(milliseconds(0)));  // the others were connected first
}

TEST_CASE("--connect-timeout: a silent name server is \"host unreachable\" at the deadline, not before") {
  DnsServer dns;
  dns.Behave("lost.example", Behaviour::kSilent);
  const milliseconds deadline(200);
  const NamedGateway named(dns, "", deadline);
  const Stopwatch watch;
  CHECK(Hex(named.Requesting("lost.example", 80).ReceiveToEnd()) == Hex(Refusal(4)));
  CHECK(watch.elapsed() >= deadline);
}

TEST_CASE("a client that leaves while its name is being resolved does not affect other clients") {
  DnsServer dns;
  dns.Add("slow.example", "127.0.0.1");
  dns.Behave("slow.example", Behaviour::kHold);
  const NamedGateway named(dns);
  const TargetListener listener;
  Peer leaving = named.Requesting("slow.example", listener.at().port);
  const Peer staying = named.Requesting("slow.example", listener.at().port);
  REQUIRE(dns.AwaitQueries("slow.example", DnsType::kA, 1));
  REQUIRE(named.gateway.WaitUntilRead(staying));
  leaving.Abort();
  CHECK(named.gateway.WaitForSessions(1));
  dns.Release("slow.example");
  named.ExpectConnected(staying, listener);
}

TEST_CASE("clients that request names without an answer and leave do not delay other clients") {
  DnsServer dns;
  dns.Add("four.example", "127.0.0.1");
  dns.BehaveAlways(Behaviour::kSilent);
  dns.Behave("four.example", Behaviour::kAnswer);
  // A client that waited for the silent server would wait half a minute.
  const NamedGateway named(dns, "", kTestTimeout, "timeout:30");
  const TargetListener listener;
  std::vector<Peer> leaving;
  for (int i = 0; i < 300; ++i) leaving.push_back(named.Requesting("n" + std::to_string(i) + ".silent.example", 80));
  REQUIRE(named.gateway.WaitUntilRead(leaving.back()));
  for (Peer& client : leaving) client.Abort();
  const Stopwatch watch;
  named.ExpectConnected(named.Requesting("four.example", listener.at().port), listener);
  CHECK(watch.elapsed() < kTestTimeout / 2);
}

TEST_CASE("a name whose answer does not fit a datagram is queried over TCP") {
  DnsServer dns;
  dns.Add("big.example", "127.0.0.1");
  dns.Behave("big.example", Behaviour::kTruncated);
  const NamedGateway named(dns);
  const TargetListener listener;
  named.ExpectConnected(named.Requesting("big.example", listener.at().port), listener);
}

TEST_CASE("forged answers are ignored") {
  DnsServer dns;
  const NamedGateway named(dns);
  const TargetListener listener;
  const std::pair<std::string, Behaviour> forgers[] = {{"id.example", Behaviour::kWrongId},
                                                       {"question.example", Behaviour::kWrongQuestion},
                                                       {"source.example", Behaviour::kOtherSource},
                                                       {"garbage.example", Behaviour::kGarbage}};
  for (const auto& forger : forgers) {
    CAPTURE(forger.first);
    dns.Add(forger.first, "127.0.0.1");
    dns.Behave(forger.first, forger.second);
    named.ExpectConnected(named.Requesting(forger.first, listener.at().port), listener);
  }
}

// --- Several addresses ---------------------------------------------------------------------------------------------

TEST_CASE("a name whose first address refuses is connected at its second, at once") {
  const OnOnePort<ClosedPort, TargetListener> targets("::1", "127.0.0.1");
  DnsServer dns;
  dns.Add("both.example", "::1");
  dns.Add("both.example", "127.0.0.1");
  const NamedGateway named(dns);
  const Stopwatch watch;
  named.ExpectConnected(named.Requesting("both.example", targets.port()), *targets.second);
  CHECK(watch.elapsed() < kTestTimeout / 2);
}

TEST_CASE("a name whose first address is silent is connected at its second after the attempt delay") {
  const OnOnePort<SilentTarget, TargetListener> targets("127.0.0.2", "127.0.0.3");
  DnsServer dns;
  dns.Add("slow.example", "127.0.0.2");
  dns.Add("slow.example", "127.0.0.3");
  const NamedGateway named(dns);
  const Stopwatch watch;
  named.ExpectConnected(named.Requesting("slow.example", targets.port()), *targets.second);
  CHECK(watch.elapsed() >= kAttemptDelay);
}

TEST_CASE("a name whose IPv6 address is silent is connected over IPv4 after the attempt delay") {
  const OnOnePort<SilentTarget, TargetListener> targets("::1", "127.0.0.1");
  DnsServer dns;
  dns.Add("dual.example", "::1");
  dns.Add("dual.example", "127.0.0.1");
  const NamedGateway named(dns);
  const Stopwatch watch;
  named.ExpectConnected(named.Requesting("dual.example", targets.port()), *targets.second);
  CHECK(watch.elapsed() >= kAttemptDelay);
}

TEST_CASE("of several failures the reply has the most informative one") {
  // "Refused" beats "unreachable" beats "timed out".
  const ClosedPort closed(*Endpoint::Parse("127.0.0.2:0"));
  const std::uint16_t port = closed.at().port;
  DnsServer dns;
  dns.Add("refused-first.example", "127.0.0.2");
  dns.Add("refused-first.example", "255.255.255.255");
  dns.Add("refused-last.example", "255.255.255.255");
  dns.Add("refused-last.example", "127.0.0.2");
  dns.Add("unreachable.example", "255.255.255.255");
  const NamedGateway named(dns);
  CHECK(Hex(named.Requesting("refused-first.example", port).ReceiveToEnd()) == Hex(Refusal(5)));
  CHECK(Hex(named.Requesting("refused-last.example", port).ReceiveToEnd()) == Hex(Refusal(5)));
  CHECK(Hex(named.Requesting("unreachable.example", port).ReceiveToEnd()) == Hex(Refusal(3)));
}

TEST_CASE("--connect-timeout: the refusal of one address beats the silence of another") {
  const OnOnePort<SilentTarget, ClosedPort> targets("127.0.0.2", "127.0.0.3");
  DnsServer dns;
  dns.Add("mixed.example", "127.0.0.3");
  dns.Add("mixed.example", "127.0.0.2");
  BeforeDeadline([&](milliseconds deadline) {
    const NamedGateway named(dns, "", deadline);
    return named.Requesting("mixed.example", targets.port()).ReceiveToEnd() == Refusal(5);
  });
}

// --- The hosts file ------------------------------------------------------------------------------------------------

TEST_CASE("a name in the hosts file is connected without a query; the file is read again when it changes") {
  DnsServer dns;
  const NamedGateway named(dns, "127.0.0.1 known.example alias # a comment\n");
  const TargetListener listener;
  named.ExpectConnected(named.Requesting("known.example", listener.at().port), listener);
  named.ExpectConnected(named.Requesting("ALIAS", listener.at().port), listener);
  CHECK(dns.Queries() == 0);
  named.directory.Write("hosts", "127.0.0.1 known.example fresh.example\n");
  CHECK(WaitUntil([&] {
    const Peer client = named.Requesting("fresh.example", listener.at().port);
    if (client.Receive(2) != "05 00"_hex) return false;
    const Peer target = listener.Accept();
    return true;
  }));
}

TEST_CASE("localhost is loopback, whatever a name server would answer") {
  DnsServer dns;
  dns.Add("localhost", "203.0.113.66");
  const NamedGateway named(dns);
  const TargetListener listener;
  named.ExpectConnected(named.Requesting("localhost", listener.at().port), listener);
  named.ExpectConnected(named.Requesting("localhost.", listener.at().port), listener);
  CHECK(dns.Queries() == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
