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
void Vanish(Peer& client) { client.Close(); }
void FloodAndReset(Peer& client) {
  Flood(client);
  client.Abort();
}
void FloodAndHalfClose(Peer& client) {
  Flood(client);
  HalfClose(client);
}
void FloodAndVanish(Peer& client) {
  Flood(client);
  client.Close();
}

const std::pair<std::string, void (*)(Peer&)> kMisdeeds[] = {
    {"stall", Stall},
    {"flood", Flood},
    {"reset", Reset},
    {"half-close", HalfClose},
    {"vanish", Vanish},
    {"flood and reset", FloodAndReset},
    {"flood and half-close", FloodAndHalfClose},
    {"flood and vanish", FloodAndVanish},
};

// A client in the state that it is to misbehave in. Its target or peer, if it has one, goes to the vector.
using Bring = std::function<Peer(const TestGateway&, std::vector<Peer>&)>;

// Brings a client into a state for each misdeed, lets all misbehave at once, and expects no session to be left while
// those that have not gone by themselves are still connected. Returns how many waits for a peer have expired.
std::uint64_t MisbehaveFrom(const Bring& bring) {
  std::uint64_t expired = 0;
  BeforeDeadline([&](milliseconds deadline) {
    const TestGateway gateway(WithDeadlines(deadline));
    std::vector<Peer> clients;
    std::vector<Peer> others;
    for (std::size_t i = 0; i < std::size(kMisdeeds); ++i) clients.push_back(bring(gateway, others));
    for (std::size_t i = 0; i < std::size(kMisdeeds); ++i) kMisdeeds[i].second(clients[i]);
    const Stopwatch watch;
    CHECK(WaitUntil([&] {
      // A reset waits for the bytes before it, up to kResetDrainMax: too long for a test. So who stalls reads in the
      // end.
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

TEST_CASE("misbehaviour while a peer is waited for leaves nothing") {
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
  for (const auto& misdeed : kMisdeeds) {
    CAPTURE(misdeed.first);
    MisbehaveFrom([&](const TestGateway& gateway, std::vector<Peer>& targets) {
      auto [client, target] = gateway.Open(listener);
      misdeed.second(target);
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

TEST_CASE("a session at rest costs two descriptors") {
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
  CHECK(Descriptors()["socket"] - before == 20 * (2 + 2));  // its two, and its peers
}

TEST_CASE("a server that is destroyed with sessions in every state leaves nothing") {
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
