// Rules with real clients, names and targets: what is allowed, from which source, and what is logged.
#include "penstock/policy/rules.h"

#include <signal.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/socket.h"
#include "test/support/dns_server.h"
#include "test/support/gateway.h"
#include "test/support/program.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("rules");

// The rules of `lines`, "allow ..." or "deny ..." as in a file.
std::shared_ptr<const RuleSet> Rules(const std::vector<std::string>& lines) {
  RuleText text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool allows = lines[i].starts_with("allow");
    const auto error = text.AddRule(allows, lines[i].substr(allows ? 5 : 4), "test.conf:" + std::to_string(i + 1));
    REQUIRE_MESSAGE(!error, error.value_or(""));
  }
  return std::make_shared<const RuleSet>(text);
}

TEST_CASE("a start beyond loopback warns if remote clients can reach private networks") {
  const struct {
    std::vector<std::string> options;
    bool warns;
  } rows[] = {
      {{"--listen=0.0.0.0:0", "--allow=client 127.0.0.0/8,192.0.2.1"}, true},
      {{"--listen=0.0.0.0:0", "--deny=target private", "--allow=client 127.0.0.0/8,192.0.2.1"}, false},
      {{}, false},  // on loopback alone
  };
  for (const auto& row : rows) {
    Program program(row.options);
    program.Signal(SIGTERM);
    CHECK(program.Wait() == 0);
    const bool warned = program.LogText().find(
                            "warn private-networks-open blocks=\"10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, "
                            "fc00::/7\" ") != std::string::npos;
    CHECK(warned == row.warns);
  }
}

Settings With(const std::vector<std::string>& lines) {
  Settings settings = TestSettings();
  settings.policy.rules = Rules(lines);
  settings.policy.log_level = LogLevel::kInfo;
  return settings;
}

Settings With(const std::vector<std::string>& lines, const DnsServer& dns, const TempDirectory& directory,
              std::string_view search = "") {
  Settings settings = With(lines);
  settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf() + std::string(search));
  settings.names.hosts_file = directory.Write("hosts", "");
  settings.names.families = Families{true, true};
  return settings;
}

// Expects that a client with `request` is connected to `listener`. Returns the source of the connection.
Endpoint ExpectConnected(const TestGateway& gateway, const TargetListener& listener, const std::string& request) {
  const Peer client = gateway.GreetedClient();
  client.Send(request);
  const Peer target = listener.Accept();
  const std::string success = Success(target.remote());
  CHECK(Hex(client.Receive(success.size())) == Hex(success));
  return target.remote();
}

bool LogHas(const TestGateway& gateway, std::string_view text) {
  return WaitUntil([&] { return gateway.LogText().find(text) != std::string::npos; });
}

TEST_CASE("a denied request gets \"not allowed\", is counted, and is logged with its rule") {
  const OnOnePort<TargetListener, TargetListener> targets("127.0.0.1", "127.0.0.2");
  const TargetListener& listener = *targets.first;
  const std::string port = std::to_string(targets.port());
  const TestGateway gateway(With({"allow target 127.0.0.2 port " + port, "deny target 127.0.0.1 port " + port}));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest(listener.at()))) == Hex(Refusal(2)));
  CHECK(gateway.Count(&Counters::denied) == 1);
  CHECK(LogHas(gateway, " command=connect asked=127.0.0.1 port=" + port + " rule=2 where=test.conf:2\n"));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("127.0.0.3", 80))) == Hex(Refusal(2)));  // no rule allows it
  CHECK(LogHas(gateway, " asked=127.0.0.3 port=80 rule=default\n"));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("[::ffff:127.0.0.1]", listener.at().port))) == Hex(Refusal(2)));
  CHECK(gateway.Count(&Counters::denied) == 3);
  ExpectConnected(gateway, *targets.second, ConnectRequest(targets.second->at()));
}

TEST_CASE("a denied name is never resolved, and an allowed name is connected") {
  DnsServer dns;
  dns.Add("www.evil.example", "127.0.0.1");
  dns.Add("www.good.example", "127.0.0.1");
  const TempDirectory directory;
  TestGateway gateway(With({"deny target .evil.example", "allow target .good.example"}, dns, directory));
  gateway.IgnoreSockets();
  const TargetListener listener;
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("WWW.evil.example.", listener.at().port))) == Hex(Refusal(2)));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("other.example", listener.at().port))) == Hex(Refusal(2)));
  CHECK(dns.Queries("www.evil.example", DnsType::kA) == 0);
  CHECK(dns.Queries("other.example", DnsType::kA) == 0);
  ExpectConnected(gateway, listener, ConnectRequest("www.good.example", listener.at().port));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest(listener.at()))) == Hex(Refusal(2)));  // its address is not allowed
}

TEST_CASE("a name is connected only at those of its addresses that are allowed") {
  DnsServer dns;
  dns.Add("mixed.example", "127.0.0.2");
  dns.Add("mixed.example", "127.0.0.3");
  dns.Add("closed.example", "127.0.0.2");
  const TempDirectory directory;
  TestGateway gateway(With({"deny target 127.0.0.2"}, dns, directory));
  gateway.IgnoreSockets();
  const OnOnePort<TargetListener, TargetListener> targets("127.0.0.3", "127.0.0.2");
  for (int i = 0; i < 4; ++i) ExpectConnected(gateway, *targets.first, ConnectRequest("mixed.example", targets.port()));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("closed.example", targets.port()))) == Hex(Refusal(2)));
  CHECK_FALSE(targets.second->HasPendingConnection());
}

TEST_CASE("the line of a session has the rule that allowed the address it has connected to, or denied it") {
  DnsServer dns;
  for (const char* address : {"127.0.0.2", "127.0.0.3"}) dns.Add("last.example", address);
  for (const char* address : {"127.0.0.3", "127.0.0.2"}) dns.Add("first.example", address);
  const TempDirectory directory;
  TestGateway gateway(
      With({"allow target 127.0.0.2", "deny target 127.0.0.4", "allow target 127.0.0.3"}, dns, directory));
  gateway.IgnoreSockets();
  const TargetListener listener(Endpoint{*IpAddress::Parse("127.0.0.3"), 0});  // nothing listens at 127.0.0.2
  const std::string port = std::to_string(listener.at().port);
  for (const std::string name : {"last.example", "first.example"}) {
    CAPTURE(name);
    ExpectConnected(gateway, listener, ConnectRequest(name, listener.at().port));
    CHECK(LogHas(gateway, " asked=" + name + " port=" + port + " target=127.0.0.3:" + port + " rule=3 reply=0 "));
  }
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("127.0.0.4", 80))) == Hex(Refusal(2)));
  CHECK(LogHas(gateway, " asked=127.0.0.4 port=80 rule=2 reply=2 "));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("127.0.0.5", 80))) == Hex(Refusal(2)));
  CHECK(LogHas(gateway, " asked=127.0.0.5 port=80 rule=default reply=2 "));
}

TEST_CASE("a rule that denies a name also denies a short name that the search list completes to it") {
  DnsServer dns;
  dns.Add("kubernetes.default.svc.cluster.local", "127.0.0.1");
  const TempDirectory directory;
  TestGateway gateway(With({"deny target .cluster.local"}, dns, directory, "search svc.cluster.local\n"));
  gateway.IgnoreSockets();
  const TargetListener listener;
  const UdpPeer target;
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("kubernetes.default", listener.at().port))) == Hex(Refusal(2)));
  CHECK(Hex(gateway.AnswerTo(BindRequest("kubernetes.default", 0))) == Hex(Refusal(2)));
  CHECK(LogHas(gateway, " command=connect asked=kubernetes.default port=" + std::to_string(listener.at().port) +
                            " rule=1 where=test.conf:1\n"));
  const UdpClient client(gateway);
  client.Send("no", "kubernetes.default", target.at().port);
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) == 1; }));
  CHECK(target.nothing_arrived());
  CHECK(dns.Queries("kubernetes.default", DnsType::kA) == 1);  // this one is allowed, and does not exist
  CHECK(dns.Queries("kubernetes.default.svc.cluster.local", DnsType::kA) == 0);
}

TEST_CASE("a rule that allows a name also allows a short name that the search list completes to it") {
  DnsServer dns;
  dns.Add("www.good.example", "127.0.0.1");
  dns.Add("www.other.example", "127.0.0.1");
  const TempDirectory directory;
  TestGateway gateway(With({"allow target www.good.example", "allow target other.", "deny target bad."}, dns, directory,
                           "search other.example good.example\n"));
  gateway.IgnoreSockets();
  const TargetListener listener;
  ExpectConnected(gateway, listener, ConnectRequest("www", listener.at().port));
  CHECK(dns.Queries("www.other.example", DnsType::kA) == 0);
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("www.", listener.at().port))) ==
        Hex(Refusal(2)));  // without the search list
  CHECK(dns.Queries("www", DnsType::kA) == 0);
  dns.Add("other.good.example", "127.0.0.1");
  ExpectConnected(gateway, listener, ConnectRequest("other", listener.at().port));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("bad", listener.at().port))) == Hex(Refusal(2)));
  CHECK(dns.Queries("bad.good.example", DnsType::kA) == 0);
}

TEST_CASE("a later rule about addresses does not override an earlier rule that allows the completed name") {
  DnsServer dns;
  dns.Add("www.good.example", "127.0.0.1");
  const TempDirectory directory;
  TestGateway gateway(With({"allow target .good.example", "allow target short.", "deny target 127.0.0.0/8"}, dns,
                           directory, "search good.example\n"));
  gateway.IgnoreSockets();
  const TargetListener listener;
  ExpectConnected(gateway, listener, ConnectRequest("www.good.example", listener.at().port));
  ExpectConnected(gateway, listener, ConnectRequest("www", listener.at().port));
  dns.Add("short.good.example", "127.0.0.1");
  ExpectConnected(gateway, listener, ConnectRequest("short", listener.at().port));
}

TEST_CASE("connections and datagrams are sent from the source that a rule names") {
  DnsServer dns;
  dns.Add("www.good.example", "127.0.0.1");
  const TempDirectory directory;
  TestGateway gateway(With(
      {"allow target .good.example source 127.0.0.8 source-interface lo", "allow source 127.0.0.9"}, dns, directory));
  gateway.IgnoreSockets();
  const TargetListener listener;
  CHECK(ExpectConnected(gateway, listener, ConnectRequest(listener.at())).ip == *IpAddress::Parse("127.0.0.9"));
  CHECK(ExpectConnected(gateway, listener, ConnectRequest("www.good.example", listener.at().port)).ip ==
        *IpAddress::Parse("127.0.0.8"));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("::1", 80))) == Hex(Refusal(8)));  // no source of that family

  const UdpPeer target;
  const UdpClient client(gateway);
  client.Send("a", "www.good.example", target.at().port);
  CHECK(target.Receive().from.ip == *IpAddress::Parse("127.0.0.8"));
  const UdpClient other(gateway);
  other.Send("a", target.at());
  CHECK(target.Receive().from.ip == *IpAddress::Parse("127.0.0.9"));

  const Peer binding = gateway.GreetedClient();
  binding.Send(BindRequest(*Endpoint::Parse("127.0.0.1:0")));
  CHECK(ReceiveBound(binding).ip == *IpAddress::Parse("127.0.0.9"));
}

TEST_CASE("UDP: a datagram whose rule names another source than the open socket has is dropped") {
  const UdpPeer first;
  const UdpPeer second;
  const std::string to_second = "allow port " + std::to_string(second.at().port);
  for (const std::string& rule : {to_second + " source 127.0.0.9", to_second + " source-interface lo"}) {
    CAPTURE(rule);
    const TestGateway gateway(With({rule, "allow"}));
    {
      const UdpClient client(gateway);
      client.PingPong(first);
      client.Send("from elsewhere", second.at());
      CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_unreachable) == 1; }));
      client.PingPong(first);
    }
    const UdpClient client(gateway);
    client.PingPong(second);
    client.Send("from anywhere", first.at());
    CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_unreachable) == 2; }));
    client.PingPong(second);
    CHECK(first.nothing_arrived());
    CHECK(second.nothing_arrived());
  }
}

TEST_CASE("UDP: a datagram of a family that its rule's source excludes is dropped, although a socket is open") {
  const UdpPeer first(kLoopback6);
  const UdpPeer second(kLoopback6);
  const TestGateway gateway(With({"allow port " + std::to_string(first.at().port), "allow source 127.0.0.9"}));
  const UdpClient client(gateway);
  client.PingPong(first);
  client.Send("no", second.at());
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_unreachable) == 1; }));
  CHECK(second.nothing_arrived());
}

// Reloads the rules and waits until those of `lines` apply to the client's association. They deny the target `denied`,
// which the rules before allowed.
void Reload(const TestGateway& gateway, const std::vector<std::string>& lines, const UdpClient& client,
            const UdpPeer& denied) {
  Policy policy;
  policy.rules = Rules(lines);
  gateway.server().Reload(policy);
  CHECK(WaitUntil([&] {
    client.Send("may I?", denied.at());
    return gateway.Count(&Counters::udp_denied) > 0;
  }));
}

TEST_CASE("UDP: after a reload denied targets no longer reach the client, and allowed ones do") {
  const UdpPeer denied;
  const UdpPeer allowed(*Endpoint::Parse("127.0.0.2:0"));
  for (const UdpFilter filter : {UdpFilter::kAddress, UdpFilter::kOpen}) {
    for (const std::string_view rule : {"deny target 127.0.0.1", "deny client 127.0.0.1"}) {
      CAPTURE(rule);
      Settings settings = With({"allow"});
      settings.udp_filter = filter;
      const TestGateway gateway(settings);
      const UdpClient client(gateway);
      client.PingPong(allowed);
      client.Send("a", denied.at());
      const Endpoint outside = denied.Receive().from;
      Reload(gateway, {std::string(rule)}, client, denied);

      const std::uint64_t before = gateway.Count(&Counters::udp_denied);
      denied.Send("too late", outside);
      CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) > before; }));
      if (rule == "deny target 127.0.0.1") {
        for (int i = 0; i < 2; ++i) {
          allowed.Send("still there", outside);
          CHECK(client.Receive().bytes == "still there");
        }
      }
      CHECK(client.udp().nothing_arrived());
    }
  }
}

TEST_CASE("UDP: after a reload a target that is allowed by name can answer once it has been sent to again") {
  DnsServer dns;
  dns.Add("www.good.example", "127.0.0.1");
  const TempDirectory directory;
  const UdpPeer target;
  const UdpPeer denied(*Endpoint::Parse("127.0.0.2:0"));
  for (const UdpFilter filter : {UdpFilter::kAddress, UdpFilter::kOpen}) {
    Settings settings = With({"allow target .good.example", "allow target 127.0.0.2"}, dns, directory);
    settings.udp_filter = filter;
    TestGateway gateway(settings);
    gateway.IgnoreSockets();
    const UdpClient client(gateway);
    for (const bool again : {false, true}) {
      client.Send("question", "www.good.example", target.at().port);
      target.Send("answer", target.Receive().from);
      CHECK(client.Receive().bytes == "answer");
      if (!again) Reload(gateway, {"allow target .good.example"}, client, denied);
    }
  }
}

TEST_CASE("UDP: --udp-filter open does not deliver datagrams from denied addresses") {
  Settings settings = With({"deny target 127.0.0.2", "allow"});
  settings.udp_filter = UdpFilter::kOpen;
  const TestGateway gateway(settings);
  const UdpClient client(gateway);
  const UdpPeer target;
  const UdpPeer denied(*Endpoint::Parse("127.0.0.2:0"));
  const UdpPeer unknown(*Endpoint::Parse("127.0.0.3:0"));
  client.Send("a", target.at());
  const Endpoint outside = target.Receive().from;
  for (int i = 1; i <= 3; ++i) {
    denied.Send("denied", outside);
    CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) == static_cast<std::uint64_t>(i); }));
    unknown.Send("unknown", outside);
    CHECK(client.Receive().bytes == "unknown");
  }
}

// The condition of a rule that limits it to the peer's port.
std::string Port(const UdpPeer& peer) { return " port " + std::to_string(peer.at().port); }

TEST_CASE("UDP: a denied port cannot answer, although another port of its address was sent to") {
  const UdpPeer allowed;
  const UdpPeer denied;
  const std::vector<std::string> policies[] = {{"deny target 127.0.0.1" + Port(denied)},
                                               {"allow target 127.0.0.1" + Port(allowed), "deny"}};
  for (const UdpFilter filter : {UdpFilter::kAddress, UdpFilter::kOpen}) {
    for (const auto& policy : policies) {
      CAPTURE(policy.front());
      Settings settings = With(policy);
      settings.udp_filter = filter;
      const TestGateway gateway(settings);
      const UdpClient client(gateway);
      client.Send("a", allowed.at());
      const Endpoint outside = allowed.Receive().from;
      for (int i = 1; i <= 2; ++i) {
        denied.Send("denied", outside);
        CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) == static_cast<std::uint64_t>(i); }));
        allowed.Send("allowed", outside);
        CHECK(client.Receive().bytes == "allowed");
      }
      CHECK(client.udp().nothing_arrived());
    }
  }
}

TEST_CASE("UDP: another port of an address that was sent to may answer if no rule matches it") {
  const UdpPeer target;
  const UdpPeer elsewhere;
  const TestGateway gateway(With({"allow target 127.0.0.1" + Port(target)}));
  const UdpClient client(gateway);
  client.Send("a", target.at());
  elsewhere.Send("answer", target.Receive().from);
  CHECK(client.Receive().bytes == "answer");
}

TEST_CASE("UDP: a port that a reload denies cannot answer, although another port of its address still can") {
  const UdpPeer allowed;
  const UdpPeer denied;
  for (const std::string& rule : {"deny" + Port(denied), "allow" + Port(allowed)}) {
    CAPTURE(rule);
    const TestGateway gateway(With({"allow"}));
    const UdpClient client(gateway);
    client.PingPong(allowed);
    client.Send("a", denied.at());
    const Endpoint outside = denied.Receive().from;
    Reload(gateway, {rule}, client, denied);
    for (int i = 0; i < 2; ++i) {
      allowed.Send("still there", outside);
      CHECK(client.Receive().bytes == "still there");
      const std::uint64_t before = gateway.Count(&Counters::udp_denied);
      denied.Send("too late", outside);
      CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) > before; }));
    }
    CHECK(client.udp().nothing_arrived());
    while (!denied.nothing_arrived()) denied.Receive();  // sent before the reload
  }
}

TEST_CASE("UDP: a target that is allowed by name can answer, although its address and port are denied") {
  DnsServer dns;
  dns.Add("www.good.example", "127.0.0.1");
  const TempDirectory directory;
  const UdpPeer target;
  const UdpPeer denied;
  const std::vector<std::string> policies[] = {{"allow target .good.example" + Port(target), "deny"},
                                               {"allow target .good.example", "deny port 1-65535"}};
  for (const auto& policy : policies) {
    CAPTURE(policy.front());
    TestGateway gateway(With(policy, dns, directory));
    gateway.IgnoreSockets();
    const UdpClient client(gateway);
    client.Send("question", "www.good.example", target.at().port);
    const Endpoint outside = target.Receive().from;
    denied.Send("not asked", outside);
    CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) == 1; }));
    target.Send("answer", outside);
    CHECK(client.Receive().bytes == "answer");
  }
}

TEST_CASE("UDP: after a reload an association sends from its new source address") {
  TestGateway gateway(With({"allow source 127.0.0.8"}));
  const UdpPeer target;
  const UdpClient client(gateway);
  client.PingPong(target);
  const auto reload = [&](const std::string& rule) {
    Policy policy;
    policy.rules = Rules({rule});
    gateway.server().Reload(policy);
  };
  // The source of a datagram, or [::]:0 if it was dropped, as some may be while the worker applies the reload.
  const auto send = [&] {
    const auto dropped = [&] { return gateway.Count(&Counters::udp_unreachable); };
    const auto all = [&] { return gateway.Count(&Counters::datagrams_up) + dropped(); };
    const std::uint64_t all_before = all();
    const std::uint64_t dropped_before = dropped();
    client.Send("from where?", target.at());
    REQUIRE(WaitUntil([&] { return all() > all_before; }));
    return dropped() > dropped_before ? Endpoint() : target.Receive().from;
  };
  for (const std::string_view source : {"127.0.0.9", "127.0.0.8"}) {
    reload("allow source " + std::string(source));
    Endpoint outside;
    CHECK(WaitUntil([&] {
      outside = send();
      return outside.ip == *IpAddress::Parse(source);
    }));
    client.PingPong(target);
    // Its port stays as long as its source does.
    reload("allow target 127.0.0.0/8 source " + std::string(source));
    for (int i = 0; i < 3; ++i) CHECK(send() == outside);
  }
}

TEST_CASE("a reload between two attempts to connect does not change their source") {
  DnsServer dns;
  const OnOnePort<TargetListener, SilentTarget> targets("127.0.0.2", "127.0.0.1");
  const TargetListener& listener = *targets.first;
  dns.Add("slow.example", "127.0.0.1");
  dns.Add("slow.example", "127.0.0.2");
  const TempDirectory directory;
  TestGateway gateway(With({"allow source 127.0.0.9"}, dns, directory));
  gateway.IgnoreSockets();
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest("slow.example", listener.at().port));
  REQUIRE(dns.AwaitQueries("slow.example", DnsType::kA, 1));
  REQUIRE(gateway.WaitUntilRead(client));
  gateway.server().Reload({});
  CHECK(listener.Accept().remote().ip == *IpAddress::Parse("127.0.0.9"));
  CHECK(ReceiveBound(client).ip == *IpAddress::Parse("127.0.0.9"));
}

TEST_CASE("a reload changes what new sessions may reach; live sessions continue") {
  TestGateway gateway(With({"allow"}));
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  Policy policy;
  policy.rules = Rules({"deny target 127.0.0.1"});
  gateway.server().Reload(policy);
  CHECK(WaitUntil([&] { return gateway.AnswerTo(ConnectRequest("127.0.0.1", 1)) == Refusal(2); }));
  session.client.Send("still here");
  CHECK(session.target.Receive(10) == "still here");
}

TEST_CASE("BIND: the rules are evaluated for the peer, and a denied command is refused at once") {
  TestGateway gateway(With({"deny command bind target 127.0.0.2", "deny command bind port 99", "allow"}));
  CHECK(Hex(gateway.AnswerTo(BindRequest(*Endpoint::Parse("127.0.0.2:0")))) == Hex(Refusal(2)));
  CHECK(Hex(gateway.AnswerTo(BindRequest(*Endpoint::Parse("0.0.0.0:99")))) == Hex(Refusal(2)));
  CHECK(gateway.Count(&Counters::denied) == 2);
  const Peer client = gateway.GreetedClient();
  client.Send(BindRequest(*Endpoint::Parse("0.0.0.0:0")));  // any peer
  const Endpoint at = ReceiveBound(client);
  const Peer denied = Peer::FromTo(*Endpoint::Parse("127.0.0.2:0"), at);
  CHECK(denied.ReceiveToReset().empty());
  const Peer allowed = Peer::FromTo(*Endpoint::Parse("127.0.0.3:0"), at);
  CHECK(ReceiveBound(client) == allowed.local());
}

TEST_CASE("UDP: the rules are evaluated for every datagram, for names too") {
  DnsServer dns;
  dns.Add("www.evil.example", "127.0.0.1");
  dns.Add("www.good.example", "127.0.0.1");
  const TempDirectory directory;
  TestGateway gateway(
      With({"deny target .evil.example,127.0.0.3", "allow target .good.example,127.0.0.2"}, dns, directory));
  gateway.IgnoreSockets();
  const UdpPeer target;
  const UdpPeer other(*Endpoint::Parse("127.0.0.2:0"));
  const UdpPeer denied(*Endpoint::Parse("127.0.0.3:0"));
  const UdpClient client(gateway);
  for (int i = 0; i < 2; ++i) {  // resolved, then cached
    client.Send("to a denied name", "www.evil.example", target.at().port);
    client.Send("to a denied address", denied.at());
    client.Send("to what nothing allows", target.at());
    client.Send("to an address", other.at());
    CHECK(other.Receive().bytes == "to an address");
    client.Send("to a name", "www.good.example", target.at().port);
    CHECK(target.Receive().bytes == "to a name");
  }
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::udp_denied) == 6; }));
  CHECK(denied.nothing_arrived());
  CHECK(target.nothing_arrived());
  CHECK(dns.Queries("www.evil.example", DnsType::kA) == 0);
}

TEST_CASE("UDP: an association is refused if the rules deny it every target") {
  {
    const TestGateway gateway(With({"deny command udp-associate", "allow"}));
    CHECK(Hex(gateway.AnswerTo(AssociateRequest())) == Hex(Refusal(2)));
    CHECK(gateway.Count(&Counters::denied) == 1);
  }
  const TestGateway gateway(With({"allow command udp-associate port 53"}));
  const UdpClient client(gateway);
}

TEST_CASE("a rule that names an address overrides the guard for that address" *
          doctest::skip(OutsideAddresses().empty())) {
  for (const IpAddress& own : OutsideAddresses()) {
    CAPTURE(own.ToString());
    Settings settings = With({"allow target 127.0.0.2", "allow"});
    settings.listen = {{own, 0}};
    const TestGateway gateway(settings);
    const TargetListener named(*Endpoint::Parse("127.0.0.2:0"));
    ExpectConnected(gateway, named, ConnectRequest(named.at()));
    CHECK(Hex(gateway.AnswerTo(ConnectRequest("127.0.0.1", 80))) == Hex(Refusal(2)));
    CHECK(LogHas(gateway, " asked=127.0.0.1 port=80 rule=guard\n"));
    const UdpPeer target(*Endpoint::Parse("127.0.0.2:0"));
    const UdpClient client(gateway);
    client.PingPong(target);
  }
}

TEST_CASE("with trust_loopback off the guard applies to clients on loopback, too") {
  Settings settings = With({"allow target 127.0.0.2", "allow client loopback"});
  settings.guard.trust_loopback = false;
  const TestGateway gateway(settings);
  const TargetListener named(*Endpoint::Parse("127.0.0.2:0"));
  ExpectConnected(gateway, named, ConnectRequest(named.at()));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("127.0.0.1", 80))) == Hex(Refusal(2)));
  CHECK(LogHas(gateway, " asked=127.0.0.1 port=80 rule=guard\n"));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
