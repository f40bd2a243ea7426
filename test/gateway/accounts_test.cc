// The accounts of users, with real traffic: what they count, on all workers, across reloads and restarts.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/admin/admin.h"
#include "penstock/admin/routes.h"
#include "penstock/login/users.h"
#include "penstock/os/clock.h"
#include "penstock/os/file.h"
#include "penstock/os/random.h"
#include "penstock/server/account_file.h"
#include "test/support/admin.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/program.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("accounts");

std::shared_ptr<const Users> UsersOf(std::string_view text) {
  static const DigestKey kKey = RandomKey();
  Users::Draft draft(kKey);
  std::string error;
  REQUIRE_MESSAGE(draft.AddText(text, "users", &error), error);
  return draft.Finish();
}

Settings SettingsFor(std::string_view users, std::size_t workers = 1) {
  Settings settings = TestSettings();
  settings.workers = workers;
  settings.policy.users = UsersOf(users);
  return settings;
}

// A client who has logged in and is about to send its request.
Peer LoggedIn(const TestGateway& gateway, std::string_view user) {
  Peer client = gateway.Client();
  client.Send(LoginOf(user, "pass"));
  REQUIRE(Hex(client.Receive(kLoginAccepted.size())) == Hex(kLoginAccepted));
  return client;
}

TestGateway::Session OpenAs(const TestGateway& gateway, std::string_view user, const TargetListener& target) {
  TestGateway::Session session{LoggedIn(gateway, user), Peer()};
  session.client.Send(ConnectRequest(target.at()));
  session.target = target.Accept();
  session.client.Receive(Success(session.target.remote()).size());
  return session;
}

// Receives what is there, and returns its size.
std::size_t Drained(const Peer& peer) {
  std::size_t size = 0;
  for (;;) {
    char room[64 * 1024];
    const ssize_t got = ::recv(peer.fd(), room, sizeof room, MSG_DONTWAIT);
    if (got <= 0) return size;
    size += static_cast<std::size_t>(got);
  }
}

bool IsReset(const Peer& peer) {
  pollfd entry{peer.fd(), POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLERR | POLLHUP)) != 0;
}

UserRow RowOf(const TestGateway& gateway, std::string_view user) {
  for (UserRow& row : gateway.server().Users()) {
    if (row.kept.user == user) return row;
  }
  return {};
}

constexpr std::string_view kTwoUsers = "alice:{plain}pass\nbob:{plain}pass\n";

TEST_CASE("an account counts what its user's sessions move on all workers, exactly once they have ended") {
  const TestGateway gateway(SettingsFor(kTwoUsers, 2));
  const TargetListener listener;
  constexpr std::size_t kBytes = 300'000;
  {
    std::vector<TestGateway::Session> sessions;
    for (int i = 0; i < 8; ++i) sessions.push_back(OpenAs(gateway, "alice", listener));
    for (const auto& session : sessions) ExchangeBothWays(session, kBytes);
    CHECK(RowOf(gateway, "alice").sessions == 8);
    CHECK(RowOf(gateway, "alice").clients == 1);
    // A running session is counted, too, a moment later.
    CHECK(WaitUntil([&] { return RowOf(gateway, "alice").kept.usage.bytes.up == 8 * kBytes; }));
    sessions[0].client.Send("more");
    sessions[0].target.Receive(4);
  }
  CHECK(gateway.WaitForSessions(0));
  const UserRow alice = RowOf(gateway, "alice");
  CHECK(alice.sessions == 0);
  CHECK(alice.clients == 0);
  CHECK(alice.kept.sessions == 8);
  CHECK(alice.kept.usage == Usage{.bytes = {8 * kBytes + 4, 8 * kBytes}, .datagrams = {}});
  CHECK(alice.kept.first_seen.count() > 0);
  CHECK(alice.kept.last_seen >= alice.kept.first_seen);
  const UserRow bob = RowOf(gateway, "bob");
  CHECK(bob.kept == AccountRecord{.user = "bob"});
}

TEST_CASE("an account counts bytes that come with the request") {
  const TestGateway gateway(SettingsFor(kTwoUsers));
  const TargetListener listener;
  const Peer client = LoggedIn(gateway, "alice");
  client.Send(ConnectRequest(listener.at()) + "early");
  const Peer target = listener.Accept();
  CHECK(target.Receive(5) == "early");
  CHECK(WaitUntil([&] { return RowOf(gateway, "alice").kept.usage.bytes.up == 5; }));
}

TEST_CASE("an account counts datagrams, failed logins of its user, and nothing of unknown users") {
  const TestGateway gateway(SettingsFor(kTwoUsers));
  for (const std::string_view user : {"alice", "mallory"}) {
    const Peer wrong = gateway.Client();
    wrong.Send(LoginOf(user, "wrong"));
    wrong.ReceiveToClose();
  }
  CHECK(RowOf(gateway, "alice").kept.failed_logins == 1);
  CHECK(gateway.server().Users().size() == 2);

  const UdpPeer target;
  {
    const Peer client = LoggedIn(gateway, "bob");
    client.Send(AssociateRequest());
    const Endpoint relay = ReceiveBound(client);
    const UdpPeer socket;
    socket.Send(UdpHeader(target.at()) + "ping", relay);
    const UdpPeer::Datagram got = target.Receive();
    CHECK(got.bytes == "ping");
    target.Send("pong!", got.from);
    socket.Receive();
  }
  CHECK(gateway.WaitForSessions(0));
  CHECK(RowOf(gateway, "bob").kept.usage == Usage{.bytes = {4, 5}, .datagrams = {1, 1}});
}

TEST_CASE("a reload that removes a user keeps his account") {
  const TestGateway gateway(SettingsFor(kTwoUsers));
  const TargetListener listener;
  const auto session = OpenAs(gateway, "alice", listener);
  session.client.Send("abc");
  session.target.Receive(3);
  Policy policy;
  policy.users = UsersOf("bob:{plain}pass\n");
  gateway.server().Reload(std::move(policy));
  CHECK(WaitUntil([&] { return RowOf(gateway, "alice").kept.usage.bytes.up == 3; }));
  session.client.Send("d");
  session.target.Receive(1);
  CHECK(WaitUntil([&] { return RowOf(gateway, "alice").kept.usage.bytes.up == 4; }));
}

// --- Limits ---

UserLimits Limit(std::string_view name, std::string_view value) {
  UserLimits limits;
  REQUIRE_FALSE(limits.Set(name, value).has_value());
  return limits;
}

// What a client of `user` gets who requests a target that refuses: the reply, to the end.
std::string ReplyTo(const TestGateway& gateway, std::string_view user, const IpAddress& from = kLoopback.ip) {
  const ClosedPort closed;
  const Peer client = Peer::FromTo({from, 0}, gateway.at());
  client.Send(LoginOf(user, "pass") + ConnectRequest(closed.at()));
  return client.ReceiveToEnd();
}

const std::string kAcceptedAndServed = kLoginAccepted + Refusal(5);
const std::string kAcceptedAndDenied = kLoginAccepted + Refusal(2);

std::uint64_t Ended(const TestGateway& gateway, SessionEnd end) {
  return gateway.server().Survey().counters.ended[static_cast<std::size_t>(end) - 1].value();
}

struct Moved {
  std::uint64_t received = 0;                   // by clients and targets together
  std::chrono::steady_clock::duration idle{0};  // from the last byte to the last reset
};

// Moves bytes of the sessions both ways, as fast as it can, until all of them have been reset.
Moved MoveUntilReset(const std::vector<TestGateway::Session>& sessions) {
  const std::string chunk(64 * 1024, 'x');
  Moved moved;
  std::size_t live = sessions.size();
  std::vector<bool> over(sessions.size());
  const auto deadline = std::chrono::steady_clock::now() + kTestTimeout;
  auto last = std::chrono::steady_clock::now();
  while (live > 0 && std::chrono::steady_clock::now() < deadline) {
    for (std::size_t i = 0; i < sessions.size(); ++i) {
      if (over[i]) continue;
      sessions[i].client.SendSome(chunk);
      sessions[i].target.SendSome(chunk);
      const std::size_t received = Drained(sessions[i].client) + Drained(sessions[i].target);
      if (received > 0) last = std::chrono::steady_clock::now();
      moved.received += received;
      over[i] = IsReset(sessions[i].client) && IsReset(sessions[i].target);
      if (over[i]) --live;
    }
  }
  CHECK(live == 0);
  moved.idle = std::chrono::steady_clock::now() - last;
  return moved;
}

TEST_CASE("quota: sessions on two workers at full rate end within a second of crossing it, not a MiB past it") {
  const TestGateway gateway(SettingsFor("alice:{plain}pass\n  quota 256Mi per month\nbob:{plain}pass\n", 2));
  const TargetListener listener;
  constexpr std::uint64_t kQuota = 256 * 1024 * 1024;
  {
    std::vector<TestGateway::Session> sessions;
    for (int i = 0; i < 6; ++i) sessions.push_back(OpenAs(gateway, "alice", listener));
    const Moved moved = MoveUntilReset(sessions);
    CHECK(moved.received <= kQuota + 1024 * 1024);
    CHECK(moved.idle < std::chrono::milliseconds(IsSanitized() ? 5'000 : 1'000));
  }
  CHECK(gateway.WaitForSessions(0));
  const UserRow alice = RowOf(gateway, "alice");
  CHECK(alice.kept.quota_used == kQuota);
  CHECK(alice.kept.usage.bytes.up + alice.kept.usage.bytes.down <= kQuota);
  CHECK(Ended(gateway, SessionEnd::kQuota) == 6);
  CHECK(gateway.Count(&Counters::relays_limited) == 6);
  CHECK(gateway.WaitForLog("user=alice command=connect"));
  CHECK(gateway.WaitForLog("end=quota"));

  CHECK(Hex(ReplyTo(gateway, "alice")) == Hex(kAcceptedAndDenied));
  CHECK(Hex(ReplyTo(gateway, "bob")) == Hex(kAcceptedAndServed));
  CHECK(gateway.Count(&Counters::over_quota) == 1);
  CHECK(gateway.WaitForSessions(0));
  CHECK(Ended(gateway, SessionEnd::kQuota) == 7);
}

TEST_CASE("quota: bytes that exactly fit arrive, and idle sessions of the user end with it") {
  const TestGateway gateway(SettingsFor("alice:{plain}pass\n  quota 1M per day\n", 2));
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(OpenAs(gateway, "alice", listener));
  const std::string half(500'000, 'x');
  sessions[0].client.Send(half);
  CHECK(sessions[0].target.Receive(half.size()) == half);
  sessions[1].target.Send(half);
  CHECK(sessions[1].client.Receive(half.size()) == half);
  for (const auto& session : sessions) session.client.ReceiveToReset();
  CHECK(gateway.WaitForSessions(0));
  CHECK(RowOf(gateway, "alice").kept.quota_used == 1'000'000);
}

TEST_CASE("quota: an association ends, too, a datagram past it at most") {
  const TestGateway gateway(SettingsFor("alice:{plain}pass\n  quota 100k per day\n"));
  const UdpPeer target;
  const Peer client = LoggedIn(gateway, "alice");
  client.Send(AssociateRequest());
  const Endpoint relay = ReceiveBound(client);
  const UdpPeer socket;
  const std::string datagram = UdpHeader(target.at()) + std::string(1'000, 'x');
  for (int i = 0; i < 100; ++i) {
    socket.Send(datagram, relay);
    target.Receive();
  }
  socket.Send(datagram, relay);  // dropped
  client.ReceiveToClose();
  CHECK(gateway.WaitForSessions(0));
  CHECK(target.nothing_arrived());
  CHECK(RowOf(gateway, "alice").kept.usage == Usage{.bytes = {100'000, 0}, .datagrams = {100, 0}});
  CHECK(RowOf(gateway, "alice").kept.quota_used == 100'000);
  CHECK(Ended(gateway, SessionEnd::kQuota) == 1);
  CHECK(gateway.Count(&Counters::udp_over_quota) == 1);
  CHECK(gateway.Count(&Counters::udp_over_limit) == 0);
}

TEST_CASE("quota: a reload sets one for running sessions, and one that raises it lets the user in again") {
  Settings settings = SettingsFor(kTwoUsers);
  const TestGateway gateway(settings);
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  sessions.push_back(OpenAs(gateway, "alice", listener));
  PingPong(sessions[0], 3);
  const auto reload = [&](std::string_view quota) {
    Policy policy = settings.policy;
    policy.user_limits = Limit("quota", quota);
    gateway.server().Reload(std::move(policy));
  };
  reload("10k per week");
  MoveUntilReset(sessions);  // the worker applies it a moment later, and then counts
  CHECK(gateway.WaitForSessions(0));
  CHECK(Hex(ReplyTo(gateway, "alice")) == Hex(kAcceptedAndDenied));
  reload("20k per week");
  CHECK(Hex(ReplyTo(gateway, "alice")) == Hex(kAcceptedAndServed));
  CHECK(RowOf(gateway, "alice").kept.quota_used == 10'000);
}

TEST_CASE("quota: a restart keeps what was used") {
  const TempDirectory directory;
  Settings settings = SettingsFor("alice:{plain}pass\n  quota 10k per month\n");
  settings.state_dir = directory.PathOf(".");
  {
    const TestGateway gateway(settings);
    const TargetListener listener;
    const auto session = OpenAs(gateway, "alice", listener);
    session.client.Send(std::string(10'000, 'x'));
    session.target.Receive(10'000);
    session.client.ReceiveToReset();
  }
  const TestGateway gateway(settings);
  CHECK(Hex(ReplyTo(gateway, "alice")) == Hex(kAcceptedAndDenied));
}

TEST_CASE("expires and hours: a session outside is refused, and a running one ends") {
  // Any time is outside hours of one minute a week; this test may run in that minute of Sunday, so it has two.
  const LocalTime now = LocalTimeAt(std::chrono::floor<std::chrono::seconds>(TimeOfDay()));
  const std::string never = now.weekday == 6 ? "Mon 00:00-00:01" : "Sun 23:58-23:59";
  const struct {
    std::string_view name;
    std::string value;
    SessionEnd end;
    std::string_view word;
  } rows[] = {{"expires", "2020-01-31", SessionEnd::kExpired, "end=expired"},
              {"hours", never, SessionEnd::kHours, "end=hours"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    Settings settings = SettingsFor("alice:{plain}pass\nbob:{plain}pass\n  expires never\n  hours any\n", 2);
    const TestGateway gateway(settings);
    const TargetListener listener;
    std::vector<TestGateway::Session> sessions;
    for (int i = 0; i < 4; ++i) sessions.push_back(OpenAs(gateway, "alice", listener));
    const auto bobs = OpenAs(gateway, "bob", listener);
    settings.policy.user_limits = Limit(row.name, row.value);
    gateway.server().Reload(settings.policy);
    for (const auto& session : sessions) session.client.ReceiveToReset();
    CHECK(gateway.WaitForSessions(1));
    CHECK(Ended(gateway, row.end) == 4);
    CHECK(Hex(ReplyTo(gateway, "alice")) == Hex(kAcceptedAndDenied));
    PingPong(bobs, 3);
    CHECK(gateway.WaitForSessions(1));
    CHECK(Ended(gateway, row.end) == 5);
    CHECK(gateway.WaitForLog(row.word));
  }
}

TEST_CASE("expires: a session that is connecting when the user expires is refused") {
  Settings settings = SettingsFor(kTwoUsers);
  const TestGateway gateway(settings);
  SilentTarget target;
  const Peer client = LoggedIn(gateway, "alice");
  client.Send(ConnectRequest(target.at()));
  CHECK(WaitUntil([&] { return gateway.server().sessions(SessionState::kConnecting) == 1; }));
  settings.policy.user_limits = Limit("expires", "2020-01-31");
  gateway.server().Reload(settings.policy);
  target.Open();
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(gateway.WaitForSessions(0));
  CHECK(Ended(gateway, SessionEnd::kExpired) == 1);
  CHECK(gateway.Count(&Counters::user_expired) == 1);
}

TEST_CASE("expires: a request after the user has expired is refused and counted by that limit") {
  Settings settings = SettingsFor(kTwoUsers);
  const TestGateway gateway(settings);
  const TargetListener listener;
  const Peer connecting = LoggedIn(gateway, "alice");
  const Peer associating = LoggedIn(gateway, "alice");
  const Peer binding = LoggedIn(gateway, "alice");
  settings.policy.user_limits = Limit("expires", "2020-01-31");
  gateway.server().Reload(settings.policy);
  connecting.Send(ConnectRequest(listener.at()));
  associating.Send(AssociateRequest());
  binding.Send(BindRequest(kLoopback));
  CHECK(Hex(connecting.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(Hex(associating.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(Hex(binding.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(gateway.WaitForSessions(0));
  CHECK(Ended(gateway, SessionEnd::kExpired) == 3);
  CHECK(gateway.Count(&Counters::user_expired) == 3);
}

TEST_CASE("expires: a BIND that waits for its peer ends with the user, not with its timeout") {
  Settings settings = SettingsFor(kTwoUsers);
  settings.bind_timeout = std::chrono::hours(1);
  const TestGateway gateway(settings);
  const Peer client = LoggedIn(gateway, "alice");
  client.Send(BindRequest(kLoopback));
  const Endpoint bound = ReceiveBound(client);
  settings.policy.user_limits = Limit("expires", "2020-01-31");
  gateway.server().Reload(settings.policy);
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(gateway.WaitForSessions(0));
  CHECK_THROWS_AS(Peer::To(bound), std::runtime_error);
  CHECK(Ended(gateway, SessionEnd::kExpired) == 1);
  CHECK(gateway.Count(&Counters::user_expired) == 1);
}

TEST_CASE("max-clients: a user has sessions from so many clients at a time") {
  const TestGateway gateway(SettingsFor("alice:{plain}pass\n  max-clients 1\n", 2));
  const TargetListener listener;
  {
    const auto session = OpenAs(gateway, "alice", listener);
    CHECK(Hex(ReplyTo(gateway, "alice")) == Hex(kAcceptedAndServed));
    CHECK(Hex(ReplyTo(gateway, "alice", *IpAddress::Parse("127.0.0.2"))) == Hex(kAcceptedAndDenied));
    CHECK(gateway.Count(&Counters::over_clients) == 1);
    CHECK(gateway.WaitForLog("end=max-clients"));
    PingPong(session, 3);
  }
  CHECK(gateway.WaitForSessions(0));
  CHECK(Hex(ReplyTo(gateway, "alice", *IpAddress::Parse("127.0.0.2"))) == Hex(kAcceptedAndServed));
}

// --- Keeping ---

// Sends `bytes` of alice to a target, and waits until they have arrived.
void SendAsAlice(const TestGateway& gateway, std::string_view bytes) {
  const TargetListener listener;
  const auto session = OpenAs(gateway, "alice", listener);
  session.client.Send(bytes);
  session.target.Receive(bytes.size());
}

TEST_CASE("--state-dir: a restart keeps the accounts") {
  const TempDirectory directory;
  Settings settings = SettingsFor(kTwoUsers, 2);
  settings.state_dir = directory.PathOf(".");
  for (int start = 0; start < 3; ++start) {
    const TestGateway gateway(settings);
    CHECK(RowOf(gateway, "alice").kept.usage.bytes.up == static_cast<std::uint64_t>(10 * start));
    CHECK(RowOf(gateway, "alice").kept.sessions == static_cast<std::uint64_t>(start));
    SendAsAlice(gateway, "0123456789");
  }
}

TEST_CASE("--state-dir: a damaged file is named in the log, put aside, and the one before is used") {
  const TempDirectory directory;
  Settings settings = SettingsFor(kTwoUsers);
  settings.state_dir = directory.PathOf(".");
  for (int start = 0; start < 2; ++start) SendAsAlice(TestGateway(settings), "0123456789");
  directory.Write("accounts", "garbage");
  const TestGateway gateway(settings);
  CHECK(RowOf(gateway, "alice").kept.usage.bytes.up >= 10);
  CHECK(gateway.WaitForLog(" error accounts-damaged file=" + directory.PathOf("./accounts") + " renamed-to="));
  CHECK(gateway.WaitForLog(" warn accounts-restored file=" + directory.PathOf("./accounts.old")));
}

TEST_CASE("--state-dir: a directory that others may write to is named in the log") {
  for (const bool exposed : {false, true}) {
    CAPTURE(exposed);
    const TempDirectory directory;
    REQUIRE(::chmod(directory.PathOf(".").c_str(), exposed ? 0777 : 0700) == 0);
    Settings settings = SettingsFor(kTwoUsers);
    settings.state_dir = directory.PathOf(".");
    const TestGateway gateway(settings);
    const std::string line =
        " warn state-dir-exposed file=" + directory.PathOf(".") + " reason=\"others than its owner";
    if (exposed) CHECK(gateway.WaitForLog(line));
    if (!exposed) CHECK(gateway.LogText().find("state-dir-exposed") == std::string::npos);
  }
}

TEST_CASE("--state-dir: kill -9 loses nothing that was saved, and the next start goes on from there") {
  const TempDirectory directory;
  const std::string users = directory.Write("users", kTwoUsers);
  REQUIRE(::chmod(users.c_str(), 0600) == 0);
  const std::string file = directory.PathOf("accounts");
  const auto up_in_file = [&] {
    const auto text = ReadFile(file, 100'000);
    const auto kept = text ? ParseAccountFile(*text) : std::nullopt;
    return kept && kept->size() == 1 ? kept->front().usage.bytes.up : 0;
  };
  const auto send = [](const Program& program) {
    const TargetListener listener;
    const Peer client = Peer::To(program.at());
    client.Send(LoginOf("alice", "pass") + ConnectRequest(listener.at()));
    const Peer target = listener.Accept();
    client.Send("0123456789");
    target.Receive(10);
  };
  const std::vector<std::string> options = {"--users=" + users, "--state-dir=" + directory.PathOf(".")};
  {
    const Program program(options);
    send(program);
    CHECK(WaitUntil([&] { return up_in_file() == 10; }));
  }  // killed
  CHECK(up_in_file() == 10);
  Program again(options);
  send(again);
  again.Signal(SIGTERM);
  CHECK(again.Wait() == 0);
  CHECK(up_in_file() == 20);
}

// What the admin interface of the gateway answers to GET `target`.
std::string AskAdmin(const TestGateway& gateway, const std::string& target) {
  AdminSettings settings;
  settings.addresses = {kLoopback};
  std::string error;
  TestOperations operations;
  const auto admin = Admin::Start(settings, RoutesOf(gateway.server(), gateway.log(), operations), &error);
  REQUIRE_MESSAGE(admin != nullptr, error);
  const Peer client = Peer::To(admin->listening()[0]);
  client.Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return client.ReceiveToEnd();
}

TEST_CASE("--user-metrics: users have series in the metrics if it is on") {
  for (const bool on : {false, true}) {
    Settings settings = SettingsFor(kTwoUsers);
    settings.user_metrics = on;
    const TestGateway gateway(settings);
    SendAsAlice(gateway, "0123456789");
    CHECK(gateway.WaitForSessions(0));
    const std::string text = AskAdmin(gateway, "/metrics");
    for (const std::string_view line : {"\npenstock_user_traffic_bytes_total{user=\"alice\",direction=\"up\"} 10\n",
                                        "\npenstock_user_sessions_total{user=\"bob\"} 0\n"}) {
      CAPTURE(line);
      CHECK((text.find(line) != std::string::npos) == on);
    }
  }
}

TEST_CASE("GET /api/v1/users answers with the accounts as JSON") {
  const TestGateway gateway(SettingsFor(kTwoUsers));
  const std::string answer = AskAdmin(gateway, "/api/v1/users");
  CHECK(answer.find("Content-Type: application/json\r\n") != std::string::npos);
  CHECK(answer.find(R"({"users":[{"user":"alice","sessions":0,)") != std::string::npos);
  CHECK(answer.find(R"({"user":"bob","sessions":0,)") != std::string::npos);
  CHECK(AskAdmin(gateway, "/api/v1/users?after=alice&limit=1").find(R"({"users":[{"user":"bob",)") !=
        std::string::npos);
}

TEST_CASE("GET /api/v1/users accepts no parameter twice, empty or of another list") {
  const TestGateway gateway(SettingsFor(kTwoUsers));
  for (const std::string query : {"after=a&after=b", "limit=1&limit=1", "after=", "limit=", "limit=0", "client=::1"}) {
    CAPTURE(query);
    CHECK(AskAdmin(gateway, "/api/v1/users?" + query).find("HTTP/1.1 400 ") == 0);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
