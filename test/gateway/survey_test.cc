// What another thread learns from the workers while they serve: totals that agree with each other in every snapshot,
// lists of sessions in pieces, and sessions that an operator ends.
#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/login/users.h"
#include "penstock/os/random.h"
#include "test/support/dns_server.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("survey");

std::uint64_t SessionsIn(const Gauges& gauges, SessionState first, SessionState last) {
  std::uint64_t sum = 0;
  for (auto state = static_cast<std::size_t>(first); state <= static_cast<std::size_t>(last); ++state)
    sum += gauges.sessions[state].value();
  return sum;
}

// The identities of counters.h. Returns the first one that does not hold; empty if all do.
std::string BrokenIdentity(const Totals& totals) {
  const Counters& c = totals.counters;
  const Gauges& g = totals.gauges;
  const std::uint64_t ended = SumOf(c.ended);
  const auto differs = [](std::uint64_t a, std::uint64_t b, std::string_view what) {
    return a == b ? std::string() : std::string(what) + ": " + std::to_string(a) + " and " + std::to_string(b);
  };
  std::uint64_t by_listener = 0;
  for (const std::uint64_t each : totals.accepted) by_listener += each;
  const std::uint64_t relays = c.relays_ended.value() + c.relays_reset.value() + c.relays_expired.value() +
                               c.relays_stopped.value() + c.relays_forbidden.value() + c.relays_killed.value() +
                               c.relays_limited.value();
  for (const std::string& found :
       {differs(c.accepted.value(), ended + SessionsIn(g, SessionState::kNego, SessionState::kResetting), "sessions"),
        differs(c.accepted.value(), by_listener, "listeners"),
        differs(c.durations.sessions.observations(), ended, "durations of sessions"),
        differs(c.relays_begun.value(),
                relays + SessionsIn(g, SessionState::kRelay, SessionState::kRelay) +
                    SessionsIn(g, SessionState::kResetting, SessionState::kResetting),
                "relays"),
        differs(c.associations_begun.value(),
                c.associations_ended.value() + SessionsIn(g, SessionState::kAssociated, SessionState::kAssociated),
                "associations"),
        differs(g.associations.value(), SessionsIn(g, SessionState::kAssociated, SessionState::kAssociated),
                "the gauge of associations"),
        differs(g.handshakes.value(), SessionsIn(g, SessionState::kNego, SessionState::kBinding), "handshakes"),
        differs(c.durations.dns.observations(), SumOf(c.names[static_cast<std::size_t>(NameSource::kNetwork)]),
                "names")}) {
    if (!found.empty()) return found;
  }
  return {};
}

// The name of a counter that is lower in `now` than in `before`; empty if none is.
std::string LowerCounter(const Totals& before, const Totals& now) {
  std::map<std::string, std::uint64_t> values;
  ForEach(before.counters, [&](const SeriesName& name, const Counter& counter) {
    values[std::string(name.name) + std::string(name.labels)] = counter.value();
  });
  std::string lower;
  ForEach(now.counters, [&](const SeriesName& name, const Counter& counter) {
    if (counter.value() < values[std::string(name.name) + std::string(name.labels)]) lower = name.name;
  });
  return lower;
}

Settings SettingsWithUsers(std::size_t workers) {
  Users::Draft draft(RandomKey());
  std::string error;
  REQUIRE(draft.AddText("alice:{plain}right\n", "users", &error));
  Settings settings = TestSettings();
  settings.workers = workers;
  settings.policy.users = draft.Finish();
  return settings;
}

// One client after the other, of all kinds, until `done`.
void RunClients(const TestGateway& gateway, std::uint64_t seed, const std::atomic<bool>& done) {
  const TargetListener listener;
  const ClosedPort closed;
  const UdpPeer udp_target;
  const auto logged_in = [&] {
    Peer client = gateway.Client();
    client.Send(LoginOf("alice", "right"));
    if (client.Receive(4) != kLoginAccepted) throw std::runtime_error("the login was not accepted");
    return client;
  };
  while (!done.load(std::memory_order_relaxed)) {
    switch (NextRandom(seed) % 8) {
      case 0: {  // relays, and closes in order or with a reset
        Peer client = logged_in();
        client.Send(ConnectRequest(listener.at()));
        Peer target = listener.Accept();
        client.Receive(10);
        client.Send("ping");
        target.Send(target.Receive(4));
        client.Receive(4);
        if (NextRandom(seed) % 2 == 0) client.Abort();
        break;
      }
      case 1: {  // its target refuses
        const Peer client = logged_in();
        client.Send(ConnectRequest(closed.at()));
        client.ReceiveToClose();
        break;
      }
      case 2: {  // wrong password
        const Peer client = gateway.Client();
        client.Send(LoginOf("alice", "wrong"));
        client.ReceiveToClose();
        break;
      }
      case 3: {  // another protocol
        const Peer client = gateway.Client();
        client.Send("GET / HTTP/1.0\r\n\r\n");
        client.ReceiveToClose();
        break;
      }
      case 4: {  // leaves early
        const Peer client = gateway.Client();
        client.Send("05"_hex);
        break;
      }
      case 5: {  // a name from a name server, or none
        const Peer client = logged_in();
        const bool known = NextRandom(seed) % 2 == 0;
        client.Send(ConnectRequest((known ? "known" : "n" + std::to_string(NextRandom(seed))) + ".example", 1));
        client.ReceiveToClose();
        break;
      }
      case 6: {  // datagrams
        const Peer client = logged_in();
        client.Send(AssociateRequest());
        client.Receive(10);
        break;
      }
      default: {  // a port for a peer that never connects
        const Peer client = logged_in();
        client.Send(BindRequest(*Endpoint::Parse("127.0.0.1:0")));
        client.Receive(10);
        break;
      }
    }
  }
}

TEST_CASE("survey: under load, every snapshot satisfies every identity, and no counter goes down") {
  DnsServer dns;
  dns.Add("known.example", "127.0.0.1");
  const TempDirectory directory;
  Settings settings = SettingsWithUsers(2);
  settings.listen.push_back(settings.listen.front());
  settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf());
  settings.names.families = Families{true, false};
  const TestGateway gateway(settings);
  std::atomic<bool> done{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> clients;
  for (std::uint64_t i = 0; i < 4; ++i) {
    clients.emplace_back([&, seed = RunSeed() + i]() mutable {
      try {
        RunClients(gateway, seed, done);
      } catch (const std::exception& failure) {
        if (!done) failed.fetch_add(1);
        MESSAGE(failure.what());
      }
    });
  }
  Totals before = gateway.server().Survey();
  std::string broken;
  const Stopwatch watch;
  std::size_t snapshots = 0;
  while (broken.empty() && failed == 0 && (snapshots < 500 || before.counters.accepted.value() < 500)) {
    const Totals now = gateway.server().Survey();
    broken = BrokenIdentity(now);
    if (broken.empty()) broken = LowerCounter(before, now);
    if (now.workers_missing > 0) broken = "a worker did not answer";
    before = now;
    ++snapshots;
    if (watch.elapsed() > kTestTimeout) break;
    if (snapshots % 7 == 0) gateway.server().EndSessions({.state = SessionState::kBinding});
  }
  done = true;
  for (std::thread& client : clients) client.join();
  CHECK(broken == "");
  CHECK(failed == 0);
  CHECK(before.counters.accepted.value() > 0);
  CHECK(gateway.WaitForSessions(0));
  const Totals rest = gateway.server().Survey();
  CHECK(BrokenIdentity(rest) == "");
  CHECK(rest.counters.accepted.value() == SumOf(rest.counters.ended));
  CHECK(rest.counters.relays_begun.value() > 0);
  CHECK(rest.counters.durations.turns.observations() > rest.counters.accepted.value() / 100);
}

TEST_CASE("survey: the totals of a worker that has ended stay in the sum, and its list is empty") {
  Settings settings = TestSettings();
  settings.workers = 3;
  TestGateway gateway(settings);
  const TargetListener listener;
  for (int i = 0; i < 6; ++i) gateway.Open(listener);
  CHECK(gateway.WaitForSessions(0));
  const auto last = gateway.Open(listener);
  gateway.server().Drain();  // two of the workers have nothing left to do
  CHECK(WaitUntil([&] {
    const Totals totals = gateway.server().Survey();
    CHECK(BrokenIdentity(totals) == "");
    CHECK(totals.workers_missing == 0);
    return totals.counters.accepted.value() == 7 && SumOf(totals.counters.ended) == 6;
  }));
  const SessionList list = gateway.server().Sessions({}, 10);
  CHECK(list.complete);
  CHECK(list.rows.size() == 1);
  CHECK(gateway.server().EndSessions({}).count == 1);
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
  CHECK(SumOf(gateway.server().Survey().counters.ended) == 7);
  CHECK(gateway.server().Sessions({}, 10).rows.empty());
  CHECK(gateway.server().EndSessions({}).complete);
}

TEST_CASE("survey: a worker that does not answer is missing after a second, with its last totals; later it answers") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  CHECK(gateway.server().Survey().counters.accepted.value() == 1);
  {
    const HeldThread held("worker");
    const Stopwatch watch;
    const Totals totals = gateway.server().Survey();
    CHECK(watch.elapsed() >= kAnswerTimeout);
    CHECK(totals.workers_missing == 1);
    CHECK(totals.counters.accepted.value() == 1);
    CHECK(BrokenIdentity(totals) == "");
    CHECK_FALSE(gateway.server().Sessions({}, 10).complete);
    CHECK_FALSE(gateway.server().EndSessions({.user = "nobody"}).complete);
  }
  const Totals totals = gateway.server().Survey();
  CHECK(totals.workers_missing == 0);
  CHECK(totals.counters.accepted.value() == 1);
  CHECK(gateway.server().Sessions({}, 10).rows.size() == 1);
  PingPong(session, 1);
}

TEST_CASE("survey: a row says who asked for what, and how much has been moved") {
  Settings settings = SettingsWithUsers(1);
  settings.store_names = true;
  const TempDirectory directory;
  settings.names.hosts_file = directory.Write("hosts", "127.0.0.1 target.example\n");
  const TestGateway gateway(settings);
  const TargetListener listener;
  const Peer client = gateway.Client();
  client.Send(LoginOf("alice", "right") + ConnectRequest("Target.example", listener.at().port));
  const Peer target = listener.Accept();
  client.Receive(4 + 10);
  client.Send("12345");
  target.Receive(5);
  target.Send("123");
  client.Receive(3);
  const Peer silent = gateway.Client();
  CHECK(WaitUntil([&] { return gateway.server().Sessions({}, 10).rows.size() == 2; }));

  const SessionList list = gateway.server().Sessions({.state = SessionState::kRelay}, 10);
  REQUIRE(list.rows.size() == 1);
  CHECK_FALSE(list.next.has_value());
  const SessionRow& row = list.rows.front();
  CHECK(row.client == client.local());
  CHECK(row.user == "alice");
  CHECK(row.command == Command::kConnect);
  CHECK(row.asked == "Target.example");
  CHECK(row.port == listener.at().port);
  CHECK(row.target == listener.at());
  CHECK(row.bytes_up == 5);
  CHECK(row.bytes_down == 3);
  CHECK(row.age >= std::chrono::nanoseconds(0));
  CHECK(row.age < kTestTimeout);
  CHECK(gateway.server().Sessions({.id = row.id}, 10).rows.size() == 1);
  CHECK(gateway.server().Sessions({.target_name = Domain::Parse(".example")}, 10).rows.size() == 1);
  CHECK(gateway.server().Sessions({.target = Prefix::Parse("127.0.0.1")}, 10).rows.size() == 1);
  CHECK(gateway.server().Sessions({.user = "bob"}, 10).rows.empty());

  const SessionList other = gateway.server().Sessions({.state = SessionState::kNego}, 10);
  REQUIRE(other.rows.size() == 1);
  CHECK(other.rows.front().client == silent.local());
  CHECK(other.rows.front().user == "");
  CHECK_FALSE(other.rows.front().command.has_value());
  CHECK(other.rows.front().asked == "");
  CHECK_FALSE(other.rows.front().target.has_value());
}

TEST_CASE("survey: a list over 3,000 sessions comes in pieces, each session once") {
  Settings settings = TestSettings();
  settings.workers = 2;
  const TestGateway gateway(settings);
  std::vector<Peer> clients;
  for (int i = 0; i < 3'000; ++i) clients.push_back(gateway.Client());
  REQUIRE(gateway.WaitForSessions(clients.size()));
  std::map<std::uint16_t, int> seen;  // by the client's port
  std::optional<SessionId> after;
  std::size_t lists = 0;
  do {
    const SessionList list = gateway.server().Sessions({.state = SessionState::kNego}, 700, after);
    CHECK(list.complete);
    CHECK(list.rows.size() <= 700);
    for (const SessionRow& row : list.rows) ++seen[row.client.port];
    after = list.next;
    ++lists;
  } while (after.has_value());
  CHECK(lists == 5);
  CHECK(seen.size() == clients.size());
  for (const Peer& client : clients) CHECK(seen[client.local().port] == 1);

  CHECK(gateway.server().EndSessions({.state = SessionState::kNego}).count == clients.size());
  CHECK(gateway.WaitForSessions(0));
  CHECK(gateway.server().Survey().counters.ended[static_cast<std::size_t>(SessionEnd::kKilled) - 1].value() ==
        clients.size());
}

TEST_CASE("survey: a session that is ended by its id resets both sides, and the id ends nobody else") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto first = gateway.Open(listener);
  const SessionList list = gateway.server().Sessions({}, 1);
  REQUIRE(list.rows.size() == 1);
  const SessionId id = list.rows.front().id;
  const auto second = gateway.Open(listener);
  CHECK(gateway.server().EndSessions({.id = id}).count == 1);
  CHECK(first.client.ReceiveToReset().empty());
  CHECK(first.target.ReceiveToReset().empty());
  const auto third = gateway.Open(listener);  // in the slot of the first
  CHECK(gateway.server().EndSessions({.id = id}).count == 0);
  CHECK(gateway.server().EndSessions({.id = SessionId{7, id.handle}}).count == 0);
  PingPong(second, 1);
  PingPong(third, 1);
  CHECK(gateway.server().sessions() == 2);
  CHECK(gateway.Count(&Counters::relays_killed) == 1);
  CHECK(WaitUntil([&] { return gateway.LogText().find("end=killed") != std::string::npos; }));
}

TEST_CASE("survey: sessions in every state are ended by a filter, and the others continue") {
  const TestGateway gateway;
  const TargetListener listener;
  const SilentTarget silent_target;
  const Peer greeted = gateway.GreetedClient();
  const Peer connecting = gateway.GreetedClient();
  connecting.Send(ConnectRequest(silent_target.at()));
  const Peer binding = gateway.GreetedClient();
  binding.Send(BindRequest(*Endpoint::Parse("127.0.0.1:0")));
  binding.Receive(10);
  const Peer associated = gateway.GreetedClient();
  associated.Send(AssociateRequest());
  associated.Receive(10);
  const auto relay = gateway.Open(listener);
  REQUIRE(WaitUntil([&] { return gateway.server().sessions(SessionState::kConnecting) == 1; }));
  CHECK(gateway.server().EndSessions({.client = Prefix::Parse("192.0.2.1")}).count == 0);
  for (const SessionState state :
       {SessionState::kRequest, SessionState::kConnecting, SessionState::kBinding, SessionState::kAssociated}) {
    CHECK(gateway.server().EndSessions({.state = state}).count == 1);
  }
  for (const Peer* client : {&greeted, &connecting, &binding, &associated}) CHECK(client->ReceiveToReset().empty());
  PingPong(relay, 1);
  CHECK(gateway.server().EndSessions({.client = Prefix::Parse("127.0.0.0/8"), .command = Command::kConnect}).count ==
        1);
  CHECK(relay.client.ReceiveToReset().empty());
  CHECK(gateway.server().sessions() == 0);
  CHECK(BrokenIdentity(gateway.server().Survey()) == "");
}

TEST_CASE("survey: each request is counted once, with its last reply") {
  const TestGateway gateway;
  const TargetListener listener;
  const ClosedPort closed;
  gateway.Open(listener);
  gateway.AnswerTo(ConnectRequest(closed.at()));
  gateway.AnswerTo("05 09 00 01 00 00 00 00 00 00"_hex);
  const Peer client = gateway.GreetedClient();
  client.Send(BindRequest(*Endpoint::Parse("127.0.0.1:0")));
  client.Receive(10);
  const Counters first = gateway.server().Survey().counters;
  CHECK(first.replies[0][0].value() == 1);
  CHECK(first.replies[0][5].value() == 1);
  CHECK(SumOf(first.replies[1]) == 0);
  CHECK(first.replies[Counters::kUnknownCommand][7].value() == 1);
  const SessionList list = gateway.server().Sessions({.command = Command::kBind}, 1);
  REQUIRE(list.rows.size() == 1);
  CHECK(list.rows.front().state == SessionState::kBinding);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
