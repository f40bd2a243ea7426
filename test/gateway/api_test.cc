// The routes of /api/v1 of a gateway with real sessions: what they show, what they end, and what hostile clients can
// make of them.
#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/login/users.h"
#include "penstock/os/random.h"
#include "test/support/admin.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"
#include "test/support/process.h"
#include "test/support/temp_directory.h"
#include "test/support/wait.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("api");

bool Contains(const Answer& answer, std::string_view part) {
  CAPTURE(answer.body);
  CAPTURE(part);
  const bool found = answer.body.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

// The value of the first "id" in the answer.
std::string FirstId(const Answer& answer) {
  constexpr std::string_view kBegin = R"("id":")";
  const std::size_t at = answer.body.find(kBegin) + kBegin.size();
  return answer.body.substr(at, answer.body.find('"', at) - at);
}

std::size_t Rows(const Answer& answer) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = answer.body.find(R"("id":")", at)) != std::string::npos; ++at) ++count;
  return count;
}

Settings WithNames() {
  Settings settings = TestSettings();
  settings.store_names = true;
  return settings;
}

TEST_CASE("api: /info, /errors, /dns and /workers show what clients have done") {
  Settings settings = WithNames();
  settings.workers = 2;
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  const TargetListener listener;
  const ClosedPort closed;
  PingPong(gateway.Open(listener), 1);
  gateway.AnswerTo(ConnectRequest(closed.at()));
  gateway.AnswerTo(ConnectRequest("nothing.invalid", 1));
  CHECK(gateway.WaitForSessions(0));
  const auto session = gateway.Open(listener);

  const Answer info = admin.Get("/api/v1/info");
  CHECK(info.status == 200);
  CHECK(info.head.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  Contains(info, R"("phase":"serving","ready":true,"reason":null,"listening":[")" + gateway.at().ToString() + "\"]");
  Contains(info, R"("workers":2,"workers_missing":0,"sessions":{"live":1,)");
  Contains(info, R"("relay":1,)");
  Contains(info, R"({"name":"max-connections","used":1,"limit":)" +
                     std::to_string(gateway.server().settings().connections_max) + '}');
  Contains(info, R"({"name":"descriptors","used":)");
  Contains(info, R"("totals":{"accepted":4,"refused":0,"ended":3,"logins_failed":0,)");

  const Answer errors = admin.Get("/api/v1/errors");
  Contains(errors, R"("replies":{"succeeded":2,)");
  Contains(errors, R"("host-unreachable":1,"connection-refused":1,)");
  Contains(errors, R"("ends":{"closed":1,"reset":0,"refused":2,)");
  Contains(admin.Get("/api/v1/dns"), R"({"source":"hosts","result":"not-found","count":1})");
  const Answer workers = admin.Get("/api/v1/workers");
  Contains(workers, R"({"workers":[{"worker":0,"answers":true,"sessions":)");
  Contains(workers, R"({"worker":1,"answers":true,"sessions":)");
  for (const std::string_view path : {"/api/v1/info", "/api/v1/errors", "/api/v1/dns", "/api/v1/workers"}) {
    CHECK(admin.Get(std::string(path) + "?x=1").status == 400);
    CHECK(admin.Change("POST", path).status == 405);
  }
}

TEST_CASE("api: a session is listed with all its parts, alone by its id, and gone when it has ended") {
  Settings settings = WithNames();
  const TempDirectory directory;
  settings.names.hosts_file = directory.Write("hosts", "127.0.0.1 target.example\n");
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  const TargetListener listener;
  CHECK(admin.Get("/api/v1/sessions").body == "{\"sessions\":[],\"next\":null,\"complete\":true}\n");
  Peer client = gateway.GreetedClient();
  client.Send(ConnectRequest("target.example", listener.at().port));
  Peer target = listener.Accept();
  client.Receive(10);
  client.Send("12345");
  target.Receive(5);
  const std::string port = std::to_string(listener.at().port);
  const Answer list = admin.Get("/api/v1/sessions?state=relay&command=connect&client=127.0.0.0/8&target=.example");
  CHECK(list.status == 200);
  Contains(list, R"("client":")" + client.local().ToString() +
                     R"(","user":null,"command":"connect","asked":"target.example:)" + port +
                     R"(","target":"127.0.0.1:)" + port + R"(","state":"relay","up":5,"down":0,"rate":null,"age":)");
  const std::string id = FirstId(list);
  const Answer one = admin.Get("/api/v1/sessions/" + id);
  CHECK(one.status == 200);
  CHECK(one.body.starts_with("{\"id\":\"" + id + "\","));
  for (const std::string_view other : {"?user=alice", "?target=other.example", "?client=10.0.0.0/8", "?state=nego"}) {
    CHECK(Rows(admin.Get("/api/v1/sessions" + std::string(other))) == 0);
  }
  client.Close();
  target.Close();
  CHECK(gateway.WaitForSessions(0));
  CHECK(admin.Get("/api/v1/sessions/" + id).status == 404);
  CHECK(admin.Get("/api/v1/sessions/nonsense").status == 404);
  CHECK(admin.Get("/api/v1/sessions/" + id + "?x=1").status == 400);
}

TEST_CASE("api: a list comes in pieces, and sorted by age, bytes or rate") {
  Settings settings = WithNames();
  settings.workers = 2;
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 5; ++i) {
    sessions.push_back(gateway.Open(listener));
    const std::string bytes(static_cast<std::size_t>(10 * (i + 1)), 'x');
    sessions.back().client.Send(bytes);
    sessions.back().target.Receive(bytes.size());
  }
  std::set<std::string> seen;
  std::string query = "?limit=2";
  for (int pieces = 0; pieces < 3; ++pieces) {
    const Answer piece = admin.Get("/api/v1/sessions" + query);
    CHECK(Rows(piece) == (pieces < 2 ? 2 : 1));
    for (std::size_t at = piece.body.find("\"id\""); at != std::string::npos; at = piece.body.find("\"id\"", at + 1)) {
      seen.insert(piece.body.substr(at, piece.body.find(',', at) - at));
    }
    const std::size_t next = piece.body.find("\"next\":\"");
    CHECK((next != std::string::npos) == (pieces < 2));
    if (next != std::string::npos) {
      query = "?limit=2&after=" + piece.body.substr(next + 8, piece.body.find('"', next + 8) - next - 8);
    }
  }
  CHECK(seen.size() == 5);

  const auto first_of = [&](std::string_view sort) {
    const Answer sorted = admin.Get("/api/v1/sessions?limit=1&sort=" + std::string(sort));
    CHECK(Rows(sorted) == 1);
    Contains(sorted, "\"next\":null,\"complete\":true");
    return sorted;
  };
  Contains(first_of("bytes"), R"("up":50,)");
  Contains(first_of("age"), R"("up":10,)");
  Contains(first_of("rate"), R"("rate":null,)");
  // The third session moves bytes all the time, until a second has passed since the first list.
  const auto moves = [&] {
    PingPong(sessions[2], 1);
    const Answer sorted = admin.Get("/api/v1/sessions?limit=1&sort=rate");
    const std::string client = sessions[2].client.local().ToString();
    return sorted.body.find(client) != std::string::npos && sorted.body.find("\"rate\":null") == std::string::npos;
  };
  CHECK(WaitUntil(moves));
}

TEST_CASE("api: DELETE ends one session, or those that match, with a reset of both sides") {
  const TestGateway gateway;
  const AdminOf admin(gateway);
  const TargetListener listener;
  auto first = gateway.Open(listener);
  const std::string id = FirstId(admin.Get("/api/v1/sessions"));
  CHECK(admin.Change("DELETE", "/api/v1/sessions").status == 400);  // a mistake must not end all
  CHECK(admin.Change("DELETE", "/api/v1/sessions?limit=1").status == 400);
  CHECK(admin.Change("DELETE", "/api/v1/sessions?user=").status == 400);
  CHECK(admin.Change("DELETE", "/api/v1/sessions/").status == 404);
  CHECK(Ask(admin.Client(), RequestFor("/api/v1/sessions/" + id, "", "DELETE")).status == 401);
  PingPong(first, 1);
  CHECK(admin.Change("DELETE", "/api/v1/sessions/" + id).body == "{\"ended\":1}\n");
  first.client.ReceiveToReset();
  first.target.ReceiveToReset();
  CHECK(admin.Change("DELETE", "/api/v1/sessions/" + id).status == 404);
  const auto second = gateway.Open(listener);
  const auto third = gateway.Open(listener);
  const Peer waiting = gateway.GreetedClient();
  CHECK(admin.Change("DELETE", "/api/v1/sessions?state=relay&client=127.0.0.1").body == "{\"ended\":2}\n");
  CHECK(admin.Change("DELETE", "/api/v1/sessions?state=relay").body == "{\"ended\":0}\n");
  CHECK(Rows(admin.Get("/api/v1/sessions")) == 1);
  Contains(admin.Get("/api/v1/errors"), R"("killed":3,)");
}

// The bytes that a login and a request can carry, in a list of sessions.
TEST_CASE("api: hostile names of users and targets stay inside their strings") {
  Users::Draft draft(RandomKey());
  std::string error;
  REQUIRE(draft.AddText("alice:{plain}right\n", "users", &error));
  Settings settings = WithNames();
  settings.policy.users = draft.Finish();
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  std::vector<Peer> clients;
  for (int byte = 1; byte < 256; ++byte) {  // a name ends at its first NUL
    const std::string name = std::string(1, static_cast<char>(byte)) + "\",\"x\":[" + static_cast<char>(byte);
    clients.push_back(gateway.Client());
    clients.back().Send("05 01 02"_hex + '\x01' + static_cast<char>(name.size()) + name + "\x05wrong");
  }
  // A session whose login has failed stays until its client closes, so all names come into the list.
  Answer list;
  const auto shows_all = [&] {
    list = admin.Get("/api/v1/sessions?limit=1000&state=closing");
    return Rows(list) == clients.size();
  };
  CHECK(WaitUntil(shows_all));
  {
    CHECK(list.status == 200);
    for (const char c : list.body.substr(0, list.body.size() - 1)) {
      const auto byte = static_cast<unsigned char>(c);
      REQUIRE_FALSE(byte < ' ');
      REQUIRE(byte != 0x7f);
    }
    CHECK(list.body.find(R"(","x":[)") == std::string::npos);
  }
}

TEST_CASE("api: hostile paths and queries are refused, and the gateway goes on") {
  const TestGateway gateway;
  const AdminOf admin(gateway);
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  for (const std::string& query :
       {std::string("?limit=99999999999999999999"), std::string("?user=%00&user=%ff"), std::string("?%00=1"),
        std::string("?after=4294967295-0-0"), std::string("?after=0-4294967295-0"), std::string("?state=%22"),
        std::string("?client=::/0x"), std::string("?sort=age&limit=1&after=0-0-0"), std::string("?target=%0d%0a"),
        "?" + std::string(3'000, '&') + "x=1", "?client=" + std::string(5'000, '1'), std::string("?a=b&c=d#e")}) {
    CAPTURE(query);
    const Answer answer = admin.Get("/api/v1/sessions" + query);
    CHECK(answer.status == 400);
  }
  for (const std::string_view id : {"0-0", "0-0-0-0", "-1-0-0", "0-0-16777216", "4294967294-4294967294-16777215",
                                    "0-4294967294-0", "x", "..", "0-0-%00"}) {
    CAPTURE(id);
    CHECK(admin.Get("/api/v1/sessions/" + std::string(id)).status >= 400);
    CHECK(admin.Change("DELETE", "/api/v1/sessions/" + std::string(id)).status >= 400);
  }
  CHECK(Rows(admin.Get("/api/v1/sessions?after=4294967294-4294967294-16777215")) == 0);
  CHECK(Rows(admin.Get("/api/v1/sessions?user=%ff")) == 0);
  PingPong(session, 1);
}

TEST_CASE("api: drain refuses new clients and keeps sessions and ports; undrain serves on the same ports") {
  Settings settings = TestSettings();
  settings.workers = 2;
  settings.listen.push_back(kLoopback6);
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  for (int i = 0; i < 20; ++i) {
    CHECK(admin.Change("POST", "/api/v1/drain").body == "{\"phase\":\"draining\"}\n");
    for (std::size_t at = 0; at < 2; ++at) CHECK_THROWS(Peer::To(gateway.at(at)));
    CHECK(admin.Get("/readyz").status == 503);
    CHECK(admin.Get("/readyz").body == "draining\n");
    PingPong(session, 1);
    CHECK(admin.Change("POST", "/api/v1/undrain").body == "{\"phase\":\"serving\"}\n");
    for (std::size_t at = 0; at < 2; ++at) {
      const Peer client = Peer::To(gateway.at(at));
      client.Send("05 01 00"_hex);
      CHECK(client.Receive(2) == "05 00"_hex);
    }
    CHECK(admin.Get("/readyz").status == 200);
  }
  Contains(admin.Get("/api/v1/info"), R"("phase":"serving","ready":true,)");
  CHECK(admin.Change("POST", "/api/v1/drain").status == 200);
  CHECK(admin.Change("POST", "/api/v1/drain").status == 200);  // it drains already
  Contains(admin.Get("/api/v1/info"), R"("phase":"draining","ready":false,"reason":"draining",)");
  CHECK(admin.Change("POST", "/api/v1/undrain").status == 200);
  CHECK(admin.Change("POST", "/api/v1/undrain").status == 200);  // it serves already
}

TEST_CASE(
    "api: beside 9,000 sessions a scrape takes less than 10 ms, and with a list less than 20 ms of CPU time, both "
    "ends") {
  Settings settings = TestSettings();
  settings.workers = 2;
  settings.connections_max = 9'000;
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  std::vector<Peer> clients;
  for (std::size_t i = 0; i < settings.connections_max; ++i) clients.push_back(gateway.Client());
  REQUIRE(gateway.WaitForSessions(clients.size()));
  constexpr int kRounds = 15;
  const milliseconds used = CpuTime();
  milliseconds fastest = kTestTimeout;  // of some rounds, since other programs may use the CPUs
  for (int i = 0; i < kRounds; ++i) {
    const Stopwatch watch;
    Contains(admin.Get("/metrics"), "penstock_sessions{state=\"nego\"} 9000\n");
    fastest = std::min(fastest, watch.elapsed());
    CHECK(Rows(admin.Get("/api/v1/sessions?limit=500")) == 500);
  }
  CHECK(fastest < milliseconds(IsSanitized() ? 100 : 10));
  CHECK(CpuTime() - used < kRounds * milliseconds(IsSanitized() ? 200 : 20));
}

TEST_CASE("api: a gateway that drains without sessions stays, costs no CPU time, and stops when it is told to") {
  TestGateway gateway;
  const AdminOf admin(gateway);
  CHECK(admin.Change("POST", "/api/v1/drain").status == 200);
  const milliseconds used = CpuTime();
  const Peer idle = admin.Client();
  CHECK(idle.Silent(milliseconds(300)));
  CHECK(CpuTime() - used < milliseconds(IsSanitized() ? 250 : 100));
  CHECK_FALSE(gateway.server().finished());
  gateway.Drain();
  CHECK(WaitUntil([&] { return gateway.server().finished(); }));
  CHECK(admin.Change("POST", "/api/v1/drain").body == "{\"phase\":\"draining\"}\n");
  CHECK(admin.Change("POST", "/api/v1/undrain").status == 409);
  gateway.Stop();
  CHECK(admin.Change("POST", "/api/v1/drain").status == 409);
  CHECK(admin.Change("POST", "/api/v1/undrain").status == 409);
}

TEST_CASE("api: a client that was in the backlog before the drain is served") {
  const TestGateway gateway;
  const TargetListener listener;
  Peer client;
  {
    const HeldThread held("worker");
    client = gateway.Client();
    CHECK(gateway.server().Suspend());
  }
  client.Send("05 01 00"_hex + ConnectRequest(listener.at()));
  const Peer target = listener.Accept();
  CHECK(client.Receive(2) == "05 00"_hex);
  CHECK(gateway.server().Survey().workers_missing == 0);
  CHECK_THROWS(gateway.Client());
  CHECK(gateway.server().Resume());
  CHECK(gateway.server().Survey().workers_missing == 0);
  gateway.GreetedClient();
}

TEST_CASE("api: /reload answers with the outcome, and /config with the options") {
  const TestGateway gateway;
  AdminOf admin(gateway);
  CHECK(admin.Change("POST", "/api/v1/reload").body == "{\"reloaded\":true}\n");
  admin.operations().outcome = "penstock.conf:3: \"x\" is wrong";
  const Answer failed = admin.Change("POST", "/api/v1/reload");
  CHECK(failed.status == 422);
  CHECK(failed.body == "{\"reloaded\":false,\"error\":\"penstock.conf:3: \\\"x\\\" is wrong\"}\n");
  admin.operations().outcome.reset();
  const Answer slow = admin.Change("POST", "/api/v1/reload");
  CHECK(slow.status == 202);
  CHECK(slow.body.starts_with("{\"reloaded\":null,\"error\":"));
  CHECK(admin.Get("/api/v1/reload").status == 405);
  CHECK(admin.Change("POST", "/api/v1/reload?x=1").status == 400);

  admin.operations().options = {{"workers", "2", "default"}, {"bandwidth", std::nullopt, "default"}};
  CHECK(admin.Get("/api/v1/config").body == R"({"config":[{"option":"workers","value":"2","source":"default"},)"
                                            R"({"option":"bandwidth","value":null,"source":"default"}]})"
                                            "\n");
  CHECK(admin.Get("/api/v1/config?x=1").status == 400);
}

TEST_CASE("api: /log-level changes the level, which /config and /info then show") {
  const TestGateway gateway;
  AdminOf admin(gateway);
  const std::string before(Describe(gateway.log().level()));
  const std::string other = before == "info" ? "warn" : "info";
  admin.operations().options = {{"log-level", before, "default"}};
  Contains(admin.Get("/api/v1/config"), "\"value\":\"" + before + "\",\"source\":\"default\"");
  CHECK(admin.Change("POST", "/api/v1/log-level?level=" + other).body == "{\"level\":\"" + other + "\"}\n");
  Contains(admin.Get("/api/v1/info"), R"("log":{"level":")" + other + '"');
  Contains(admin.Get("/api/v1/config"), "\"value\":\"" + other + "\",\"source\":\"the admin interface\"");
  for (const std::string_view bad : {"", "?level=", "?level=debug", "?level=INFO", "?level=info&level=warn",
                                     "?level=info&x=1", "?Level=info", "?level=info%20"}) {
    CAPTURE(bad);
    CHECK(admin.Change("POST", "/api/v1/log-level" + std::string(bad)).status == 400);
  }
  CHECK(Ask(admin.Client(), RequestFor("/api/v1/log-level?level=error", "", "POST")).status == 401);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
