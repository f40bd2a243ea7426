// Without free descriptors or sessions new clients wait in the backlog, and live sessions are not affected.
#include <poll.h>

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("exhaustion");

// Connects `client`, whose connection and greeting then wait in the backlog.
Peer ConnectToBacklog(const TestGateway& gateway, Peer client) {
  client.Connect(gateway.at());
  client.Send(kGreeting);
  return client;
}

// Waits half a second, in which `client` receives nothing and no CPU time is used. Returns the increase of `count`.
std::uint64_t Rest(const TestGateway& gateway, const Peer& client, Counter Counters::*count) {
  const std::uint64_t before = gateway.Count(count);
  const milliseconds used_before = CpuTime();
  CHECK(client.Silent(milliseconds(500)));
  CHECK(CpuTime() - used_before < milliseconds(IsSanitized() ? 250 : 100));
  return gateway.Count(count) - before;
}

TEST_CASE("without descriptors new clients wait in the backlog and cost no CPU time; live sessions continue") {
  const TestGateway gateway;
  const TargetListener listener;
  auto session = gateway.Open(listener);
  Peer unconnected = Peer::Unconnected(gateway.at(), {});
  NoMoreDescriptors none;
  const Peer waiting = ConnectToBacklog(gateway, std::move(unconnected));
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::accept_exhausted) > 0; }));
  PingPong(session, 10);

  const Stopwatch watch;
  const std::uint64_t retries = Rest(gateway, waiting, &Counters::accept_exhausted);
  CHECK(retries <= static_cast<std::uint64_t>(1 + watch.elapsed() / kAcceptRetryDelay));
  CHECK(gateway.server().sessions() == 1);
  PingPong(session, 10);

  none.Free(1);
  CHECK(Hex(waiting.Receive(2)) == Hex(kChosenNone));
}

TEST_CASE("without descriptors the end of a session admits the next client, and the pause is logged") {
  const TestGateway gateway;
  const TargetListener listener;
  auto session = gateway.Open(listener);
  Peer unconnected = Peer::Unconnected(gateway.at(), {});
  const NoMoreDescriptors none;
  const Peer waiting = ConnectToBacklog(gateway, std::move(unconnected));
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::accept_exhausted) > 0; }));
  session.client.Abort();
  session.target.Abort();
  CHECK(Hex(waiting.Receive(2)) == Hex(kChosenNone));
  CHECK(WaitUntil([&] { return gateway.LogText().find("accept-paused") != std::string::npos; }));
}

TEST_CASE("without descriptors the reply to CONNECT is REP 01") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  const NoMoreDescriptors none;
  client.Send(ConnectRequest(listener.at()));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(1)));
}

TEST_CASE(
    "--max-connections: new clients wait in the backlog, cost no CPU time, and one is accepted when a session ends") {
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    CAPTURE(workers);
    Settings settings = TestSettings();
    settings.workers = workers;
    settings.connections_max = 2;
    const TestGateway gateway(settings);
    const TargetListener listener;
    auto first = gateway.Open(listener);
    const auto second = gateway.Open(listener);
    const Peer third = ConnectToBacklog(gateway, Peer::Unconnected(gateway.at(), {}));
    const Peer fourth = ConnectToBacklog(gateway, Peer::Unconnected(gateway.at(), {}));
    CHECK(WaitUntil([&] { return gateway.Count(&Counters::accept_full) > 0; }));
    PingPong(second, 10);

    Rest(gateway, third, &Counters::accept_full);
    CHECK(gateway.server().sessions() == 2);

    first.client.Close();
    first.target.Close();
    // Which of the two is served first depends on their workers.
    CHECK(WaitUntil([&] { return !third.Silent(milliseconds(1)) || !fourth.Silent(milliseconds(1)); }));
    const bool third_served = !third.Silent(milliseconds(0));
    CHECK(Hex((third_served ? third : fourth).Receive(2)) == Hex(kChosenNone));
    CHECK((third_served ? fourth : third).Silent(milliseconds(150)));
    CHECK(gateway.server().sessions() == 2);
  }
}

TEST_CASE("--max-connections: no worker of a full gateway polls its backlog") {
  Settings settings = TestSettings();
  settings.workers = 2;
  settings.connections_max = 1;
  const TestGateway gateway(settings);
  const TargetListener listener;
  auto session = gateway.Open(listener);
  const std::uint64_t before = gateway.Count(&Counters::accept_full);
  std::vector<Peer> waiting;
  // Enough clients for both workers to have one in their backlog.
  for (int i = 0; i < 32; ++i) waiting.push_back(ConnectToBacklog(gateway, Peer::Unconnected(gateway.at(), {})));
  REQUIRE(WaitUntil([&] { return gateway.Count(&Counters::accept_full) == before + 2; }));
  CHECK(Rest(gateway, waiting.front(), &Counters::accept_full) == 0);
  session.client.Close();
  session.target.Close();
  waiting.clear();
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::accepted) == 33; }));
}

TEST_CASE("--max-connections: a waiting client is served as soon as a session ends, whichever worker has it") {
  Settings settings = TestSettings();
  settings.workers = 4;
  settings.connections_max = 1;
  const TestGateway gateway(settings);
  std::vector<Peer> clients;
  for (int i = 0; i < 64; ++i) clients.push_back(ConnectToBacklog(gateway, Peer::Unconnected(gateway.at(), {})));
  std::vector<pollfd> all;
  for (const Peer& client : clients) all.push_back({client.fd(), POLLIN, 0});
  for (std::size_t left = clients.size(); left > 0; --left) {
    REQUIRE(::poll(all.data(), all.size(), static_cast<int>(kTestTimeout.count())) == 1);
    const auto served = std::ranges::find_if(all, [](const pollfd& one) { return one.revents != 0; });
    const auto index = static_cast<std::size_t>(served - all.begin());
    CHECK(Hex(clients[index].Receive(2)) == Hex(kChosenNone));
    CHECK(gateway.server().sessions() == 1);
    served->fd = -1;
    clients[index].Close();
  }
  // For each client that was served, at most two attempts to accept found the gateway full.
  CHECK(gateway.Count(&Counters::accept_full) <= 2 * clients.size());
}

TEST_CASE("a burst of more clients than one turn accepts is served completely") {
  const TestGateway gateway;
  const TargetListener listener;
  std::vector<Peer> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(gateway.Client());
  for (const Peer& client : clients) client.Send(kGreeting + ConnectRequest(listener.at()) + "x");
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(listener.Accept().Receive(1) == "x");
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
