// The accounts of users, with real traffic: what they count, on all workers, across reloads and restarts.
#include <signal.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/admin/admin.h"
#include "penstock/admin/routes.h"
#include "penstock/login/users.h"
#include "penstock/os/file.h"
#include "penstock/os/random.h"
#include "penstock/server/account_file.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/program.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("accounts");

std::string LoginOf(std::string_view user, std::string_view password = "pass") {
  return "05 01 02 01"_hex + static_cast<char>(user.size()) + std::string(user) + static_cast<char>(password.size()) +
         std::string(password);
}

const std::string kLoginAccepted = "05 02 01 00"_hex;

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
  client.Send(LoginOf(user));
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
  CHECK(gateway.LogText().find(" error accounts-damaged file=" + directory.PathOf("./accounts") + " renamed-to=") !=
        std::string::npos);
  CHECK(gateway.LogText().find(" warn accounts-restored file=" + directory.PathOf("./accounts.old")) !=
        std::string::npos);
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
    client.Send(LoginOf("alice") + ConnectRequest(listener.at()));
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

TEST_CASE("GET /api/v1/users answers with the accounts as JSON") {
  const TestGateway gateway(SettingsFor(kTwoUsers));
  AdminSettings settings;
  settings.addresses = {kLoopback};
  std::string error;
  const auto admin = Admin::Start(settings, RoutesOf(gateway.server(), gateway.log()), &error);
  REQUIRE_MESSAGE(admin != nullptr, error);
  const Peer client = Peer::To(admin->listening()[0]);
  client.Send("GET /api/v1/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string answer = client.ReceiveToEnd();
  CHECK(answer.find("Content-Type: application/json\r\n") != std::string::npos);
  CHECK(answer.find(R"({"users":[{"user":"alice","sessions":0,)") != std::string::npos);
  CHECK(answer.find(R"({"user":"bob","sessions":0,)") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
