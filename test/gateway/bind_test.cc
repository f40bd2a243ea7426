// BIND: the expected peer, and no other, connects to a client through the gateway.
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/os/socket.h"
#include "test/support/dns_server.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/temp_directory.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("bind");

const Endpoint kUnexpected = *Endpoint::Parse("127.0.0.2:0");

// A client whose BIND waits for a peer, and the address on which the gateway listens for it.
struct Waiting {
  Peer client;
  Endpoint at;
};

// Receives the first reply and returns its BND: a port of the gateway on the address of `on`.
Endpoint ReceiveFirstReply(const Peer& client, const Endpoint& on) {
  const std::string reply = client.Receive(on.ip.is_v4() ? 10 : 22);
  const auto port = std::string_view(reply).substr(reply.size() - 2);
  Endpoint at = on;
  at.port = static_cast<std::uint16_t>(static_cast<unsigned char>(port[0]) << 8 | static_cast<unsigned char>(port[1]));
  CHECK(Hex(reply) == Hex(Success(at)));
  CHECK(at.port != 0);
  return at;
}

Waiting StartBind(const TestGateway& gateway, const std::string& request, const Endpoint& on = kLoopback) {
  Peer client = gateway.GreetedClient();
  client.Send(request);
  const Endpoint at = ReceiveFirstReply(client, on);
  return {std::move(client), at};
}

// Expects the second reply, which names `peer`.
void ExpectSecondReply(const Peer& client, const Peer& peer) {
  const std::string success = Success(peer.local());
  CHECK(Hex(client.Receive(success.size())) == Hex(success));
}

TestGateway::Session Open(const TestGateway& gateway, const Endpoint& peer_at = kLoopback) {
  auto [client, at] = StartBind(gateway, BindRequest(peer_at), peer_at);
  Peer peer = Peer::To(at);
  ExpectSecondReply(client, peer);
  return {std::move(client), std::move(peer)};
}

bool IsClosed(const Endpoint& at) {
  try {
    Peer::To(at);
  } catch (const std::runtime_error& failure) {
    CHECK(failure.what() == "connect " + at.ToString() + ": Connection refused");
    return true;
  }
  return false;
}

Settings HostsSettings(const TempDirectory& directory, std::string_view hosts) {
  Settings settings = TestSettings();
  settings.names.hosts_file = directory.Write("hosts", hosts);
  return settings;
}

// --- The two replies, and the relay --------------------------------------------------------------------------------

TEST_CASE("BIND: the first reply names the listening address, the second the peer; then bytes go both ways") {
  const TestGateway gateway;
  for (const Endpoint& like : {kLoopback, kLoopback6}) {
    CAPTURE(like.ToString());
    auto [client, at] = StartBind(gateway, BindRequest(like), like);
    CHECK(client.Silent(milliseconds(20)));
    Peer peer = Peer::To(at);
    ExpectSecondReply(client, peer);
    CHECK(IsClosed(at));
    PingPong({std::move(client), std::move(peer)}, 10);
  }
  CHECK(gateway.Count(&Counters::bind_waits) == 2);
  CHECK(gateway.Count(&Counters::bind_admitted) == 2);
  CHECK(gateway.Count(&Counters::bind_wrong) == 0);
}

TEST_CASE("BIND: the port of the request may be 0 and is not compared with the peer's") {
  const TestGateway gateway;
  for (const auto port : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{65535}}) {
    const auto [client, at] = StartBind(gateway, BindRequest(Endpoint{kLoopback.ip, port}));
    const Peer peer = Peer::To(at);
    ExpectSecondReply(client, peer);
  }
}

TEST_CASE("BIND: bulk goes both ways between the client and its peer") {
  const TestGateway gateway;
  for (const Endpoint& like : {kLoopback, kLoopback6}) {
    const auto session = Open(gateway, like);
    ExchangeBothWays(session, 5 * kMiB, kMiB);
    session.client.HalfClose();
    session.target.HalfClose();
    CHECK(session.client.ReceiveToEnd().empty());
    CHECK(session.target.ReceiveToEnd().empty());
    CHECK(gateway.WaitForSessions(0));
  }
  CHECK(gateway.Count(&Counters::relays_ended) == 2);
  CHECK(gateway.Count(&Counters::pipes_missing) == 0);
}

TEST_CASE("BIND: after the second reply either side may half-close first and still receives the rest") {
  const TestGateway gateway;
  for (const bool client_first : {true, false}) {
    CAPTURE(client_first);
    const auto [client, peer] = Open(gateway);
    const Peer& first = client_first ? client : peer;
    const Peer& second = client_first ? peer : client;
    first.Send("question");
    first.HalfClose();
    CHECK(second.ReceiveToEnd() == "question");
    Exchange({second, first, kMiB});
    second.HalfClose();
    CHECK(first.ReceiveToEnd().empty());
  }
  CHECK(gateway.WaitForSessions(0));
  CHECK(gateway.Count(&Counters::relays_ended) == 2);
}

TEST_CASE("BIND: after the second reply a reset by one side reaches the other, behind all earlier bytes") {
  const TestGateway gateway;
  for (const bool client_goes : {true, false}) {
    CAPTURE(client_goes);
    auto [client, peer] = Open(gateway);
    Peer& going = client_goes ? client : peer;
    const Peer& staying = client_goes ? peer : client;
    going.Send("last words");
    going.WaitUntilAcknowledged();
    going.Abort();
    CHECK(staying.ReceiveToReset() == "last words");
    CHECK(gateway.WaitForSessions(0));
  }
  CHECK(gateway.Count(&Counters::relays_reset) == 2);
}

TEST_CASE("BIND: what the client sends before the peer connects reaches the peer first, in order and once") {
  const TestGateway gateway;
  const Peer client = gateway.Client();
  Pattern pattern(RunSeed());
  const std::string ahead = pattern.Next(100'000);
  client.Send(kGreeting + BindRequest(kLoopback) + ahead.substr(0, 3000));
  CHECK(Hex(client.Receive(2)) == Hex(kChosenNone));
  const Endpoint at = ReceiveFirstReply(client, kLoopback);
  client.Send(ahead.substr(3000));
  client.WaitUntilAcknowledged();
  CHECK(gateway.UnreadFrom(client) >= ahead.size() - kHandshakeBytes);  // the rest waits in the kernel
  const Peer peer = Peer::To(at);
  CHECK(peer.Receive(ahead.size()) == ahead);
  ExpectSecondReply(client, peer);
  peer.Send("answer");
  CHECK(client.Receive(6) == "answer");
}

TEST_CASE("BIND: what the peer sends at once arrives behind the second reply") {
  const TestGateway gateway;
  const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
  const Peer peer = Peer::To(at);
  peer.Send("220 ready");
  peer.HalfClose();
  ExpectSecondReply(client, peer);
  CHECK(client.ReceiveToEnd() == "220 ready");
}

// --- Which peers are accepted --------------------------------------------------------------------------------------

TEST_CASE("BIND: an unexpected peer is reset and counted; the expected peer is accepted after it") {
  const TestGateway gateway;
  const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
  for (int i = 0; i < 3; ++i) {
    CHECK(Peer::FromTo(kUnexpected, at).ReceiveToReset().empty());
  }
  CHECK(client.Silent(milliseconds(20)));
  CHECK(gateway.Count(&Counters::bind_wrong) == 3);
  const Peer peer = Peer::To(at);
  ExpectSecondReply(client, peer);
  peer.Send("hello");
  CHECK(client.Receive(5) == "hello");
}

TEST_CASE("BIND: many unexpected peers do not keep the expected peer out") {
  const TestGateway gateway;
  const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
  std::vector<Peer> unexpected;
  for (int i = 0; i < 5 * kBindPeersPerTurn; ++i) unexpected.push_back(Peer::FromTo(kUnexpected, at));
  const Peer peer = Peer::To(at);
  ExpectSecondReply(client, peer);
  CHECK(gateway.Count(&Counters::bind_wrong) == unexpected.size());
  for (const Peer& other : unexpected) CHECK(other.ReceiveToReset().empty());
}

TEST_CASE("BIND: the gateway stops listening once a peer is accepted") {
  const TestGateway gateway;
  const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
  const Peer peer = Peer::To(at);
  ExpectSecondReply(client, peer);
  CHECK(IsClosed(at));
}

TEST_CASE("BIND: a request for the unspecified address accepts any peer, on the address that the client connected to") {
  for (const Endpoint& like : {kLoopback, kLoopback6}) {
    Settings settings = TestSettings();
    settings.listen = {like};
    const TestGateway gateway(settings);
    for (const std::string& request :
         {BindRequest(*Endpoint::Parse("0.0.0.0:0")), BindRequest(*Endpoint::Parse("[::]:0")),
          BindRequest("0.0.0.0", 0), BindRequest("::", 0)}) {
      CAPTURE(Hex(request));
      const auto [client, at] = StartBind(gateway, request, like);
      const Peer peer = like.ip.is_v4() ? Peer::FromTo(kUnexpected, at) : Peer::To(at);
      ExpectSecondReply(client, peer);
    }
  }
}

TEST_CASE("BIND: a peer at any address of the requested name is accepted, and no other") {
  const TempDirectory directory;
  const TestGateway gateway(HostsSettings(directory, "127.0.0.1 ftp.example\n127.0.0.3 ftp.example\n"));
  for (const char* from : {"127.0.0.1:0", "127.0.0.3:0"}) {
    CAPTURE(from);
    const auto [client, at] = StartBind(gateway, BindRequest("ftp.example", 20));
    CHECK(Peer::FromTo(kUnexpected, at).ReceiveToReset().empty());
    const Peer peer = Peer::FromTo(*Endpoint::Parse(from), at);
    ExpectSecondReply(client, peer);
  }
  const auto [client, at] = StartBind(gateway, BindRequest("127.0.0.1", 0));
  CHECK(Peer::FromTo(kUnexpected, at).ReceiveToReset().empty());
}

TEST_CASE("BIND: a name that resolves to 0.0.0.0 does not accept every peer") {
  const TempDirectory directory;
  const TestGateway gateway(HostsSettings(directory, "0.0.0.0 blocked.example\n"));
  const auto [client, at] = StartBind(gateway, BindRequest("blocked.example", 0));
  CHECK(Peer::To(at).ReceiveToReset().empty());
  CHECK(gateway.Count(&Counters::bind_wrong) == 1);
}

TEST_CASE("BIND: a name is resolved; one that cannot be resolved gets \"host unreachable\"") {
  DnsServer dns;
  dns.Add("ftp.example", "127.0.0.1");
  dns.Behave("silent.example", DnsServer::Behaviour::kSilent);
  const TempDirectory directory;
  Settings settings = HostsSettings(directory, "");
  settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf());
  TestGateway gateway(settings);
  gateway.IgnoreSockets();
  const auto [client, at] = StartBind(gateway, BindRequest("ftp.example", 0));
  const Peer peer = Peer::To(at);
  ExpectSecondReply(client, peer);
  CHECK(Hex(gateway.AnswerTo(BindRequest("unknown.example", 0))) == Hex(Refusal(4)));
  CHECK(Hex(gateway.AnswerTo(BindRequest("a..b", 0))) == Hex(Refusal(4)));

  Peer leaving = gateway.GreetedClient();
  leaving.Send(BindRequest("silent.example", 0));
  REQUIRE(gateway.WaitUntilRead(leaving));
  leaving.Abort();
  CHECK(gateway.WaitForSessions(1));

  settings.connect_timeout = kShort;
  TestGateway timing_out(settings);
  timing_out.IgnoreSockets();
  CHECK(Hex(timing_out.AnswerTo(BindRequest("silent.example", 0))) == Hex(Refusal(4)));
}

void ExpectBindDenied(const IpAddress& outside) {
  Settings settings = TestSettings();
  settings.listen = {{outside, 0}};
  const TestGateway gateway(settings);
  for (const std::string& name : {std::string("127.0.0.1"), std::string("::1"), std::string("::ffff:127.0.0.1"),
                                  std::string("0.1.2.3"), std::string("169.254.169.254"), std::string("fe80::1"),
                                  std::string("224.0.0.1"), std::string("localhost"), outside.ToString()}) {
    CAPTURE(name);
    CHECK(Hex(gateway.AnswerTo(BindRequest(name, 0))) == Hex(Refusal(2)));
  }
  CHECK(gateway.Count(&Counters::bind_waits) == 0);

  // The unspecified address does not include this host.
  const auto [client, at] = StartBind(gateway, BindRequest(*Endpoint::Parse("0.0.0.0:0")), {outside, 0});
  CHECK(Peer::To(at).ReceiveToReset().empty());
  CHECK(gateway.Count(&Counters::bind_wrong) == 1);
}

TEST_CASE("BIND: a remote client cannot wait for a peer that the guard denies it" *
          doctest::skip(!OutsideAddress(true))) {
  ExpectBindDenied(*OutsideAddress(true));
}

TEST_CASE("BIND: a remote client over IPv6 cannot wait for a peer that the guard denies it" *
          doctest::skip(!OutsideAddress(false))) {
  ExpectBindDenied(*OutsideAddress(false));
}

// --- Timeouts ------------------------------------------------------------------------------------------------------

TEST_CASE(
    "--bind-timeout: without a peer the second reply at the deadline is \"TTL expired\", and the port is closed") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.bind_timeout = deadline;
    settings.connect_timeout = milliseconds(1);  // applies to names and targets only
    const TestGateway gateway(settings);
    const Stopwatch watch;
    const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
    const Peer unexpected = Peer::FromTo(kUnexpected, at);  // does not end or extend the wait
    CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(6)));
    CHECK(watch.elapsed() >= deadline);
    CHECK(IsClosed(at));
    CHECK(gateway.Count(&Counters::bind_expired) == 1);
    return true;
  });
}

TEST_CASE("--bind-timeout does not apply after the second reply") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.bind_timeout = deadline;
    const TestGateway gateway(settings);
    const Stopwatch watch;
    auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
    const Peer peer = Peer::To(at);
    const std::string reply = client.Receive(Refusal(6).size());
    if (watch.elapsed() >= deadline) return false;
    CHECK(Hex(reply) == Hex(Success(peer.local())));
    CHECK(client.Silent(2 * deadline));
    client.Send("still here");
    CHECK(peer.Receive(10) == "still here");
    return true;
  });
}

TEST_CASE("BIND: the wait ends at once when the client half-closes, closes or resets, whatever it has sent before") {
  const TestGateway gateway;
  for (const std::string& ahead : {std::string(), std::string("x"), std::string(100'000, 'x')}) {
    for (const auto leave : {+[](Peer& client) { client.HalfClose(); }, +[](Peer& client) { client.Close(); },
                             +[](Peer& client) { client.Abort(); }}) {
      CAPTURE(ahead.size());
      auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
      client.Send(ahead);
      client.WaitUntilAcknowledged();
      leave(client);
      CHECK(gateway.WaitForSessions(0));
      CHECK(IsClosed(at));
    }
  }
  CHECK(gateway.Count(&Counters::bind_admitted) == 0);
}

TEST_CASE("BIND: a stop does not wait for peers") {
  TestGateway gateway;
  const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
  gateway.Stop();
  CHECK(client.ReceiveToClose().empty());
  CHECK(WaitUntil([&at = at] { return IsClosed(at); }));
}

// --- Ports and descriptors -----------------------------------------------------------------------------------------

TEST_CASE("--bind-ports: without a free port the reply is REP 01; a released port is used again at once") {
  Settings settings = TestSettings();
  settings.bind_ports = FreePorts(1);
  {
    const ClosedPort taken({kLoopback.ip, settings.bind_ports.low});
    const TestGateway gateway(settings);
    CHECK(Hex(gateway.AnswerTo(BindRequest(kLoopback))) == Hex(Refusal(1)));
  }
  const TestGateway gateway(settings);
  for (int i = 0; i < 3; ++i) {
    auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
    CHECK(at.port == settings.bind_ports.low);
    CHECK(Hex(gateway.AnswerTo(BindRequest(kLoopback))) == Hex(Refusal(1)));  // the port is taken
    Peer peer = Peer::To(at);
    ExpectSecondReply(client, peer);
    // The gateway closes first, so the kernel keeps its side of the connection in TIME_WAIT.
    client.HalfClose();
    CHECK(peer.ReceiveToEnd().empty());
    peer.HalfClose();
    CHECK(client.ReceiveToEnd().empty());
    CHECK(gateway.WaitForSessions(0));
  }
}

TEST_CASE("--bind-ports: one client's requests leave ports to other clients") {
  Settings settings = TestSettings();
  settings.bind_ports = FreePorts(16);
  settings.workers = 2;
  const TestGateway gateway(settings);
  std::vector<Peer> greedy;
  std::string reply;
  do {
    greedy.push_back(gateway.GreetedClient());
    greedy.back().Send(BindRequest(kLoopback));
    reply = greedy.back().Receive(10);
  } while (reply[1] == '\0');
  CHECK(Hex(reply) == Hex(Refusal(1)));
  CHECK(greedy.size() > 8);
  CHECK(greedy.size() <= 13);
  // A random key puts another client into the same share with a probability of 1 in 256: of three, one is in another.
  const char* const others[] = {"127.0.0.2:0", "127.0.0.3:0", "127.0.0.4:0"};
  CHECK(std::ranges::any_of(others, [&](const char* from) {
    const Peer other = Peer::FromTo(*Endpoint::Parse(from), gateway.at());
    other.Send(kGreeting + BindRequest(kLoopback));
    return other.Receive(12)[3] == '\0';
  }));
}

TEST_CASE("BIND: without descriptors the reply is REP 01") {
  const TestGateway gateway;
  const Peer client = gateway.GreetedClient();
  const NoMoreDescriptors none;
  client.Send(BindRequest(kLoopback));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(1)));
}

TEST_CASE("BIND: without descriptors the peer waits in the backlog, costs no CPU time, and is accepted later") {
  const TestGateway gateway;
  const auto [client, at] = StartBind(gateway, BindRequest(kLoopback));
  Peer peer = Peer::Unconnected(at, {});
  NoMoreDescriptors none;
  peer.Connect(at);
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::bind_paused) > 0; }));
  const milliseconds before = CpuTime();
  const std::uint64_t pauses_before = gateway.Count(&Counters::bind_paused);
  const Stopwatch watch;
  CHECK(client.Silent(milliseconds(500)));
  CHECK(CpuTime() - before < milliseconds(IsSanitized() ? 250 : 100));
  const std::uint64_t pauses = gateway.Count(&Counters::bind_paused) - pauses_before;
  CHECK(pauses <= static_cast<std::uint64_t>(1 + watch.elapsed() / kAttemptDelay));
  none.Free(1);
  ExpectSecondReply(client, peer);
  peer.Send("at last");
  CHECK(client.Receive(7) == "at last");
}

// --- The log -------------------------------------------------------------------------------------------------------

TEST_CASE("BIND: the log has the listening address and the peer, or the reply if no peer connected") {
  const TestGateway gateway;
  std::string line;
  {
    const auto [client, at] = StartBind(gateway, BindRequest(*Endpoint::Parse("0.0.0.0:0")));
    const Peer peer = Peer::To(at);
    ExpectSecondReply(client, peer);
    peer.Send("abc");
    CHECK(client.Receive(3) == "abc");
    line = " client=" + client.local().ToString() + " command=bind asked=0.0.0.0 bound=" + at.ToString() +
           " target=" + peer.local().ToString() + " reply=0 up=0 down=3 ";
  }
  CAPTURE(line);
  CHECK(WaitUntil([&] { return gateway.LogText().find(line) != std::string::npos; }));
  CHECK(gateway.WaitForSessions(0));  // the line is written before the session's sockets are closed

  Settings settings = TestSettings();
  settings.bind_timeout = kShort;
  const TestGateway timing_out(settings);
  const auto [client, at] = StartBind(timing_out, BindRequest("127.0.0.1", 0));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(6)));
  CHECK(WaitUntil([&] {
    return timing_out.LogText().find(" command=bind asked=127.0.0.1 reply=6 up=0 down=0 ") != std::string::npos;
  }));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
