// Clients that misbehave in every state leave nothing behind: no session, no descriptor, no pipe.
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/exchange.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("leaks");

Settings WithDeadlines(milliseconds deadline) {
  Settings settings = TestSettings();
  settings.handshake_timeout = deadline;
  settings.connect_timeout = deadline;
  settings.bind_timeout = deadline;
  settings.half_close_timeout = deadline;
  settings.idle_timeout = deadline;
  return settings;
}

void Stall(Peer& /*client*/) {}
void Flood(Peer& client) {
  const std::string garbage(256 * 1024, 'x');
  for (int i = 0; i < 16; ++i) client.SendSome(garbage);
}
void Reset(Peer& client) { client.Abort(); }
void HalfClose(Peer& client) { ::shutdown(client.fd(), SHUT_WR); }  // of a connection that may be broken by now
void Close(Peer& client) { client.Close(); }
void FloodAndReset(Peer& client) {
  Flood(client);
  client.Abort();
}
void FloodAndHalfClose(Peer& client) {
  Flood(client);
  HalfClose(client);
}
void FloodAndClose(Peer& client) {
  Flood(client);
  client.Close();
}

const std::pair<std::string, void (*)(Peer&)> kMisbehaviours[] = {
    {"stall", Stall},
    {"flood", Flood},
    {"reset", Reset},
    {"half-close", HalfClose},
    {"close", Close},
    {"flood and reset", FloodAndReset},
    {"flood and half-close", FloodAndHalfClose},
    {"flood and close", FloodAndClose},
};

// Returns a client in the state under test. Its target or peer, if it has one, is appended to the vector.
using MakeClient = std::function<Peer(const TestGateway&, std::vector<Peer>&)>;

// Makes a client for each misbehaviour and lets all of them misbehave at once. Expects every session to end, although
// the clients that did not close are still connected. Returns how many waits for the peer of a BIND have expired.
std::uint64_t MisbehaveFrom(const MakeClient& make_client) {
  std::uint64_t expired = 0;
  BeforeDeadline([&](milliseconds deadline) {
    const TestGateway gateway(WithDeadlines(deadline));
    std::vector<Peer> clients;
    std::vector<Peer> others;
    for (std::size_t i = 0; i < std::size(kMisbehaviours); ++i) clients.push_back(make_client(gateway, others));
    for (std::size_t i = 0; i < std::size(kMisbehaviours); ++i) kMisbehaviours[i].second(clients[i]);
    const Stopwatch watch;
    CHECK(WaitUntil([&] {
      // A reset waits up to kResetDrainMax for the bytes before it, which is too long for a test. So the peers that
      // stall read after some time.
      if (!others.empty() && watch.elapsed() > 2 * deadline) {
        for (const auto* const peers : {&clients, &others}) {
          for (const Peer& peer : *peers) peer.ReceiveSome(64 * 1024);
        }
      }
      return gateway.Count(&Counters::ended) == clients.size() && gateway.server().sessions() == 0;
    }));
    expired = gateway.Count(&Counters::bind_expired);
    return true;
  });
  return expired;
}

TEST_CASE("misbehaviour before the greeting leaves nothing") {
  MisbehaveFrom([](const TestGateway& gateway, std::vector<Peer>&) { return gateway.Client(); });
}

TEST_CASE("misbehaviour inside the greeting leaves nothing") {
  MisbehaveFrom([](const TestGateway& gateway, std::vector<Peer>&) {
    Peer client = gateway.Client();
    client.Send("05 09 00"_hex);
    return client;
  });
}

TEST_CASE("misbehaviour before the request leaves nothing") {
  MisbehaveFrom([](const TestGateway& gateway, std::vector<Peer>&) { return gateway.GreetedClient(); });
}

TEST_CASE("misbehaviour inside the request leaves nothing") {
  MisbehaveFrom([](const TestGateway& gateway, std::vector<Peer>&) {
    Peer client = gateway.GreetedClient();
    client.Send("05 01 00 03 fe"_hex);
    return client;
  });
}

TEST_CASE("misbehaviour while the target is being connected leaves nothing") {
  const SilentTarget silent;
  MisbehaveFrom([&](const TestGateway& gateway, std::vector<Peer>&) {
    Peer client = gateway.GreetedClient();
    client.Send(ConnectRequest(silent.at()));
    return client;
  });
}

TEST_CASE("misbehaviour while a BIND waits for its peer leaves nothing") {
  const std::uint64_t expired = MisbehaveFrom([](const TestGateway& gateway, std::vector<Peer>&) {
    Peer client = gateway.GreetedClient();
    client.Send(BindRequest(kLoopback));
    client.Receive(10);
    return client;
  });
  CHECK(expired > 0);
}

TEST_CASE("misbehaviour in a relay leaves nothing, whatever the target does") {
  const TargetListener listener;
  for (const auto& misbehaviour : kMisbehaviours) {
    CAPTURE(misbehaviour.first);
    MisbehaveFrom([&](const TestGateway& gateway, std::vector<Peer>& targets) {
      auto [client, target] = gateway.Open(listener);
      misbehaviour.second(target);
      targets.push_back(std::move(target));
      return std::move(client);
    });
  }
}

TEST_CASE("misbehaviour in the middle of bulk leaves no pipe") {
  const TargetListener listener;
  MisbehaveFrom([&](const TestGateway& gateway, std::vector<Peer>& targets) {
    auto [client, target] = gateway.Open(listener, {.receive = 256 * 1024});
    Stream stream(target, client, 32 << 20, 1 << 20);
    const bool moves = WaitUntil([&] {
      while (stream.received() < 1 << 20 && stream.Move()) {
      }
      return stream.received() >= 1 << 20;
    });
    if (!moves) throw std::runtime_error("a bulk stream stands still");
    while (stream.Send()) {
    }
    targets.push_back(std::move(target));
    return std::move(client);
  });
}

TEST_CASE("misbehaviour after a refusal leaves nothing") {
  MisbehaveFrom([](const TestGateway& gateway, std::vector<Peer>&) {
    Peer client = gateway.GreetedClient();
    client.Send("05 01 00 09"_hex);
    CHECK(Hex(client.Receive(10)) == Hex(Refusal(8)));
    return client;
  });
}

TEST_CASE("a session at rest has two descriptors and no pipe") {
  const TestGateway gateway;
  const TargetListener listener;
  const std::size_t before = Descriptors()["socket"];
  const std::size_t pipes_before = PipeEnds();
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 20; ++i) {
    sessions.push_back(gateway.Open(listener));
    ExchangeBothWays(sessions.back(), 1 << 20);
  }
  CHECK(WaitUntil([&] { return PipeEnds() == pipes_before; }));
  CHECK(Descriptors()["socket"] - before == 20 * (2 + 2));  // its own two, and one for each of its two peers
}

TEST_CASE("a server that is destroyed with sessions in every state leaves no descriptors") {
  const TargetListener listener;
  const SilentTarget silent;
  std::vector<Peer> peers;
  const auto before = Descriptors();
  {
    const LogFile log_file;
    Log log(log_file.fd(), LogLevel::kInfo);
    Settings settings = TestSettings();
    settings.workers = 2;
    std::string error;
    const auto server = Server::Start(settings, log, &error);
    REQUIRE_MESSAGE(server != nullptr, error);
    for (const std::string& bytes : {std::string(), "05"_hex, kGreeting, kGreeting + ConnectRequest(silent.at()),
                                     kGreeting + ConnectRequest(listener.at()) + "data",
                                     kGreeting + BindRequest(kLoopback), kGreeting + "05 01 00 09"_hex, "05 00"_hex}) {
      Peer client = Peer::To(server->listening()[0]);
      client.Send(bytes);
      peers.push_back(std::move(client));
    }
    peers.push_back(listener.Accept());
    CHECK(WaitUntil([&] { return server->sessions() == 8; }));
  }
  peers.clear();
  CHECK(ToText(Descriptors()) == ToText(before));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
