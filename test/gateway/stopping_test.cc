// Draining lets sessions end, stopping resets them, and both leave nothing behind.
#include <poll.h>
#include <sys/socket.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/socket.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("stopping");

bool IsRefused(const Endpoint& at) {
  try {
    Peer::To(at);
    return false;
  } catch (const std::runtime_error&) {
    return true;
  }
}

TEST_CASE("draining refuses new clients and lets sessions end; then the workers end") {
  Settings settings = TestSettings();
  settings.workers = 2;
  TestGateway gateway(settings);
  const TargetListener listener;
  auto session = gateway.Open(listener);
  gateway.Drain();
  CHECK(WaitUntil([&] { return IsRefused(gateway.at()); }));
  ExchangeBothWays(session, 1 << 20);
  CHECK_FALSE(gateway.server().finished());
  session.client.Close();
  CHECK(session.target.ReceiveToEnd().empty());
  session.target.Close();
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
  pollfd finished{gateway.server().finished_fd(), POLLIN, 0};
  CHECK(::poll(&finished, 1, 0) == 1);
}

TEST_CASE("a handshake that has begun is finished while draining") {
  TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  gateway.Drain();
  CHECK(WaitUntil([&] { return IsRefused(gateway.at()); }));
  client.Send(ConnectRequest(listener.at()) + "question");
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
  CHECK(target.Receive(8) == "question");
}

TEST_CASE("a connection that the kernel had accepted before draining is served") {
  TestGateway gateway;
  const TargetListener listener;
  for (int i = 0; i < 200; ++i) {
    const Peer client = gateway.Client();
    client.Send(kGreeting);
  }
  const Peer last = gateway.Client();
  gateway.Drain();
  last.Send(kGreeting + ConnectRequest(listener.at()) + "question");
  const Peer target = listener.Accept();
  CHECK(Hex(last.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
  CHECK(target.Receive(8) == "question");
}

TEST_CASE("a full gateway that drains still serves the clients in its backlog, and no later ones") {
  Settings settings = TestSettings();
  settings.connections_max = 1;
  TestGateway gateway(settings);
  const TargetListener listener;
  auto session = gateway.Open(listener);
  std::vector<Peer> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(gateway.Client());
  gateway.Drain();
  PingPong(session, 1);  // the worker has seen the drain
  const Peer late = gateway.Client();
  session.client.Close();
  session.target.Close();
  for (Peer& client : waiting) {
    client.Send(kGreeting);
    CHECK(Hex(client.Receive(2)) == Hex(kChosenNone));
    client.Close();
  }
  CHECK(late.ReceiveToReset().empty());
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
}

// The descriptor in this process of a listener of the gateway.
int ListenerAt(const Endpoint& at) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    if (LocalEndpoint(fd) == at) return fd;
  }
  throw std::runtime_error("no listener");
}

TEST_CASE("a full gateway that drains finishes although a connection has vanished from its backlog") {
  Settings settings = TestSettings();
  settings.connections_max = 1;
  TestGateway gateway(settings);
  const TargetListener listener;
  auto session = gateway.Open(listener);
  std::vector<Peer> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(gateway.Client());
  gateway.Drain();
  PingPong(session, 1);                                                        // the worker has seen the drain
  CHECK(Accept(ListenerAt(gateway.at())).status == Accepted::Status::kTaken);  // the first, which is closed again
  CHECK(waiting[0].ReceiveToClose().empty());
  session.client.Close();
  session.target.Close();
  for (std::size_t i = 1; i < waiting.size(); ++i) {
    waiting[i].Send(kGreeting);
    CHECK(Hex(waiting[i].Receive(2)) == Hex(kChosenNone));
    waiting[i].Close();
  }
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
}

TEST_CASE("an idle gateway that drains has finished at once") {
  TestGateway gateway;
  gateway.Drain();
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
}

TEST_CASE("stopping resets both sides of a relay, so that no cut-off transfer looks complete") {
  Settings settings = TestSettings();
  settings.workers = 2;
  TestGateway gateway(settings);
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 8; ++i) sessions.push_back(gateway.Open(listener));
  for (const auto& session : sessions) PingPong(session, 1);
  sessions[0].client.HalfClose();
  CHECK(sessions[0].target.ReceiveToEnd().empty());
  gateway.Stop();
  for (const auto& session : sessions) {
    CHECK(session.client.ReceiveToReset().empty());
    if (&session != &sessions[0]) CHECK(session.target.ReceiveToReset().empty());
  }
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
  CHECK(gateway.server().sessions() == 0);
}

TEST_CASE("stopping ends a drain that is under way") {
  TestGateway gateway;
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  gateway.Drain();
  CHECK(WaitUntil([&] { return IsRefused(gateway.at()); }));
  gateway.Stop();
  CHECK(client.ReceiveToReset().empty());
  CHECK(target.ReceiveToReset().empty());
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
}

TEST_CASE("stopping does not wait for a target that does not answer") {
  TestGateway gateway;
  const SilentTarget silent;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(silent.at()));
  REQUIRE(gateway.WaitUntilRead(client));
  gateway.Stop();
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
  CHECK(client.ReceiveToClose().empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
