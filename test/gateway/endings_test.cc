// How a session ends: a half-close is passed on as a half-close, a reset as a reset, and neither overtakes a byte.
#include <string>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("endings");

TEST_CASE("a client that has half-closed receives the whole answer") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::size_t size : {std::size_t{1}, 3 * kMiB}) {
    CAPTURE(size);
    const auto [client, target] = gateway.Open(listener);
    client.Send("question");
    client.HalfClose();
    CHECK(target.ReceiveToEnd() == "question");
    Exchange({target, client, size});
    target.HalfClose();
    CHECK(client.ReceiveToEnd().empty());
    CHECK(gateway.WaitForSessions(0));
  }
  CHECK(gateway.Count(&Counters::relays_ended) == 2);
}

TEST_CASE("a target that has half-closed receives everything that the client still sends") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::size_t size : {std::size_t{1}, 3 * kMiB}) {
    CAPTURE(size);
    const auto [client, target] = gateway.Open(listener);
    target.Send("greeting");
    target.HalfClose();
    CHECK(client.ReceiveToEnd() == "greeting");
    Exchange({client, target, size});
    client.HalfClose();
    CHECK(target.ReceiveToEnd().empty());
    CHECK(gateway.WaitForSessions(0));
  }
  CHECK(gateway.Count(&Counters::relays_ended) == 2);
}

TEST_CASE("bulk with an end directly behind it arrives whole, and then the end") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  Stream up(client, target, 2 * kMiB);
  Stream down(target, client, 2 * kMiB);
  while (!up.sent_all()) up.Move();
  client.HalfClose();
  while (!down.sent_all()) down.Move();
  target.HalfClose();
  Stream both[] = {std::move(up), std::move(down)};
  Exchange(both);
  CHECK(client.ReceiveToEnd().empty());
  CHECK(target.ReceiveToEnd().empty());
}

TEST_CASE("both sides may half-close at the same time") {
  const TestGateway gateway;
  const TargetListener listener;
  for (int i = 0; i < 50; ++i) {
    const auto [client, target] = gateway.Open(listener);
    client.Send("up");
    target.Send("down");
    client.HalfClose();
    target.HalfClose();
    CHECK(client.ReceiveToEnd() == "down");
    CHECK(target.ReceiveToEnd() == "up");
  }
}

// --- Resets --------------------------------------------------------------------------------------------------------

TEST_CASE("a reset by the target reaches the client as a reset, behind all earlier bytes") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{10'000}, 3 * kMiB}) {
    CAPTURE(size);
    auto [client, target] = gateway.Open(listener);
    Exchange({target, client, size});
    // The last bytes are still under way when the reset arrives.
    target.Send("last words");
    target.WaitUntilAcknowledged();
    target.Abort();
    CHECK(client.ReceiveToReset() == "last words");
    CHECK(gateway.WaitForSessions(0));
  }
  CHECK(gateway.Count(&Counters::relays_reset) == 4);
}

TEST_CASE("a reset by the client reaches the target as a reset, behind all earlier bytes") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{10'000}, 3 * kMiB}) {
    CAPTURE(size);
    auto [client, target] = gateway.Open(listener);
    Exchange({client, target, size});
    client.Send("last words");
    client.WaitUntilAcknowledged();
    client.Abort();
    CHECK(target.ReceiveToReset() == "last words");
    CHECK(gateway.WaitForSessions(0));
  }
  CHECK(gateway.Count(&Counters::relays_reset) == 4);
}

TEST_CASE("a reset behind bulk reaches a slow client after the last byte") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener, {.receive = 256 * 1024});
  Stream stream(target, client, 2 * kMiB);
  // The client reads only when the target cannot send.
  while (!stream.sent_all()) {
    if (!stream.Send()) stream.Receive();
  }
  while (stream.received() + 512 * 1024 < 2 * kMiB) stream.Receive();
  target.WaitUntilAcknowledged();
  target.Abort();
  Exchange({&stream, 1});
  CHECK(client.ReceiveToReset().empty());
}

TEST_CASE("a reset by the target reaches a client that has half-closed as a reset") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  client.HalfClose();
  CHECK(target.ReceiveToEnd().empty());
  target.Send("half an ans");
  target.WaitUntilAcknowledged();
  target.Abort();
  CHECK(client.ReceiveToReset() == "half an ans");
}

TEST_CASE("a reset by the client reaches a target that has half-closed as a reset") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  target.HalfClose();
  CHECK(client.ReceiveToEnd().empty());
  client.Send("half a quest");
  client.WaitUntilAcknowledged();
  client.Abort();
  CHECK(target.ReceiveToReset() == "half a quest");
}

TEST_CASE("a reset behind a half-close is passed on as a reset, although the other side is silent") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const bool client_goes : {true, false}) {
    CAPTURE(client_goes);
    auto [client, target] = gateway.Open(listener);
    Peer& going = client_goes ? client : target;
    const Peer& staying = client_goes ? target : client;
    going.HalfClose();
    CHECK(staying.ReceiveToEnd().empty());
    going.Abort();
    CHECK(gateway.WaitForSessions(0));
    // The end was read before, so the reset shows only as an error of the next send.
    CHECK(WaitUntil([&] { return staying.SendSome("x") == 0; }));
  }
}

TEST_CASE("a close behind a half-close is a reset for the other side once that sends") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const bool client_goes : {true, false}) {
    CAPTURE(client_goes);
    auto [client, target] = gateway.Open(listener);
    Peer& going = client_goes ? client : target;
    const Peer& staying = client_goes ? target : client;
    going.HalfClose();
    CHECK(staying.ReceiveToEnd().empty());
    going.Close();
    CHECK(WaitUntil([&] { return staying.SendSome("x") == 0; }));
    CHECK(gateway.WaitForSessions(0));
  }
}

TEST_CASE("a target that closes with unread bytes is a reset for the client, behind the target's last bytes") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  client.Send("never read");
  REQUIRE(gateway.WaitUntilRead(client));
  REQUIRE(WaitUntil([&] { return gateway.Count(&Counters::bytes_up) == 10; }));
  target.Send("last words");
  target.WaitUntilAcknowledged();
  target.Close();
  CHECK(client.ReceiveToReset() == "last words");
}

TEST_CASE("a client that closes with unread bytes is a reset for the target, behind the client's last bytes") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  target.Send("never read");
  REQUIRE(gateway.WaitUntilRead(target));
  REQUIRE(WaitUntil([&] { return gateway.Count(&Counters::bytes_down) == 10; }));
  client.Send("last words");
  client.WaitUntilAcknowledged();
  client.Close();
  CHECK(target.ReceiveToReset() == "last words");
}

TEST_CASE("a target that closes while the client sends bulk is a reset for the client") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  Stream stream(client, target, 64 * kMiB, kMiB);
  while (stream.received() < 2 * kMiB) stream.Move();
  while (stream.sent() < stream.received() + kMiB) stream.Send();
  target.WaitUntilReadable();  // without unread bytes a close is an end, not a reset
  target.Close();
  CHECK(gateway.WaitForSessions(0));
  CHECK(client.ReceiveToReset().empty());
}

TEST_CASE("a client that closes while the target sends bulk is a reset for the target") {
  const TestGateway gateway;
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  Stream stream(target, client, 64 * kMiB, kMiB);
  while (stream.received() < 2 * kMiB) stream.Move();
  while (stream.sent() < stream.received() + kMiB) stream.Send();
  client.WaitUntilReadable();
  client.Close();
  CHECK(gateway.WaitForSessions(0));
  CHECK(target.ReceiveToReset().empty());
}

TEST_CASE("when a target accepts, sends and resets within one turn, the client gets success, the bytes and a reset") {
  const TestGateway gateway;
  SilentTarget silent;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(silent.at()));
  REQUIRE(gateway.WaitUntilRead(client));
  {
    const HeldThread worker("worker");
    silent.Open();
    Peer target = silent.Accept();
    target.Send("last words");
    target.WaitUntilAcknowledged();
    target.Abort();
  }
  CHECK(Hex(client.Receive(4)) == "05 00 00 01");
  client.Receive(6);
  CHECK(client.ReceiveToReset() == "last words");
  CHECK(gateway.Count(&Counters::relays_reset) == 1);
}

TEST_CASE("a session that drains the bytes before a reset ends at once when their reader resets, too") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const bool client_reads : {true, false}) {
    CAPTURE(client_reads);
    auto [client, target] = gateway.Open(listener, {.receive = 256 * 1024});
    Peer& reader = client_reads ? client : target;
    Peer& writer = client_reads ? target : client;
    const std::string chunk(256 * 1024, 'x');
    while (writer.SendSome(chunk) > 0) {
    }
    writer.Abort();
    REQUIRE(WaitUntil([&] {
      reader.ReceiveSome(64 * 1024);
      return gateway.server().sessions(SessionState::kResetting) == 1;
    }));
    CHECK(gateway.server().sessions() == 1);
    const Stopwatch watch;
    reader.Abort();
    CHECK(gateway.WaitForSessions(0));
    CHECK(watch.elapsed() < kResetDrainMax / 2);
  }
}

TEST_CASE("a client's reset while its target is being connected ends the session and its attempt") {
  const TestGateway gateway;
  const SilentTarget silent;
  Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(silent.at()));
  REQUIRE(gateway.WaitUntilRead(client));
  client.Abort();
  CHECK(gateway.WaitForSessions(0));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
