// The limits of a client and a user: sessions, new connections, bandwidth; across workers and reloads.
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/login/users.h"
#include "penstock/os/random.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/program.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("limits");

using Clock = std::chrono::steady_clock;

Settings Limited(const Limits& limits, std::size_t workers = 1) {
  Settings settings = TestSettings();
  settings.workers = workers;
  settings.policy.limits = limits;
  return settings;
}

Policy With(const Limits& limits) {
  Policy policy;
  policy.limits = limits;
  return policy;
}

// The largest number of bytes that a limit of `rate` can have passed since `begun`.
std::uint64_t MostSince(Clock::time_point begun, std::uint64_t rate) {
  const std::chrono::duration<double> passed = Clock::now() - begun;
  const std::chrono::duration<double> ahead = kThrottleQuantum + kThrottleCredit;
  return static_cast<std::uint64_t>(static_cast<double>(rate) * (passed + ahead).count()) + kThrottleQuantumBytesMin;
}

const std::string kServed = kChosenNone + Refusal(5);
const std::string kRefused = kChosenNone + Refusal(1);

// All that a new client receives which requests a closed port: kServed within the limits, kRefused over a limit,
// nothing when it is reset at once.
std::string AnswerToNewClient(const TestGateway& gateway) {
  const ClosedPort closed;
  const Peer client = gateway.Client();
  client.SendSome(kGreeting + ConnectRequest(closed.at()));
  return client.ReceiveToClose();
}

TEST_CASE("--max-connections-per-client holds across workers; a client over it gets REP 01 or a reset") {
  for (const std::size_t workers : {1U, 2U}) {
    CAPTURE(workers);
    const TestGateway gateway(Limited({.connections_per_client_max = 8}, workers));
    const TargetListener listener;
    std::vector<TestGateway::Session> sessions;
    for (int i = 0; i < 8; ++i) sessions.push_back(gateway.Open(listener));
    {
      std::vector<Peer> waiting;  // they are refused only once they have sent a request
      for (int i = 0; i < 8; ++i) waiting.push_back(gateway.GreetedClient());
      CHECK(gateway.Client().ReceiveToReset().empty());
      CHECK(gateway.Client().ReceiveToReset().empty());
      CHECK(gateway.Count(&Counters::client_floods) == 2);
      for (const Peer& client : waiting) {
        client.Send(ConnectRequest(listener.at()));
        CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(1)));
      }
    }
    CHECK(gateway.WaitForSessions(8));
    CHECK(gateway.Count(&Counters::over_client_limit) == 8);
    CHECK(gateway.WaitForLog("reply=1 "));
    CHECK(gateway.WaitForLog("end=over-limit"));
    CHECK(gateway.WaitForLog("warn client-flood client=127.0.0.1:"));

    // Other clients and live sessions are not affected, and a session that ends makes room for another.
    const Peer other = Peer::FromTo(*Endpoint::Parse("127.0.0.2:0"), gateway.at());
    other.Send(kGreeting + ConnectRequest(listener.at()));
    const Peer target = listener.Accept();
    CHECK(Hex(other.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
    PingPong(sessions[0], 3);
    sessions.pop_back();
    CHECK(gateway.WaitForSessions(8));
    sessions.push_back(gateway.Open(listener));
    PingPong(sessions.back(), 3);
  }
}

TEST_CASE("beyond loopback the default of --max-connections-per-client is half of --max-connections") {
  const struct {
    std::string listen;
    Limits limits;
    bool fills;
  } rows[] = {
      {"0.0.0.0:0", {}, false},
      {"0.0.0.0:0", {.connections_per_client_max = 0}, true},
      {"0.0.0.0:0", {.connections_per_client_max = 8}, true},
      {"127.0.0.1:0", {}, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.listen);
    Settings settings = Limited(row.limits);
    settings.listen = {*Endpoint::Parse(row.listen)};
    settings.connections_max = 8;
    const TestGateway gateway(settings);
    const TargetListener listener;
    const Endpoint at{*IpAddress::Parse("127.0.0.1"), gateway.at().port};
    std::vector<Peer> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(Peer::To(at));
      clients.back().Send(kGreeting);
      CHECK(Hex(clients.back().Receive(2)) == Hex(kChosenNone));
    }
    for (const bool reloaded : {false, true}) {
      if (reloaded) gateway.server().Reload(With(row.limits));
      const ClosedPort closed;
      const Peer fifth = Peer::To(at);
      fifth.Send(kGreeting + ConnectRequest(closed.at()));
      CHECK(Hex(fifth.ReceiveToEnd()) == Hex(row.fills ? kServed : kRefused));
    }
  }
}

TEST_CASE("the default of --max-connections-per-client is logged at start") {
  const std::vector<std::string> options = {"--listen=0.0.0.0:0", "--allow=client any", "--max-connections=10"};
  CHECK(Program(options).WaitForLog(" notice limit max-connections-per-client=5 meaning="));
}

TEST_CASE("a client over its limit is refused whatever it requests") {
  const TestGateway gateway(Limited({.connections_per_client_max = 1}));
  const TargetListener listener;
  const auto first = gateway.Open(listener);
  const std::string requests[] = {ConnectRequest(listener.at()), ConnectRequest("localhost", 80), AssociateRequest(),
                                  "05 02 00 01 7f 00 00 01 00 00"_hex};
  for (const std::string& request : requests) {
    {
      const Peer client = gateway.Client();
      client.Send(kGreeting + request + "data behind it");
      CHECK(Hex(client.ReceiveToEnd()) == Hex(kChosenNone + Refusal(1)));
    }
    CHECK(gateway.WaitForSessions(1));
  }
  CHECK_FALSE(listener.HasPendingConnection());
}

TEST_CASE("--connect-rate: connections over the rate are refused, and far over the rate they are reset") {
  const TestGateway gateway(Limited({.connect_rate = 1}));
  const Clock::time_point begun = Clock::now();
  std::uint64_t served = 0, refused = 0, reset = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string answer = AnswerToNewClient(gateway);
    served += answer == kServed;
    refused += answer == kRefused;
    reset += answer.empty();
    CHECK(served + refused + reset == static_cast<std::uint64_t>(i) + 1);
  }
  const auto seconds = static_cast<std::uint64_t>(std::chrono::duration<double>(Clock::now() - begun).count());
  CHECK(served >= 1);
  CHECK(served <= seconds + 2);
  CHECK(served + refused <= 2 * seconds + 4);
  CHECK(gateway.Count(&Counters::over_connect_rate) == refused);
  CHECK(gateway.Count(&Counters::client_floods) == reset);
  CHECK(gateway.WaitForSessions(0));
}

TEST_CASE("a reload that sets or removes limits loses no count of live sessions") {
  const TestGateway gateway(Limited({}, 2));
  const TargetListener listener;
  const auto uncounted = gateway.Open(listener);
  gateway.server().Reload(With({.connections_per_client_max = 1}));
  {
    const auto counted = gateway.Open(listener);
    // Each worker takes the new policy at its next turn.
    CHECK(WaitUntil([&] { return AnswerToNewClient(gateway) != kServed; }));
    gateway.server().Reload(With({}));
    CHECK(WaitUntil([&] { return AnswerToNewClient(gateway) == kServed; }));
    PingPong(counted, 1);
  }
  PingPong(uncounted, 1);
  CHECK(gateway.WaitForSessions(1));
}

TEST_CASE("--bandwidth: bytes arrive whole in each direction and no faster than the rate") {
  constexpr std::uint64_t kRate = 2'000'000;
  const TestGateway gateway(Limited({.bandwidth = kRate}));
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  const Clock::time_point begun = Clock::now();
  ExchangeBothWays(session, 600'000);
  CHECK(600'000 <= MostSince(begun, kRate));
  PingPong(session, 3);
}

TEST_CASE("--bandwidth: each session has its own rate") {
  constexpr std::uint64_t kRate = 2'000'000;
  const TestGateway gateway(Limited({.bandwidth = kRate}, 2));
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  std::vector<Stream> streams;
  for (int i = 0; i < 10; ++i) sessions.push_back(gateway.Open(listener));
  for (const auto& session : sessions) streams.emplace_back(session.client, session.target, 400'000);
  const Clock::time_point begun = Clock::now();
  Exchange(streams);
  CHECK(400'000 <= MostSince(begun, kRate));
}

TEST_CASE("--bandwidth: a throttled session ends like any other") {
  const TestGateway gateway(Limited({.bandwidth = 2'000'000}));
  const TargetListener listener;
  const std::string much(300'000, 'x');
  SUBCASE("the client half-closes, and the target answers") {
    const auto session = gateway.Open(listener);
    session.client.Send(much);
    session.client.HalfClose();
    CHECK((session.target.ReceiveToEnd() == much));
    session.target.Send("answer");
    session.target.HalfClose();
    CHECK(session.client.ReceiveToEnd() == "answer");
  }
  SUBCASE("the target half-closes, and the client continues") {
    const auto session = gateway.Open(listener);
    session.target.Send(much);
    session.target.HalfClose();
    CHECK((session.client.ReceiveToEnd() == much));
    session.client.Send("more");
    CHECK(session.target.Receive(4) == "more");
  }
  SUBCASE("the client resets: the target receives all earlier bytes, then a reset") {
    auto session = gateway.Open(listener);
    session.client.Send(much);
    session.client.WaitUntilAcknowledged();
    session.client.Abort();
    CHECK((session.target.ReceiveToReset() == much));
  }
  SUBCASE("the target resets while the client is throttled") {
    auto session = gateway.Open(listener);
    session.client.Send(much);
    session.target.Abort();
    session.client.ReceiveToReset();
  }
  CHECK(gateway.WaitForSessions(0));
}

TEST_CASE("--bandwidth: a reload changes the rate of live sessions") {
  constexpr std::uint64_t kRate = 2'000'000;
  const TestGateway gateway;
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  PingPong(session, 1);
  gateway.server().Reload(With({.bandwidth = kRate}));
  const Clock::time_point begun = Clock::now();
  Exchange(Stream(session.client, session.target, 400'000));
  CHECK(400'000 <= MostSince(begun, kRate));

  // At the next limit the transfer would take hours; without a limit it ends at once.
  gateway.server().Reload(With({.bandwidth = 1'000}));
  const std::string much(1'000'000, 'x');
  Stream stream(session.client, session.target, 10'000'000);
  for (int i = 0; i < 100; ++i) stream.Move();
  gateway.server().Reload(With({}));
  Exchange(std::move(stream));
}

TEST_CASE("--bandwidth: datagrams over the rate are dropped and counted in each direction") {
  constexpr std::uint64_t kRate = 10'000;
  const TestGateway gateway(Limited({.bandwidth = kRate}));
  const UdpClient client(gateway);
  const UdpPeer target;
  client.Send("", target.at());  // an empty datagram uses no bandwidth
  const Endpoint outside = target.Receive().from;
  const auto up = [&] { return gateway.Count(&Counters::datagrams_up); };
  const auto down = [&] { return gateway.Count(&Counters::datagrams_down); };
  REQUIRE(WaitUntil([&] { return up() == 1; }));

  const Clock::time_point begun = Clock::now();
  const std::string data(1'000, 'x');
  for (int i = 0; i < 40; ++i) client.Send(data, target.at());
  CHECK(WaitUntil([&] { return up() - 1 + gateway.Count(&Counters::udp_over_limit) == 40; }));
  target.SendAll(std::vector<std::string>(40, data), outside);
  CHECK(WaitUntil([&] { return up() - 1 + down() + gateway.Count(&Counters::udp_over_limit) == 80; }));
  CHECK((up() - 1) * data.size() <= MostSince(begun, kRate));
  CHECK(down() * data.size() <= MostSince(begun, kRate));
  // The datagrams within the rate, at least the first of each direction, have arrived.
  CHECK(up() > 1);
  CHECK(down() > 0);
  for (std::uint64_t i = 1; i < up(); ++i) CHECK((target.Receive().bytes == data));
  const std::uint64_t came_down = down();
  for (std::uint64_t i = 0; i < came_down; ++i) CHECK((client.Receive().bytes == data));
  CHECK(target.nothing_arrived());
  CHECK(client.udp().nothing_arrived());

  // Datagrams within the rate are relayed.
  std::string question;
  CHECK(WaitUntil([&] {
    client.Send("small", target.at());
    while (!target.nothing_arrived()) question = target.Receive().bytes;
    return question == "small";
  }));
  std::string answer;
  CHECK(WaitUntil([&] {
    target.Send("smaller", outside);
    while (!client.udp().nothing_arrived()) answer = client.Receive().bytes;
    return answer == "smaller";
  }));
}

// --- Users ---------------------------------------------------------------------------------------------------------

Settings LimitedUsers(const Limits& limits, std::size_t workers = 1) {
  Users::Draft draft(RandomKey());
  std::string error;
  REQUIRE_MESSAGE(draft.AddText("alice:{plain}sesame\nbob:{plain}sesame\n", "users", &error), error);
  Settings settings = Limited(limits, workers);
  settings.policy.users = draft.Finish();
  return settings;
}

TestGateway::Session OpenAs(const std::string& user, const TestGateway& gateway, const TargetListener& listener) {
  TestGateway::Session session;
  session.client = gateway.Client();
  session.client.Send(LoginOf(user, "sesame") + ConnectRequest(listener.at()));
  session.target = listener.Accept();
  CHECK(Hex(session.client.Receive(14)) == Hex(kLoginAccepted + Success(session.target.remote())));
  return session;
}

TEST_CASE("--max-connections-per-user holds across workers; a user over it gets REP 01") {
  const TestGateway gateway(LimitedUsers({.connections_per_user_max = 4}, 2));
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(OpenAs("alice", gateway, listener));
  const std::string requests[] = {ConnectRequest(listener.at()), AssociateRequest()};
  for (const std::string& request : requests) {
    const Peer client = gateway.Client();
    client.Send(LoginOf("alice", "sesame") + request);
    CHECK(Hex(client.ReceiveToEnd()) == Hex(kLoginAccepted + Refusal(1)));
  }
  CHECK(gateway.Count(&Counters::over_user_limit) == 2);
  sessions.push_back(OpenAs("bob", gateway, listener));
  CHECK(gateway.WaitForSessions(5));

  // A session that has logged in and has sent no request yet counts.
  sessions.erase(sessions.begin());
  CHECK(gateway.WaitForSessions(4));
  {
    const Peer waiting = gateway.Client();
    waiting.Send(LoginOf("alice", "sesame"));
    CHECK(Hex(waiting.Receive(4)) == Hex(kLoginAccepted));
    const Peer client = gateway.Client();
    client.Send(LoginOf("alice", "sesame") + ConnectRequest(listener.at()));
    CHECK(Hex(client.ReceiveToEnd()) == Hex(kLoginAccepted + Refusal(1)));
  }
  CHECK(gateway.WaitForSessions(4));
  sessions.push_back(OpenAs("alice", gateway, listener));
  PingPong(sessions.back(), 3);
}

TEST_CASE("--user-bandwidth: the sessions of a user share the rate, across workers") {
  constexpr std::uint64_t kRate = 4'000'000;
  const TestGateway gateway(LimitedUsers({.user_bandwidth = kRate}, 2));
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  std::vector<Stream> streams;
  for (int i = 0; i < 8; ++i) sessions.push_back(OpenAs("alice", gateway, listener));
  sessions.push_back(OpenAs("bob", gateway, listener));
  for (int i = 0; i < 8; ++i) {
    const auto& session = sessions[static_cast<std::size_t>(i)];
    streams.emplace_back(session.client, session.target, 200'000);
  }
  const Clock::time_point begun = Clock::now();
  PingPong(sessions[8], 3);
  Exchange(streams);
  CHECK(8 * 200'000 <= MostSince(begun, kRate));
  for (const auto& session : sessions) PingPong(session, 1);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
