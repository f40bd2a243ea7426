// Timeouts: a session ends at its deadline, and not before, whatever its peers do.
#include <string>

#include <doctest/doctest.h>

#include "penstock/os/socket.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("deadlines");

Settings WithHandshakeTimeout(milliseconds timeout) {
  Settings settings = TestSettings();
  settings.handshake_timeout = timeout;
  return settings;
}

TEST_CASE("--handshake-timeout: a silent or incomplete handshake is closed at the deadline without another byte") {
  const std::string beginnings[] = {"",
                                    "05"_hex,
                                    "05 ff 00"_hex,
                                    kGreeting,
                                    kGreeting + "05 01 00 01"_hex,
                                    kGreeting + ConnectRequest("example.org", 80).substr(0, 9)};
  for (const std::string& beginning : beginnings) {
    CAPTURE(Hex(beginning));
    BeforeDeadline([&](milliseconds deadline) {
      const TestGateway gateway(WithHandshakeTimeout(deadline));
      const Stopwatch watch;
      const Peer client = gateway.Client();
      client.Send(beginning);
      if (watch.elapsed() >= deadline / 2) return false;
      CHECK(Hex(client.ReceiveToEnd()) ==
            Hex(beginning.size() < kGreeting.size() || beginning[1] != 1 ? "" : kChosenNone));
      CHECK(watch.elapsed() >= deadline);
      CHECK(gateway.Count(&Counters::handshake_expired) == 1);
      return true;
    });
  }
}

TEST_CASE("--handshake-timeout applies to the whole handshake, not to each byte") {
  const TestGateway gateway(WithHandshakeTimeout(kShort));
  const Peer client = gateway.Client();
  client.Send("05 ff"_hex);
  const Stopwatch watch;
  // The greeting announces 255 methods: at this pace they would take 5 seconds, and then be answered.
  while (client.Silent(milliseconds(20))) {
    client.SendSome("x");
    REQUIRE(watch.elapsed() < kTestTimeout);
  }
  CHECK(client.ReceiveToClose().empty());
  CHECK(gateway.Count(&Counters::handshake_expired) == 1);
}

TEST_CASE("--handshake-timeout does not apply to the relay") {
  BeforeDeadline([](milliseconds deadline) {
    const TestGateway gateway(WithHandshakeTimeout(deadline));
    const TargetListener listener;
    const auto [client, target] = gateway.Open(listener);
    CHECK(client.Silent(2 * deadline));
    client.Send("still here");
    CHECK(target.Receive(10) == "still here");
    return true;
  });
}

TEST_CASE("--idle-timeout: a session without traffic is cut off at the deadline with a reset to both sides") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.idle_timeout = deadline;
    const TestGateway gateway(settings);
    const TargetListener listener;
    const auto [client, target] = gateway.Open(listener);
    const Stopwatch watch;
    client.Send("x");
    const std::string received = target.Receive(1);
    CHECK(received == "x");
    CHECK(client.ReceiveToReset().empty());
    CHECK(target.ReceiveToReset().empty());
    CHECK(watch.elapsed() + milliseconds(20) >= deadline);
    CHECK(gateway.Count(&Counters::relays_expired) == 1);
    return true;
  });
}

// Sends bytes from `from` to `to`, less than half of `timeout` apart, for longer than `timeout`. Returns false if the
// machine was too slow for that.
bool KeepAlive(const Peer& from, const Peer& to, milliseconds timeout) {
  const Stopwatch watch;
  milliseconds last{0};
  bool alive = true;
  while (alive && watch.elapsed() < timeout * 3 / 2) {
    if (watch.elapsed() - last >= timeout / 2) return false;
    last = watch.elapsed();
    from.Send("x");
    to.Receive(1);
    alive = to.Silent(timeout / 16);
  }
  if (watch.elapsed() - last >= timeout / 2) return false;
  CHECK(alive);
  return true;
}

TEST_CASE("--idle-timeout: traffic in one direction keeps a session alive") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.idle_timeout = 4 * deadline;
    const TestGateway gateway(settings);
    const TargetListener listener;
    const auto [client, target] = gateway.Open(listener);
    if (!KeepAlive(target, client, settings.idle_timeout)) return false;
    CHECK(gateway.Count(&Counters::relays_expired) == 0);
    return true;
  });
}

TEST_CASE("--half-close-timeout: when one side has finished and the other is silent, the session is reset") {
  for (const bool by_client : {true, false}) {
    CAPTURE(by_client);
    BeforeDeadline([&](milliseconds deadline) {
      Settings settings = TestSettings();
      settings.half_close_timeout = deadline;
      const TestGateway gateway(settings);
      const TargetListener listener;
      const auto [client, target] = gateway.Open(listener);
      CHECK(client.Silent(2 * deadline));  // the timeout applies to half-closed sessions only
      const Peer& finished = by_client ? client : target;
      const Peer& silent = by_client ? target : client;
      finished.HalfClose();
      CHECK(silent.ReceiveToEnd().empty());
      CHECK(finished.ReceiveToReset().empty());
      CHECK(gateway.WaitForSessions(0));
      CHECK(gateway.Count(&Counters::relays_expired) == 1);
      return true;
    });
  }
}

TEST_CASE("--half-close-timeout begins when one side finishes, not at the last byte before") {
  for (const bool by_client : {true, false}) {
    CAPTURE(by_client);
    BeforeDeadline([&](milliseconds deadline) {
      Settings settings = TestSettings();
      settings.half_close_timeout = deadline;
      const TestGateway gateway(settings);
      const TargetListener listener;
      const auto [client, target] = gateway.Open(listener);
      CHECK(client.Silent(2 * deadline));
      const Peer& finished = by_client ? client : target;
      const Stopwatch watch;
      finished.HalfClose();
      CHECK(finished.ReceiveToReset().empty());
      CHECK(watch.elapsed() + milliseconds(20) >= deadline);
      return true;
    });
  }
}

// Fills the path from `sender` to `receiver`: the gateway holds bytes that `receiver` does not take, and its kernel has
// acknowledged all bytes of `sender`.
void FillPath(const Peer& sender, const Peer& receiver) {
  const std::string chunk(256 * 1024, 'x');
  while (sender.SendSome(chunk) > 0) {
  }
  REQUIRE(WaitUntil([&] {
    if (UnsentBytes(sender.fd()) == 0) return true;
    receiver.ReceiveSome(64 * 1024);
    return false;
  }));
}

TEST_CASE("--half-close-timeout also runs while the end of one side waits behind bytes for a full receiver") {
  Settings settings = TestSettings();
  settings.half_close_timeout = kShort;
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto session = gateway.Open(listener, {.receive = 256 * 1024});
  // What the client has to take for the last bytes of the target to be acknowledged may be all that the gateway holds.
  REQUIRE(WaitUntil([&] {
    FillPath(session.target, session.client);
    return gateway.UnreadFrom(session.target) > 0;
  }));
  session.target.HalfClose();
  CHECK(gateway.WaitForSessions(0));
  CHECK(gateway.Count(&Counters::relays_expired) == 1);
}

TEST_CASE("a slow but steady reader is not cut off while the gateway's send queue drains to it") {
  for (const bool half_closed : {false, true}) {
    CAPTURE(half_closed);
    BeforeDeadline([&](milliseconds deadline) {
      Settings settings = TestSettings();
      settings.idle_timeout = half_closed ? std::chrono::hours(1) : 4 * deadline;
      settings.half_close_timeout = half_closed ? 4 * deadline : std::chrono::hours(1);
      const TestGateway gateway(settings);
      const TargetListener listener;
      const auto [client, target] = gateway.Open(listener, {.receive = 64 * 1024});
      // All of it fits the gateway's send queue: not a byte moves inside the gateway while the client reads.
      const std::string sent(1024 * 1024, 'x');
      target.Send(sent);
      if (half_closed) target.HalfClose();
      REQUIRE(WaitUntil([&] { return gateway.Count(&Counters::bytes_down) == sent.size(); }));
      std::size_t received = 0;
      const Stopwatch watch;
      milliseconds last{0};
      while (watch.elapsed() < 12 * deadline) {
        if (watch.elapsed() - last >= 2 * deadline) return false;
        last = watch.elapsed();
        received += client.Receive(32 * 1024).size();
        CHECK(target.Silent(deadline));
      }
      CHECK(gateway.Count(&Counters::relays_expired) == 0);
      CHECK(client.Receive(sent.size() - received).size() == sent.size() - received);
      return true;
    });
  }
}

TEST_CASE("--half-close-timeout: traffic keeps a half-closed session alive") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.half_close_timeout = 4 * deadline;
    const TestGateway gateway(settings);
    const TargetListener listener;
    auto [client, target] = gateway.Open(listener);
    client.HalfClose();
    if (!KeepAlive(target, client, settings.half_close_timeout)) return false;
    target.Close();
    CHECK(client.ReceiveToEnd().empty());
    return true;
  });
}

TEST_CASE("--idle-timeout: a client that does not read is cut off at the deadline") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.idle_timeout = deadline;
    const TestGateway gateway(settings);
    const TargetListener listener;
    const auto session = gateway.Open(listener, {.receive = 256 * 1024});
    const std::string chunk(256 * 1024, 'x');
    CHECK(WaitUntil([&] {
      session.target.SendSome(chunk);
      return gateway.server().sessions() == 0;
    }));
    CHECK(gateway.Count(&Counters::relays_expired) == 1);
    return true;
  });
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
