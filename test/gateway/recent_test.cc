// What workers keep for the admin interface of sessions that have ended: the last ones, and the targets with most
// bytes. Both agree with the log and with the counters.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/socks5.h"
#include "penstock/policy/rule_text.h"
#include "penstock/policy/rules.h"
#include "test/support/admin.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("recent");

Settings SettingsWithAdmin(std::size_t workers) {
  Settings settings = TestSettings();
  settings.workers = workers;
  settings.store_names = true;
  settings.admin.addresses = {kLoopback};  // main would listen there
  return settings;
}

RecentList Recent(const TestGateway& gateway, std::size_t limit = kRecentSessions) {
  return gateway.server().RecentEndings(limit);
}

// A relay that ends in order after `up` and `down` bytes. Its target is what the client asks for.
void Relay(const TestGateway& gateway, const std::string& request, const TargetListener& listener, std::size_t up,
           std::size_t down) {
  const Peer client = gateway.GreetedClient();
  client.Send(request);
  const Peer target = listener.Accept();
  client.Receive(10);
  client.Send(std::string(up, 'u'));
  target.Receive(up);
  target.Send(std::string(down, 'd'));
  client.Receive(down);
}

TEST_CASE("recent: a session that has ended says who asked for what, how it ended, and for how long it lasted") {
  const TestGateway gateway(SettingsWithAdmin(2));
  const TargetListener listener;
  Relay(gateway, ConnectRequest(listener.at()), listener, 5, 3);
  CHECK(gateway.WaitForSessions(0));
  const ClosedPort closed;
  gateway.AnswerTo(ConnectRequest(closed.at()));
  CHECK(gateway.WaitForSessions(0));

  const RecentList list = Recent(gateway);
  CHECK(list.complete);
  REQUIRE(list.sessions.size() == 2);
  CHECK(list.sessions[0].ended >= list.sessions[1].ended);
  const RecentSession& refused = list.sessions[0];
  CHECK(refused.reply == Outcome::kRefused);
  CHECK(refused.end == SessionEnd::kRefused);
  CHECK(refused.row.state == SessionState::kClosing);
  CHECK_FALSE(refused.row.target.has_value());
  CHECK(refused.row.port == closed.at().port);
  const RecentSession& relayed = list.sessions[1];
  CHECK(relayed.reply == Outcome::kSucceeded);
  CHECK(relayed.end == SessionEnd::kClosed);
  CHECK(relayed.row.command == Command::kConnect);
  CHECK(relayed.row.asked == "127.0.0.1");
  CHECK(relayed.row.target == listener.at());
  CHECK(relayed.row.bytes_up == 5);
  CHECK(relayed.row.bytes_down == 3);
  CHECK(relayed.row.age >= std::chrono::nanoseconds(0));
  CHECK(Recent(gateway, 1).sessions.size() == 1);
  CHECK(Recent(gateway, 1).sessions[0].row.id == refused.row.id);
}

TEST_CASE("recent: without an admin interface nothing is kept") {
  const TestGateway gateway;
  const TargetListener listener;
  PingPong(gateway.Open(listener), 1);
  CHECK(gateway.WaitForSessions(0));
  CHECK(Recent(gateway).complete);
  CHECK(Recent(gateway).sessions.empty());
  CHECK(gateway.server().Targets(10).rows.empty());
}

TEST_CASE("recent: the list has the last 1,024 of all workers, in the order of their end") {
  const TestGateway gateway(SettingsWithAdmin(3));
  std::vector<std::uint16_t> ports;  // of the clients, in the order of their end
  for (std::size_t i = 0; i < kRecentSessions + 100; ++i) {
    Peer client = gateway.Client();
    ports.push_back(client.local().port);
    client.Send("GET / HTTP/1.0\r\n\r\n");
    client.ReceiveToEnd();
    client.Close();
    REQUIRE(gateway.WaitForSessions(0));
  }
  const RecentList list = Recent(gateway);
  CHECK(list.complete);
  CHECK(list.sessions.size() == kRecentSessions);
  std::vector<std::uint16_t> kept;
  for (const RecentSession& session : list.sessions) kept.push_back(session.row.client.port);
  std::ranges::reverse(ports);
  ports.resize(kRecentSessions);
  CHECK((kept == ports));
}

TEST_CASE("recent: the endings of a worker that has ended stay, and one that does not answer is missing") {
  TestGateway gateway(SettingsWithAdmin(1));
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  {
    const HeldThread held("worker");
    CHECK_FALSE(Recent(gateway).complete);
    CHECK_FALSE(gateway.server().Targets(10).complete);
  }
  gateway.Stop();
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
  const RecentList list = Recent(gateway);
  REQUIRE(list.sessions.size() == 1);
  CHECK(list.sessions[0].end == SessionEnd::kStopped);
  CHECK(list.sessions[0].row.state == SessionState::kRelay);
  CHECK(gateway.server().Targets(10).rows.size() == 1);
}

TEST_CASE("targets: the bytes of a target are those of all its sessions, ended or alive, of all workers") {
  const TempDirectory directory;
  Settings settings = SettingsWithAdmin(3);
  settings.names.hosts_file = directory.Write("hosts", "127.0.0.1 target.example\n");
  const TestGateway gateway(settings);
  const TargetListener listener;
  const std::string port = std::to_string(listener.at().port);
  for (int i = 0; i < 10; ++i) {
    Relay(gateway, ConnectRequest(i % 2 == 0 ? "target.example" : "Target.Example", listener.at().port), listener, 100,
          200);
  }
  Relay(gateway, ConnectRequest(listener.at()), listener, 1, 0);
  CHECK(gateway.WaitForSessions(0));
  const auto alive = gateway.Open(listener);
  PingPong(alive, 1);
  const TargetList list = gateway.server().Targets(10);
  CHECK(list.complete);
  REQUIRE(list.rows.size() == 2);
  CHECK(list.rows[0].target == "target.example:" + port);
  CHECK(list.rows[0].sessions == 10);
  CHECK(list.rows[0].bytes_up == 1'000);
  CHECK(list.rows[0].bytes_down == 2'000);
  CHECK(list.rows[0].error == 0);
  CHECK(list.rows[1].target == "127.0.0.1:" + port);
  CHECK(list.rows[1].sessions == 2);
  const SessionList live = gateway.server().Sessions({}, 10);
  REQUIRE(live.rows.size() == 1);
  CHECK(list.rows[1].bytes_up == 1 + live.rows[0].bytes_up);
  CHECK(list.rows[1].bytes_down == live.rows[0].bytes_down);
  CHECK(gateway.server().Targets(1).rows.size() == 1);
}

// What the log and the list say about a session, in one form.
struct Ending {
  std::string client, user, command, asked, target, rule, reply, up, down, seconds, end;

  auto operator<=>(const Ending&) const = default;
};

// From an object of /api/v1/recent. No value in this test has a quote or a bracket.
Ending EndingOfJson(std::string_view object) {
  const auto value = [object](std::string_view key) {
    const std::string begin = '"' + std::string(key) + "\":";
    const std::size_t at = object.find(begin);
    REQUIRE(at != std::string_view::npos);
    std::string_view rest = object.substr(at + begin.size());
    if (rest.starts_with("null")) return std::string();
    if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of(",}")));
    rest.remove_prefix(1);
    return std::string(rest.substr(0, rest.find('"')));
  };
  Ending ending{value("client"), value("user"), value("command"), value("asked"),    value("target"), value("rule"),
                value("reply"),  value("up"),   value("down"),    value("duration"), value("end")};
  const std::size_t colon = ending.asked.rfind(':');
  if (ending.command == "connect") ending.asked[colon] = ' ';
  if (ending.command == "bind") ending.asked.resize(colon);
  const auto* const word = std::ranges::find(socks5::kReplyWords, ending.reply);
  if (!ending.reply.empty()) ending.reply = std::to_string(word - socks5::kReplyWords.begin());
  return ending;
}

// From the line of the log. No value in this test has a blank.
std::optional<Ending> EndingOf(std::string_view line) {
  if (line.find(" info session ") == std::string_view::npos) return std::nullopt;
  const auto value = [line](std::string_view key) {
    const std::string begin = ' ' + std::string(key) + '=';
    const std::size_t at = line.find(begin);
    if (at == std::string_view::npos) return std::string();
    const std::string_view rest = line.substr(at + begin.size());
    return std::string(rest.substr(0, rest.find(' ')));
  };
  Ending ending{value("client"), value("user"), value("command"), value("asked"),   value("target"), value("rule"),
                value("reply"),  value("up"),   value("down"),    value("seconds"), value("end")};
  if (ending.command == "connect") ending.asked += ' ' + value("port");
  if (ending.command == "udp-associate") ending.asked.clear();  // it names no target
  return ending;
}

std::vector<Ending> EndingsOfLog(std::string_view text) {
  std::vector<Ending> endings;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    if (const auto ending = EndingOf(text.substr(0, end))) endings.push_back(*ending);
    text.remove_prefix(end + 1);
  }
  std::ranges::sort(endings);
  return endings;
}

std::vector<Ending> EndingsOfList(std::string_view json) {
  std::vector<Ending> endings;
  for (std::size_t at = 0; (at = json.find("{\"id\":", at)) != std::string_view::npos; ++at) {
    endings.push_back(EndingOfJson(json.substr(at, json.find('}', at) - at + 1)));
  }
  std::ranges::sort(endings);
  return endings;
}

// Runs one session of a kind that depends on `i`, to its end or to the point where it ends by itself.
void RunSession(const TestGateway& gateway, int i, const TargetListener& listener, const ClosedPort& closed,
                const UdpPeer& udp_target, std::uint64_t& seed) {
  const std::size_t up = NextRandom(seed) % 20'000;
  const std::size_t down = NextRandom(seed) % 20'000;
  switch (i % 8) {
    case 0:
      return Relay(gateway, ConnectRequest(listener.at()), listener, up, down);
    case 1:
      return Relay(gateway, ConnectRequest("target.example", listener.at().port), listener, up, down);
    case 2: {  // one side breaks
      auto [client, target] = gateway.Open(listener);
      client.Send(std::string(up, 'u'));
      target.Receive(up);
      (i % 16 == 2 ? client : target).Abort();
      break;
    }
    case 3:  // its target refuses
      CHECK(gateway.AnswerTo(ConnectRequest(closed.at())) == Refusal(5));
      break;
    case 4:  // a rule denies it
      CHECK(gateway.AnswerTo(ConnectRequest("denied.example", 80)) == Refusal(2));
      break;
    case 5: {  // the operator ends it
      const auto session = gateway.Open(listener);
      session.client.Send(std::string(up, 'u'));
      session.target.Receive(up);
      std::size_t ended = 0;
      for (const SessionRow& row : gateway.server().Sessions({.state = SessionState::kRelay}, 100).rows) {
        if (row.client == session.client.local()) ended += gateway.server().EndSessions({.id = row.id}).count;
      }
      CHECK(ended == 1);
      break;
    }
    case 6: {  // datagrams
      const UdpClient client(gateway);
      for (std::size_t left = up % 5 + 1; left > 0; --left)
        client.PingPong(udp_target, std::string(1 + down % 1'000, 'd'));
      break;
    }
    default: {  // a peer connects
      const Peer client = gateway.GreetedClient();
      client.Send(BindRequest(kLoopback));
      const Peer peer = Peer::To(ReceiveBound(client));
      client.Receive(10);
      client.Send(std::string(up, 'u'));
      peer.Receive(up);
      peer.Send(std::string(down, 'd'));
      client.Receive(down);
      break;
    }
  }
}

// The identities between the endings in `log` and what the workers have counted.
void CheckCounters(const std::vector<Ending>& log, const Counters& counters) {
  std::uint64_t up[2]{}, down[2]{};  // TCP, UDP
  std::map<std::string, std::uint64_t> ends, replies;
  for (const Ending& ending : log) {
    const bool udp = ending.command == "udp-associate";
    up[udp] += std::stoull(ending.up);
    down[udp] += std::stoull(ending.down);
    ++ends[ending.end];
    if (!ending.reply.empty()) ++replies[ending.command + ' ' + ending.reply];
  }
  CHECK(counters.bytes_up.value() == up[0]);
  CHECK(counters.bytes_down.value() == down[0]);
  CHECK(counters.datagram_bytes_up.value() == up[1]);
  CHECK(counters.datagram_bytes_down.value() == down[1]);
  for (std::size_t end = 0; end < counters.ended.size(); ++end) {
    const std::string_view word = Describe(static_cast<SessionEnd>(end + 1));
    CAPTURE(word);
    CHECK(counters.ended[end].value() == ends[std::string(word)]);
  }
  for (std::size_t command = 0; command < std::size(kCommandWords); ++command) {
    for (std::size_t rep = 0; rep < counters.replies[command].size(); ++rep) {
      const std::string key = std::string(kCommandWords[command]) + ' ' + std::to_string(rep);
      CAPTURE(key);
      CHECK(counters.replies[command][rep].value() == replies[key]);
    }
  }
}

void CheckTargets(const std::vector<Ending>& log, const TargetList& list) {
  struct Sum {
    std::uint64_t sessions = 0, up = 0, down = 0;
    bool operator==(const Sum&) const = default;
  };
  std::map<std::string, Sum> expected, listed;
  for (const Ending& ending : log) {
    if (ending.command != "connect") continue;
    std::string target = ending.asked;
    std::ranges::replace(target, ' ', ':');
    Sum& sum = expected[target];
    ++sum.sessions;
    sum.up += std::stoull(ending.up);
    sum.down += std::stoull(ending.down);
  }
  for (const TargetRow& row : list.rows) {
    listed[row.target] = {row.sessions, row.bytes_up, row.bytes_down};
    CHECK(row.error == 0);
  }
  CHECK((listed == expected));
}

TEST_CASE("recent: of a thousand sessions of all kinds, log, list, targets and counters agree to the byte") {
  const TempDirectory directory;
  Settings settings = SettingsWithAdmin(3);
  settings.names.hosts_file = directory.Write("hosts", "127.0.0.1 target.example denied.example\n");
  settings.handshake_timeout = std::chrono::seconds(4);
  settings.connect_timeout = std::chrono::seconds(4);
  RuleText rules;
  REQUIRE_FALSE(rules.AddRule(false, " target denied.example", "test").has_value());
  settings.policy.rules = std::make_shared<const RuleSet>(rules);
  const TestGateway gateway(settings);
  const TargetListener listener;
  const ClosedPort closed;
  const SilentTarget silent_target;
  const UdpPeer udp_target;
  std::uint64_t seed = RunSeed();
  constexpr std::size_t kSessions = 1'000;
  std::vector<Peer> waiting;  // for timeouts
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(gateway.GreetedClient());
    if (i % 2 == 0) waiting.back().Send(ConnectRequest(silent_target.at()));
  }
  for (std::size_t i = waiting.size(); i < kSessions; ++i) {
    RunSession(gateway, static_cast<int>(i), listener, closed, udp_target, seed);
  }
  for (const Peer& client : waiting) client.ReceiveToClose();
  CHECK(gateway.WaitForSessions(0));
  std::vector<Ending> log;
  CHECK(WaitUntil([&] {
    log = EndingsOfLog(gateway.LogText());
    return log.size() == kSessions;
  }));
  const AdminOf admin(gateway);
  const Answer recent = admin.Get("/api/v1/recent");
  CHECK(recent.status == 200);
  CHECK(recent.body.ends_with("],\"complete\":true}\n"));
  const std::vector<Ending> listed = EndingsOfList(recent.body);
  CHECK(listed.size() == kSessions);
  std::size_t different = 0;
  for (std::size_t i = 0; i < std::min(log.size(), listed.size()); ++i) {
    if (log[i] != listed[i]) ++different;
  }
  CHECK(different == 0);
  const Totals totals = gateway.server().Survey();
  CHECK(totals.counters.accepted.value() == kSessions);
  CheckCounters(log, totals.counters);
  CheckTargets(log, gateway.server().Targets(kTopTargets));
  for (const SessionEnd end : {SessionEnd::kClosed, SessionEnd::kReset, SessionEnd::kRefused, SessionEnd::kKilled,
                               SessionEnd::kHandshakeExpired}) {
    CHECK(totals.counters.ended[static_cast<std::size_t>(end) - 1].value() > 0);
  }
}

TEST_CASE("recent: the routes say what is wrong with a parameter, and the limit holds") {
  const TestGateway gateway(SettingsWithAdmin(2));
  const TargetListener listener;
  const AdminOf admin(gateway);
  CHECK(admin.Get("/api/v1/recent").body == "{\"recent\":[],\"complete\":true}\n");
  CHECK(admin.Get("/api/v1/targets").body == "{\"targets\":[],\"complete\":true}\n");
  for (int i = 0; i < 3; ++i) Relay(gateway, ConnectRequest(listener.at()), listener, 10, 20);
  CHECK(gateway.WaitForSessions(0));
  CHECK(EndingsOfList(admin.Get("/api/v1/recent?limit=2").body).size() == 2);
  CHECK(EndingsOfList(admin.Get("/api/v1/recent").body).size() == 3);
  CHECK(admin.Get("/api/v1/targets").body == "{\"targets\":[{\"target\":\"" + listener.at().ToString() +
                                                 "\",\"sessions\":3,\"up\":30,\"down\":60,\"error\":0}],"
                                                 "\"complete\":true}\n");
  for (const std::string_view wrong : {"limit=0", "limit=1025", "limit=", "limit=1&limit=2", "first=1", "limit=x"}) {
    CAPTURE(wrong);
    CHECK(admin.Get("/api/v1/recent?" + std::string(wrong)).status == 400);
  }
  CHECK(admin.Get("/api/v1/targets?limit=1").status == 400);
}

// The next event of a stream, up to its empty line.
std::string ReceiveSummary(const Peer& client) {
  std::string event;
  while (!event.ends_with("\n\n")) event += client.Receive(1);
  return event;
}

TEST_CASE("events: each second a reader gets a summary of the gateway, and its end is noticed") {
  const TestGateway gateway(SettingsWithAdmin(2));
  const TargetListener listener;
  const AdminOf admin(gateway);
  const Peer reader = admin.Client();
  reader.Send(RequestFor("/api/v1/events"));
  std::string head;
  while (!head.ends_with("\r\n\r\n")) head += reader.Receive(1);
  CHECK(head.starts_with("HTTP/1.1 200 "));
  CHECK(head.find("\r\nContent-Type: text/event-stream\r\n") != std::string::npos);
  const auto has = [](const std::string& event, std::string_view part) {
    return event.find(part) != std::string::npos;
  };
  const std::string first = ReceiveSummary(reader);
  CHECK(first.starts_with("event: summary\ndata: {\"time\":"));
  CHECK(std::ranges::count(first, '\n') == 3);
  for (const std::string_view part : {"\"info\":{\"version\":", "\"errors\":{\"replies\":",
                                      "\"workers\":[{\"worker\":0,", "\"dns\":{\"lookups\":", "\"live\":0,"}) {
    CAPTURE(part);
    CHECK(has(first, part));
  }
  const auto session = gateway.Open(listener);
  CHECK(WaitUntil([&] { return has(ReceiveSummary(reader), "\"live\":1,"); }));
  CHECK(admin.Get("/api/v1/events?limit=1").status == 400);
}

TEST_CASE("events: 17 readers are one too many") {
  const TestGateway gateway(SettingsWithAdmin(1));
  const AdminOf admin(gateway);
  std::vector<Peer> readers;
  for (std::size_t i = 0; i < kEventReadersMax; ++i) {
    readers.push_back(admin.Client());
    readers.back().Send(RequestFor("/api/v1/events"));
    CHECK(readers.back().Receive(12) == "HTTP/1.1 200");
  }
  const Answer refusal = admin.Get("/api/v1/events");
  CHECK(refusal.status == 503);
  CHECK(refusal.body == "{\"error\":\"16 clients read the events already\"}\n");
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
