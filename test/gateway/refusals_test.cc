// Refusals: which input gets which reply, and that the reply arrives whatever the client sends.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/os/socket.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("refusals");

// All that a new client receives which sends `bytes` and then nothing more.
std::string AnswerToBytes(const TestGateway& gateway, const std::string& bytes) {
  const Peer client = gateway.Client();
  client.Send(bytes);
  return client.ReceiveToEnd();
}

// A CONNECT request for port 80 of `name`.
std::string RequestFor(const std::string& name) { return ConnectRequest(name, 80); }

TEST_CASE("malformed input gets the most specific answer, and then the end") {
  const TestGateway gateway;
  struct Row {
    std::string input;
    std::string bytes;
    std::string answer;
  };
  const std::string rep1 = kChosenNone + Refusal(1);
  const std::string rep7 = kChosenNone + Refusal(7);
  const std::string rep8 = kChosenNone + Refusal(8);
  const Row rows[] = {
      {"SOCKS4", "04 01 00 50 7f 00 00 01 00"_hex, ""},
      {"HTTP", "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", ""},
      {"TLS", "16 03 01 00 10"_hex, ""},
      {"a NUL", "00"_hex, ""},
      {"no methods", "05 00"_hex, "05 ff"_hex},
      {"no methods, request behind it", "05 00 05 01 00 01 7f 00 00 01 00 50"_hex, "05 ff"_hex},
      {"request version 4", kGreeting + "04 01 00 01 7f 00 00 01 00 50"_hex, rep1},
      {"request version 4, alone", kGreeting + "04"_hex, rep1},
      {"command 0", kGreeting + "05 00 00 01 7f 00 00 01 00 50"_hex, rep7},
      {"command 4", kGreeting + "05 04 00 01 7f 00 00 01 00 50"_hex, rep7},
      {"command ff, IPv6", kGreeting + "05 ff 00 04 00000000000000000000000000000001 00 50"_hex, rep7},
      {"command 4, name", kGreeting + "05 04 00 03 04 61 62 63 64 00 50"_hex, rep7},
      {"address type 0", kGreeting + "05 01 00 00"_hex, rep8},
      {"address type 2", kGreeting + "05 01 00 02"_hex, rep8},
      {"address type ff", kGreeting + "05 01 00 ff 01 02 03"_hex, rep8},
      {"name of length 0", kGreeting + "05 01 00 03 00 00 50"_hex, rep1},
      {"port 0, IPv4", kGreeting + "05 01 00 01 7f 00 00 01 00 00"_hex, rep1},
      {"port 0, IPv6", kGreeting + "05 01 00 04 00000000000000000000000000000001 00 00"_hex, rep1},
      {"port 0, name", kGreeting + ConnectRequest("localhost", 0), rep1},
  };
  for (const Row& row : rows) {
    CAPTURE(row.input);
    CHECK(Hex(AnswerToBytes(gateway, row.bytes)) == Hex(row.answer));
  }
}

TEST_CASE("an unknown command is answered only when its request is complete") {
  const TestGateway gateway;
  const Peer client = gateway.GreetedClient();
  client.Send("05 04 00 01 7f 00 00 01 00"_hex);
  REQUIRE(gateway.WaitUntilRead(client));
  CHECK(client.Silent(milliseconds(50)));
  client.Send("50"_hex);
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(7)));
}

TEST_CASE("the reserved byte of a request is ignored") {
  const TestGateway gateway;
  const TargetListener listener;
  std::string request = ConnectRequest(listener.at());
  request[2] = '\x7f';
  const Peer client = gateway.GreetedClient();
  client.Send(request);
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
}

TEST_CASE("an invalid name is \"host unreachable\", without a query") {
  const TestGateway gateway;
  const std::string label(63, 'a');
  const std::string too_long = label + '.' + label + '.' + label + '.' + label;  // 255 bytes
  const std::string names[] = {
      "ex\0ample.org" + std::string(1, '\0'),
      std::string("example.org\0", 12),
      std::string("\0", 1),
      "exa mple.org",
      "ex\nample.org",
      "\x1b[31mred",
      "\xc3\xa4.example",
      std::string(64, 'a') + ".example",
      too_long,
      ".",
      "..",
      "a..b",
      ".example",
      "127.0.0.1 ",
  };
  for (const std::string& name : names) {
    CAPTURE(Hex(name));
    CHECK(Hex(gateway.AnswerTo(RequestFor(name))) == Hex(Refusal(4)));
  }
  CHECK(gateway.Count(&Counters::names_asked) == 0);
}

TEST_CASE("the longest handshake that can be sent is answered") {
  const TestGateway gateway;
  const std::string greeting = "05 ff"_hex + std::string(255, '\0');
  CHECK(Hex(AnswerToBytes(gateway, greeting + RequestFor(std::string(255, 'a')) + std::string(5000, 'x'))) ==
        Hex(kChosenNone + Refusal(4)));
}

TEST_CASE("a closed port is \"connection refused\"") {
  const TestGateway gateway;
  CHECK(Hex(gateway.AnswerTo(ConnectRequest(ClosedPort().at()))) == Hex(Refusal(5)));
  CHECK(Hex(gateway.AnswerTo(ConnectRequest(ClosedPort(kLoopback6).at()))) == Hex(Refusal(5)));
  const ClosedPort closed;
  CHECK(Hex(gateway.AnswerTo(ConnectRequest("127.0.0.1", closed.at().port))) == Hex(Refusal(5)));
}

TEST_CASE("broadcast and multicast are \"network unreachable\" for a client on loopback") {
  const TestGateway gateway;
  for (const std::string target : {"255.255.255.255:80", "224.0.0.1:80", "[ff02::1]:80"}) {
    CAPTURE(target);
    CHECK(Hex(gateway.AnswerTo(ConnectRequest(*Endpoint::Parse(target)))) == Hex(Refusal(3)));
  }
}

TEST_CASE("the unspecified address is this host for a client on loopback, as for the kernel") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest({*IpAddress::Parse("0.0.0.0"), listener.at().port}));
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
}

TEST_CASE("--connect-timeout: a silent target is \"TTL expired\" at the deadline, not before") {
  Settings settings = TestSettings();
  settings.connect_timeout = kShort;
  const TestGateway gateway(settings);
  const SilentTarget silent;
  const Stopwatch watch;
  CHECK(Hex(gateway.AnswerTo(ConnectRequest(silent.at()))) == Hex(Refusal(6)));
  CHECK(watch.elapsed() >= kShort);
}

void ExpectDenied(const IpAddress& outside) {
  Settings settings = TestSettings();
  settings.listen = {{outside, 0}};
  const TestGateway gateway(settings);
  const std::string own = outside.ToString();
  for (const std::string& name :
       {std::string("127.0.0.1"), std::string("127.1.2.3"), std::string("::1"), std::string("::ffff:127.0.0.1"),
        std::string("0.0.0.0"), std::string("0.1.2.3"), std::string("::"), std::string("224.0.0.1"),
        std::string("ff02::1"), std::string("255.255.255.255"), std::string("169.254.169.254"), std::string("fe80::1"),
        std::string("localhost"), own}) {
    CAPTURE(own);
    CAPTURE(name);
    const TargetListener listener({*IpAddress::Parse("0.0.0.0"), 0});
    CHECK(Hex(gateway.AnswerTo(ConnectRequest(name, listener.at().port))) == Hex(Refusal(2)));
    if (const auto ip = IpAddress::Parse(name)) {
      CHECK(Hex(gateway.AnswerTo(ConnectRequest({*ip, listener.at().port}))) == Hex(Refusal(2)));
    }
    CHECK(!listener.HasPendingConnection());
  }
}

TEST_CASE("CONNECT: the guard denies remote clients the addresses that only this host can reach" *
          doctest::skip(!OutsideAddress(true))) {
  ExpectDenied(*OutsideAddress(true));
}

TEST_CASE("CONNECT: the guard denies the same to remote clients over IPv6" * doctest::skip(!OutsideAddress(false))) {
  ExpectDenied(*OutsideAddress(false));
}

// --- The refusal arrives -------------------------------------------------------------------------------------------

struct RefusedInput {
  std::string what;
  std::string bytes;
  std::string answer;
};
const RefusedInput kRefusedInputs[] = {
    {"greeting", "05 00"_hex, "05 ff"_hex},
    {"offer", "05 01 02"_hex, "05 ff"_hex},
    {"version", kGreeting + "04"_hex, kChosenNone + Refusal(1)},
    {"address type", kGreeting + "05 01 00 09"_hex, kChosenNone + Refusal(8)},
    {"name", kGreeting + RequestFor("a..b"), kChosenNone + Refusal(4)},
};

TEST_CASE("a client that sends garbage behind refused input receives the whole refusal and then the end") {
  const TestGateway gateway;
  for (const RefusedInput& refused : kRefusedInputs) {
    CAPTURE(refused.what);
    const Peer client = gateway.Client();
    client.Send(refused.bytes + std::string(kLingerBytesMax / 2, 'x'));
    CHECK(Hex(client.ReceiveToEnd()) == Hex(refused.answer));
  }
}

TEST_CASE("a client that continues to send after its refusal can still read all of it") {
  for (const RefusedInput& refused : kRefusedInputs) {
    CAPTURE(refused.what);
    BeforeDeadline([&](milliseconds deadline) {
      Settings settings = TestSettings();
      settings.handshake_timeout = deadline;  // the linger time is never longer
      const TestGateway gateway(settings);
      const Stopwatch watch;
      const Peer client = gateway.Client();
      client.Send(refused.bytes);
      for (int i = 0; i < 30; ++i) client.Send(std::string(1000, 'x'));
      const bool read = gateway.WaitUntilRead(client);
      const std::string answer = client.ReceiveToEnd();
      if (watch.elapsed() >= std::min(deadline, kLingerMax)) return false;
      CHECK(read);
      CHECK(Hex(answer) == Hex(refused.answer));
      return true;
    });
  }
}

TEST_CASE("a refused client that sends nothing more is closed after the linger time") {
  for (const RefusedInput& refused : kRefusedInputs) {
    CAPTURE(refused.what);
    BeforeDeadline([&](milliseconds deadline) {
      Settings settings = TestSettings();
      settings.handshake_timeout = deadline;  // the linger time is never longer
      const TestGateway gateway(settings);
      const Stopwatch watch;
      const Peer client = gateway.Client();
      client.Send(refused.bytes);
      const std::string answer = client.ReceiveToEnd();
      const std::size_t sessions = gateway.server().sessions();
      if (watch.elapsed() >= deadline) return false;
      CHECK(Hex(answer) == Hex(refused.answer));
      CHECK(sessions == 1);
      CHECK(gateway.WaitForSessions(0));
      CHECK(watch.elapsed() >= deadline);
      return true;
    });
  }
}

TEST_CASE("a refused client that sends without end is closed") {
  Settings settings = TestSettings();
  settings.handshake_timeout = kShort;
  const TestGateway gateway(settings);
  std::uint64_t refusals = 0;
  for (const RefusedInput& refused : kRefusedInputs) {
    CAPTURE(refused.what);
    const Peer client = gateway.Client();
    client.Send(refused.bytes);
    const std::string garbage(1000, 'x');
    ++refusals;
    // A kilobyte each millisecond, or as fast as the gateway reads.
    CHECK(WaitUntil([&] {
      client.SendSome(garbage);
      return gateway.Count(&Counters::ended) == refusals;
    }));
  }
}

TEST_CASE("a client of another protocol is closed without a byte and does not affect other sessions") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  for (int i = 0; i < 20; ++i) {
    CHECK(AnswerToBytes(gateway, "GET / HTTP/1.0\r\n\r\n").empty());
    client.Send("x");
    CHECK(target.Receive(1) == "x");
  }
  CHECK(gateway.Count(&Counters::not_socks5) == 20);
}

TEST_CASE("a client that half-closes before its request is complete is closed without another byte") {
  const TestGateway gateway;
  const std::string whole = kGreeting + ConnectRequest(*Endpoint::Parse("127.0.0.1:1"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const Peer client = gateway.Client();
    client.Send(whole.substr(0, size));
    client.HalfClose();
    CHECK(Hex(client.ReceiveToEnd()) == Hex(size < kGreeting.size() ? "" : kChosenNone));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
