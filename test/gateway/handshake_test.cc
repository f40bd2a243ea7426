// The handshake, from the first byte to the reply, split and joined in every way.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("handshake");

// Sends `pieces` so that the gateway reads them one by one.
void SendInPieces(const TestGateway& gateway, const Peer& client, const std::vector<std::string>& pieces) {
  for (const std::string& piece : pieces) {
    client.Send(piece);
    REQUIRE(gateway.WaitUntilRead(client));
  }
}

TEST_CASE("CONNECT to an IPv4 address: BND is the real address of the gateway's socket") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.Client();
  client.Send(kGreeting);
  CHECK(Hex(client.Receive(2)) == "05 00");
  client.Send(ConnectRequest(listener.at()));
  const Peer target = listener.Accept();
  const std::string reply = client.Receive(10);
  CHECK(Hex(reply) == Hex(Success(target.remote())));
  CHECK(Hex(reply.substr(0, 4)) == "05 00 00 01");
  ExpectBothWays(client, target);
}

TEST_CASE("CONNECT to an IPv6 address: BND is the real address of the gateway's socket") {
  const TestGateway gateway;
  const TargetListener listener(kLoopback6);
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(listener.at()));
  const Peer target = listener.Accept();
  const std::string reply = client.Receive(22);
  CHECK(Hex(reply) == Hex(Success(target.remote())));
  CHECK(Hex(reply.substr(0, 4)) == "05 00 00 04");
  ExpectBothWays(client, target);
}

TEST_CASE("a client that connects over IPv6 reaches an IPv4 target") {
  Settings settings = TestSettings();
  settings.listen = {kLoopback6};
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto [client, target] = gateway.Open(listener);
  ExpectBothWays(client, target);
}

TEST_CASE("an IPv4-mapped IPv6 address is the IPv4 address, in the reply too") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  std::string request = "05 01 00 04 00 00 00 00 00 00 00 00 00 00 ff ff"_hex;
  request += ConnectRequest(listener.at()).substr(4);
  client.Send(request);
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
  ExpectBothWays(client, target);
}

TEST_CASE("CONNECT to a name: the name is resolved and connected") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest("localhost", listener.at().port));
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
  ExpectBothWays(client, target);
}

TEST_CASE("a name that is an address literal is that address") {
  const TestGateway gateway;
  const TargetListener listener;
  const TargetListener listener6(kLoopback6);
  for (const std::string name : {"127.0.0.1", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]"}) {
    CAPTURE(name);
    const Peer client = gateway.GreetedClient();
    client.Send(ConnectRequest(name, listener.at().port));
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
  }
  for (const std::string name : {"::1", "[::1]", "0:0:0:0:0:0:0:1"}) {
    CAPTURE(name);
    const Peer client = gateway.GreetedClient();
    client.Send(ConnectRequest(name, listener6.at().port));
    const Peer target = listener6.Accept();
    CHECK(Hex(client.Receive(22)) == Hex(Success(target.remote())));
  }
}

TEST_CASE("a name with a final dot is the same name") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest("localhost.", listener.at().port));
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
}

TEST_CASE("a handshake may arrive byte by byte") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::string& request : {ConnectRequest(listener.at()), ConnectRequest("localhost", listener.at().port)}) {
    const Peer client = gateway.Client();
    std::vector<std::string> bytes;
    for (const char byte : kGreeting + request) bytes.emplace_back(1, byte);
    SendInPieces(gateway, client, bytes);
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
    ExpectBothWays(client, target);
  }
}

TEST_CASE("a handshake with data behind it may be split anywhere") {
  const TestGateway gateway;
  const TargetListener listener;
  const std::string data = "the client's first words";
  const std::string whole = kGreeting + ConnectRequest(listener.at()) + data;
  for (std::size_t split = 1; split < whole.size(); ++split) {
    CAPTURE(split);
    const Peer client = gateway.Client();
    SendInPieces(gateway, client, {whole.substr(0, split), whole.substr(split)});
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
    client.HalfClose();
    CHECK(target.ReceiveToEnd() == data);
  }
}

TEST_CASE("data that arrives with the handshake reaches the target first and exactly once") {
  const TestGateway gateway;
  const TargetListener listener;
  // One byte, more than the handshake's buffer holds, and more than one read takes.
  for (const std::size_t size : {std::size_t{1}, std::size_t{3000}, std::size_t{100'000}}) {
    CAPTURE(size);
    const std::string early = Pattern(size).Next(size);
    const Peer client = gateway.Client();
    client.Send(kGreeting + ConnectRequest(listener.at()) + early);
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
    client.Send("later");
    client.HalfClose();
    CHECK((target.ReceiveToEnd() == early + "later"));
  }
}

TEST_CASE("a gateway can be reached through itself") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(gateway.at()) + kGreeting + ConnectRequest(listener.at()) + "early");
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(10).substr(0, 4)) == "05 00 00 01");
  CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
  CHECK(target.Receive(5) == "early");
  ExpectBothWays(client, target);
}

TEST_CASE("an offer with \"no authentication\" anywhere in it is accepted") {
  const TestGateway gateway;
  const TargetListener listener;
  std::string everything = "05 ff"_hex;
  for (int method = 254; method >= 0; --method) everything += static_cast<char>(method);
  for (const std::string& greeting :
       {"05 02 00 01"_hex, "05 02 00 02"_hex, "05 02 02 00"_hex, "05 03 00 00 00"_hex, everything}) {
    CAPTURE(Hex(greeting));
    const Peer client = gateway.Client();
    client.Send(greeting + ConnectRequest(listener.at()));
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
  }
}

TEST_CASE("an offer without \"no authentication\" is answered with \"no acceptable method\"") {
  const TestGateway gateway;
  for (const std::string& greeting : {"05 01 02"_hex, "05 01 01"_hex, "05 02 01 02"_hex, "05 01 ff"_hex}) {
    CAPTURE(Hex(greeting));
    const Peer client = gateway.Client();
    client.Send(greeting);
    CHECK(Hex(client.ReceiveToEnd()) == "05 ff");
  }
}

TEST_CASE("success is not sent before the target has accepted") {
  const TestGateway gateway;
  SilentTarget silent;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(silent.at()));
  CHECK(client.Silent(milliseconds(200)));
  silent.Open();
  const Peer target = silent.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
  ExpectBothWays(client, target);
}

TEST_CASE("what a client sends before its target has accepted waits in the kernel and then arrives") {
  const TestGateway gateway;
  SilentTarget silent;
  const Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest(silent.at()));
  REQUIRE(gateway.WaitUntilRead(client));
  std::string early;
  Pattern pattern(RunSeed());
  // Until the kernel takes no more, since the gateway does not read.
  for (bool taken = true; taken;) {
    const std::string more = pattern.Next(16 * 1024);
    const std::size_t sent = client.SendSome(more);
    early += more.substr(0, sent);
    taken = sent == more.size();
  }
  CHECK(early.size() > 64 * 1024);
  // The gateway has read at most a handshake's buffer.
  CHECK(gateway.UnreadFrom(client) + 1280 >= 64 * 1024);
  silent.Open();
  const Peer target = silent.Accept();
  CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
  CHECK((target.Receive(early.size()) == early));
  ExpectBothWays(client, target);
}

TEST_CASE("a client may half-close right after its request and still receives the answer") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::string data : {"", "question"}) {
    CAPTURE(data);
    const Peer client = gateway.Client();
    client.Send(kGreeting + ConnectRequest(listener.at()) + data);
    client.HalfClose();
    Peer target = listener.Accept();
    const std::string handshake = kChosenNone + Success(target.remote());
    CHECK(target.ReceiveToEnd() == data);
    target.Send("answer");
    target.Close();
    CHECK(client.ReceiveToEnd() == handshake + "answer");
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
