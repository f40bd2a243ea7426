// Whatever a peer does or does not do, its session ends in time, and not before.
#include <string>

#include <doctest/doctest.h>

#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("deadlines");

constexpr milliseconds kShort{200};

Settings ShortHandshake() {
  Settings settings = TestSettings();
  settings.handshake_timeout = kShort;
  return settings;
}

TEST_CASE("a client that says nothing, or only a part, is closed at the handshake deadline without a byte more") {
  const TestGateway gateway(ShortHandshake());
  const std::string beginnings[] = {"",
                                    "05"_hex,
                                    "05 ff 00"_hex,
                                    kGreeting,
                                    kGreeting + "05 01 00 01"_hex,
                                    kGreeting + ConnectRequest("example.org", 80).substr(0, 9)};
  for (const std::string& beginning : beginnings) {
    CAPTURE(Hex(beginning));
    const Stopwatch watch;
    const Peer client = gateway.Client();
    client.Send(beginning);
    CHECK(Hex(client.ReceiveToEnd()) ==
          Hex(beginning.size() < kGreeting.size() || beginning[1] != 1 ? "" : kChosenNone));
    CHECK(watch.elapsed() >= kShort);
  }
  CHECK(gateway.Count(&Counters::handshake_expired) == std::size(beginnings));
}

TEST_CASE("the handshake deadline is for the whole of it, not for each byte") {
  const TestGateway gateway(ShortHandshake());
  const Peer client = gateway.Client();
  client.Send("05 ff"_hex);
  const Stopwatch watch;
  // 255 bytes of methods are to come: at this pace they would take 5 seconds.
  while (client.Silent(milliseconds(20))) {
    client.SendSome("x");
    REQUIRE(watch.elapsed() < kPatience);
  }
  CHECK(watch.elapsed() < milliseconds(4000));
  CHECK(client.ReceiveToClose().empty());
  CHECK(gateway.Count(&Counters::handshake_expired) == 1);
}

TEST_CASE("the handshake deadline does not hold for what comes after the handshake") {
  Settings settings = ShortHandshake();
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  CHECK(client.Silent(2 * kShort));
  client.Send("still here");
  CHECK(target.Receive(10) == "still here");
}

TEST_CASE("a session without a byte is cut off at the idle deadline, with a reset for both sides") {
  Settings settings = TestSettings();
  settings.idle_timeout = kShort;
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  client.Send("x");
  CHECK(target.Receive(1) == "x");
  const Stopwatch watch;
  CHECK(client.ReceiveToReset().empty());
  CHECK(target.ReceiveToReset().empty());
  CHECK(watch.elapsed() + milliseconds(20) >= kShort);
  CHECK(gateway.Count(&Counters::relays_expired) == 1);
}

TEST_CASE("bytes in one direction keep a session alive beyond its idle deadline") {
  Settings settings = TestSettings();
  settings.idle_timeout = 4 * kShort;
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  for (const Stopwatch watch; watch.elapsed() < 6 * kShort;) {
    target.Send("x");
    CHECK(client.Receive(1) == "x");
    CHECK(client.Silent(kShort / 4));
  }
  CHECK(gateway.Count(&Counters::relays_expired) == 0);
}

TEST_CASE("when one side has finished, silence of the other is cut off at the half-close deadline") {
  Settings settings = TestSettings();
  settings.half_close_timeout = kShort;
  const TestGateway gateway(settings);
  const TargetListener listener;
  for (const bool by_client : {true, false}) {
    CAPTURE(by_client);
    const auto [client, target] = gateway.Open(listener);
    CHECK(client.Silent(2 * kShort));  // the deadline is for half-closed sessions only
    const Peer& finished = by_client ? client : target;
    const Peer& silent = by_client ? target : client;
    const Stopwatch watch;
    finished.HalfClose();
    CHECK(silent.ReceiveToEnd().empty());
    CHECK(finished.ReceiveToReset().empty());
    CHECK(gateway.WaitForSessions(0));
    CHECK(gateway.Count(&Counters::relays_expired) == (by_client ? 1 : 2));
  }
}

TEST_CASE("bytes keep a half-closed session alive beyond its deadline") {
  Settings settings = TestSettings();
  settings.half_close_timeout = 4 * kShort;
  const TestGateway gateway(settings);
  const TargetListener listener;
  auto [client, target] = gateway.Open(listener);
  client.HalfClose();
  for (const Stopwatch watch; watch.elapsed() < 6 * kShort;) {
    target.Send("x");
    CHECK(client.Receive(1) == "x");
    CHECK(client.Silent(kShort / 4));
  }
  target.Close();
  CHECK(client.ReceiveToEnd().empty());
}

TEST_CASE("a client that does not read is cut off at the idle deadline") {
  Settings settings = TestSettings();
  settings.idle_timeout = kShort;
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto session = gateway.Open(listener, {.receive = 256 * 1024});
  const std::string chunk(256 * 1024, 'x');
  CHECK(WaitUntil([&] {
    session.target.SendSome(chunk);
    return gateway.server().sessions() == 0;
  }));
  CHECK(gateway.Count(&Counters::relays_expired) == 1);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
