// Listening sockets that the gateway has not opened itself: a service manager passes them.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/exchange.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("passed");

// `count` sockets of one address, as a service manager makes them with ReusePort=yes.
struct Passed {
  explicit Passed(std::size_t count) {
    std::string error;
    Endpoint at = kLoopback;
    for (std::size_t i = 0; i < count; ++i) {
      kept.push_back(Listen(at, &error));
      REQUIRE_MESSAGE(kept.back().valid(), error);
      at = LocalEndpoint(kept.back().get());
    }
    settings.listen = {at};
  }

  std::vector<Fd> Copies() const {
    std::vector<Fd> copies;
    for (const Fd& socket : kept) copies.push_back(socket.Duplicate());
    return copies;
  }

  std::vector<Fd> kept;  // the service manager's
  Settings settings = TestSettings();
};

TEST_CASE("passed: one socket serves several workers, and several sockets serve one") {
  struct Row {
    std::size_t sockets;
    std::size_t workers;
  };
  for (const Row& row : {Row{1, 3}, Row{5, 2}, Row{3, 1}, Row{2, 2}}) {
    CAPTURE(row.sockets);
    CAPTURE(row.workers);
    Passed passed(row.sockets);
    passed.settings.workers = row.workers;
    const TestGateway gateway(passed.settings, -1, passed.Copies());
    const TargetListener target;
    std::vector<TestGateway::Session> open;
    for (int i = 0; i < 40; ++i) open.push_back(gateway.Open(target));
    for (const auto& session : open) PingPong(session, 1);
    CHECK(gateway.server().Survey().accepted == std::vector<std::uint64_t>{40});
  }
}

TEST_CASE("passed: sockets and addresses of the settings serve beside each other, and each has its own count") {
  Passed passed(1);
  passed.settings.listen.insert(passed.settings.listen.begin(), kLoopback);
  passed.settings.workers = 2;
  const TestGateway gateway(passed.settings, -1, passed.Copies());
  gateway.GreetedClient();
  for (int i = 0; i < 3; ++i) Peer::To(gateway.at(1)).Send(kGreeting);
  CHECK(WaitUntil([&] { return gateway.server().Survey().accepted == std::vector<std::uint64_t>{1, 3}; }));
}

TEST_CASE("passed: no client of a full gateway is lost between workers that share a socket") {
  Passed passed(1);
  passed.settings.workers = 3;
  passed.settings.connections_max = 2;
  const TestGateway gateway(passed.settings, -1, passed.Copies());
  std::vector<Peer> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(gateway.Client());
    clients.back().Send(kGreeting);
  }
  for (Peer& client : clients) {  // each that leaves makes room for the next
    CHECK(client.Receive(kChosenNone.size()) == kChosenNone);
    client.Close();
  }
}

TEST_CASE("passed: while the gateway is suspended, clients of a shared socket wait, and then are served") {
  Passed passed(1);
  passed.settings.workers = 2;
  const TestGateway gateway(passed.settings, -1, passed.Copies());
  CHECK(gateway.server().Suspend());
  CHECK(gateway.server().Survey().workers_missing == 0);
  const Peer client = gateway.Client();
  client.Send(kGreeting);
  CHECK(client.Silent(milliseconds(50)));
  CHECK(gateway.server().Resume());
  CHECK(client.Receive(kChosenNone.size()) == kChosenNone);
}

TEST_CASE("passed: a drain leaves the socket to who has passed it, with the clients that come later") {
  Passed passed(1);
  passed.settings.workers = 2;
  TestGateway gateway(passed.settings, -1, passed.Copies());
  const TargetListener target;
  const auto session = gateway.Open(target);
  gateway.Drain();
  CHECK(gateway.server().Survey().workers_missing == 0);
  const Peer later = gateway.Client();
  later.Send(kGreeting);
  CHECK(later.Silent(milliseconds(50)));
  PingPong(session, 1);
  CHECK(BacklogOf(passed.kept.front().get()) == 1);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
