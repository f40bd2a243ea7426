// Logins (RFC 1929): right and wrong credentials, split and joined in every way.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/digest.h"
#include "penstock/login/users.h"
#include "penstock/os/random.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("login");

// Every password contains this, so that a test can search the logs for passwords.
constexpr std::string_view kMarker = "open-sesame";

// The hash of "open-sesame", at low cost.
const std::string kHash = "$y$j75$9OYLlxXeEK6sBVotPlSEZ/$K8w0WmUC4LRXM.3RANSg6ao7cGVus8kV2osQYaWnBJ.";

// The same at the usual cost.
const std::string kSlowHash = "$y$j9T$as3cP3NJxFYs2SoMt26Ks1$Y3LR8shBDVYegOngQ73nywcoItP4c6RnZ.CdLLlXD5.";

// The hash of an unknown password, so expensive that it is still being computed when a short timeout expires.
const std::string kExpensiveHash = "$6$rounds=2000000$sesamesalt$" + std::string(86, '.');

const std::string kGreetingLogin = "05 01 02"_hex;
const std::string kChosenLogin = "05 02"_hex;
const std::string kAccepted = "01 00"_hex;
const std::string kRejected = "01 01"_hex;

Settings SettingsWith(std::string_view users_file) {
  static const DigestKey kKey = RandomKey();  // one for all tables, as the program has it
  Users::Draft draft(kKey);
  std::string error;
  REQUIRE_MESSAGE(draft.AddText(users_file, "users", &error), error);
  Settings settings = TestSettings();
  settings.policy.users = draft.Finish();
  return settings;
}

Settings PlainUsers() {
  return SettingsWith("alice:{plain}open-sesame\nbob:{plain}open-sesame-2\n" + std::string(255, 'n') +
                      ":{plain}open-sesame" + std::string(244, 'p'));
}

Settings HashedUsers() { return SettingsWith("alice:" + kHash); }

std::string Credentials(const std::string& name, const std::string& password) {
  return '\x01' + std::string(1, static_cast<char>(name.size())) + name +
         std::string(1, static_cast<char>(password.size())) + password;
}

const std::string kAlice = Credentials("alice", "open-sesame");

// What the gateway answers to a greeting and `credentials`, up to its end.
std::string AnswerTo(const TestGateway& gateway, const std::string& credentials) {
  const Peer client = gateway.Client();
  client.Send(kGreetingLogin + credentials);
  return client.ReceiveToEnd();
}

// The line of the one session that has ended. Expects no password in the log.
std::string CheckedSessionLine(const TestGateway& gateway) {
  const std::string line = gateway.SessionLine();
  CHECK(gateway.LogText().find(kMarker) == std::string::npos);
  return line;
}

TEST_CASE("a client logs in, step by step, and connects") {
  for (const Settings& settings : {PlainUsers(), HashedUsers()}) {
    const TestGateway gateway(settings);
    const TargetListener listener;
    for (int i = 0; i < 2; ++i) {
      const Peer client = gateway.Client();
      client.Send(kGreetingLogin);
      CHECK(Hex(client.Receive(2)) == "05 02");
      client.Send(kAlice);
      CHECK(Hex(client.Receive(2)) == "01 00");
      client.Send(ConnectRequest(listener.at()));
      const Peer target = listener.Accept();
      CHECK(Hex(client.Receive(10)) == Hex(Success(target.remote())));
      ExpectBothWays(client, target);
    }
    CHECK(gateway.Count(&Counters::logins_accepted) == 2);
  }
}

TEST_CASE("with users, username/password is chosen wherever it is offered") {
  const TestGateway gateway(PlainUsers());
  std::string everything = "05 ff"_hex;
  for (int method = 0; method < 255; ++method) everything += static_cast<char>(method);
  for (const std::string& greeting :
       {"05 01 02"_hex, "05 02 00 02"_hex, "05 02 02 00"_hex, "05 03 00 01 02"_hex, "05 03 02 02 02"_hex, everything}) {
    CAPTURE(Hex(greeting));
    const Peer client = gateway.Client();
    client.Send(greeting);
    CHECK(Hex(client.Receive(2)) == "05 02");
  }
}

TEST_CASE("with users, a client without a login is refused") {
  const TestGateway gateway(PlainUsers());
  const TargetListener listener;
  for (const std::string& greeting : {"05 01 00"_hex, "05 02 00 01"_hex, "05 01 01"_hex, "05 01 ff"_hex}) {
    CAPTURE(Hex(greeting));
    const Peer client = gateway.Client();
    client.Send(greeting + ConnectRequest(listener.at()));
    CHECK(Hex(client.ReceiveToEnd()) == "05 ff");
  }
  // A request in place of the credentials is refused, too.
  const Peer client = gateway.Client();
  client.Send("05 02 00 02"_hex + ConnectRequest(listener.at()));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(kChosenLogin + kRejected));
  CHECK_FALSE(listener.HasPendingConnection());
}

TEST_CASE("without users, username/password is neither chosen nor accepted") {
  const TestGateway gateway;
  const Peer client = gateway.Client();
  client.Send("05 02 02 00"_hex);
  CHECK(Hex(client.Receive(2)) == "05 00");
  const Peer only = gateway.Client();
  only.Send(kGreetingLogin + kAlice);
  CHECK(Hex(only.ReceiveToEnd()) == "05 ff");
}

TEST_CASE("a wrong name and a wrong password get the same answer and an orderly end") {
  for (const std::string& file : {std::string("alice:{plain}open-sesame"), "alice:" + kHash}) {
    for (const std::string& credentials :
         {Credentials("alice", "open-sesamE"), Credentials("alice", "open-sesame "),
          Credentials("mallory", "open-sesame"), Credentials("alice", ""), Credentials("mallory", ""),
          Credentials(std::string("alice\0", 6), "open-sesame"), Credentials("alice", std::string("open-sesame\0", 12)),
          Credentials(std::string(255, 'x'), std::string(255, 'y'))}) {
      CAPTURE(Hex(credentials));
      const TestGateway gateway(SettingsWith(file));  // a new one, without failures
      const Peer client = gateway.Client();
      client.Send(kGreetingLogin + credentials + "what comes after a wrong login is dropped");
      CHECK(Hex(client.ReceiveToEnd()) == Hex(kChosenLogin + kRejected));
      CHECK(gateway.Count(&Counters::logins_failed) == 1);
    }
  }
}

TEST_CASE("credentials of another version or without a name are refused") {
  const TestGateway gateway(PlainUsers());
  for (const std::string& bad : {"00"_hex, "02 05"_hex, "05 01 00 01"_hex, "ff"_hex, "01 00"_hex, "01 00 01 70"_hex}) {
    CAPTURE(Hex(bad));
    CHECK(Hex(AnswerTo(gateway, bad)) == Hex(kChosenLogin + kRejected));
  }
  CHECK(gateway.Count(&Counters::malformed) == 6);
  CHECK(gateway.Count(&Counters::logins_failed) == 0);
  CHECK(Hex(AnswerTo(gateway, Credentials("alice", "open-sesamE"))) == Hex(kChosenLogin + kRejected));
  // They are no failed logins either, so there is no wait.
  const Peer client = gateway.Client();
  client.Send(kGreetingLogin + kAlice);
  CHECK(Hex(client.Receive(4)) == Hex(kChosenLogin + kAccepted));
  CHECK(gateway.Count(&Counters::logins_throttled) == 0);
}

TEST_CASE("a login may arrive one byte at a time") {
  for (const Settings& settings : {PlainUsers(), HashedUsers()}) {
    const TestGateway gateway(settings);
    const TargetListener listener;
    const Peer client = gateway.Client();
    const std::string handshake = kGreetingLogin + kAlice + ConnectRequest(listener.at());
    for (const char byte : handshake) {
      client.Send({&byte, 1});
      REQUIRE(gateway.WaitUntilRead(client));
    }
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(14)) == Hex(kChosenLogin + kAccepted + Success(target.remote())));
    ExpectBothWays(client, target);
  }
}

TEST_CASE("greeting, login, request and data may arrive in one segment") {
  for (const Settings& settings : {PlainUsers(), HashedUsers()}) {
    const TestGateway gateway(settings);
    const TargetListener listener;
    for (const bool finished : {false, true}) {
      const Peer client = gateway.Client();
      client.Send("05 02 00 02"_hex + kAlice + ConnectRequest(listener.at()) + "early");
      if (finished) client.HalfClose();
      Peer target = listener.Accept();
      CHECK(target.Receive(5) == "early");
      CHECK(Hex(client.Receive(14)) == Hex(kChosenLogin + kAccepted + Success(target.remote())));
      if (!finished) ExpectBothWays(client, target);
      target.Send("late");
      target.Close();
      CHECK(client.ReceiveToEnd() == "late");
    }
  }
}

TEST_CASE("the longest greeting, login and request may arrive at once") {
  const TestGateway gateway(PlainUsers());
  std::string greeting = "05 ff"_hex;
  for (int method = 254; method >= 0; --method) greeting += static_cast<char>(method);
  const Peer client = gateway.Client();
  client.Send(greeting + Credentials(std::string(255, 'n'), "open-sesame" + std::string(244, 'p')) +
              ConnectRequest(std::string(255, 'x'), 80) + std::string(4096, 'd'));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(kChosenLogin + kAccepted + Refusal(4)));
}

TEST_CASE("BIND and UDP ASSOCIATE work after a login, too") {
  const TestGateway gateway(PlainUsers());
  for (const std::string& request : {"05 02 00 01 7f 00 00 01 00 00"_hex, "05 03 00 01 00 00 00 00 00 00"_hex}) {
    const Peer client = gateway.Client();
    client.Send(kGreetingLogin + kAlice + request);
    CHECK(Hex(client.Receive(8)) == Hex(kChosenLogin + kAccepted + "05 00 00 01"_hex));
  }
}

TEST_CASE("64 first connections of one user at once are accepted") {
  const TestGateway gateway(HashedUsers());
  const TargetListener listener;
  std::vector<Peer> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(gateway.Client());
    clients.back().Send(kGreetingLogin + kAlice + ConnectRequest(listener.at()));
  }
  for (const Peer& client : clients) {
    const Peer target = listener.Accept();
    CHECK(Hex(client.Receive(6)) == Hex(kChosenLogin + kAccepted + "05 00"_hex));
  }
  CHECK(gateway.Count(&Counters::logins_accepted) == 64);
}

TEST_CASE("after three failures at a name a client is refused at that name; other clients and names are not") {
  const TestGateway gateway(PlainUsers());
  for (int i = 0; i < 3; ++i) CHECK(AnswerTo(gateway, Credentials("alice", "open-sesamE")) == kChosenLogin + kRejected);
  CHECK(Hex(AnswerTo(gateway, kAlice)) == Hex(kChosenLogin + kRejected));
  CHECK(gateway.Count(&Counters::logins_failed) == 3);
  CHECK(gateway.Count(&Counters::logins_throttled) == 1);
  const Peer neighbour = gateway.Client();
  neighbour.Send(kGreetingLogin + Credentials("bob", "open-sesame-2"));
  CHECK(Hex(neighbour.Receive(4)) == Hex(kChosenLogin + kAccepted));
  CHECK(Hex(AnswerTo(gateway, kAlice)) == Hex(kChosenLogin + kRejected));

  const Peer other = Peer::FromTo(*Endpoint::Parse("127.0.0.2:0"), gateway.at());
  other.Send(kGreetingLogin + kAlice);
  CHECK(Hex(other.Receive(4)) == Hex(kChosenLogin + kAccepted));
}

TEST_CASE("wrong logins from 300 addresses do not keep a right login out") {
  const TestGateway gateway(SettingsWith("alice:" + kSlowHash));
  std::vector<Peer> guessing;
  for (int i = 0; i < 300; ++i) {
    const std::string address = "127.1." + std::to_string(i / 250) + '.' + std::to_string(i % 250 + 1) + ":0";
    guessing.push_back(Peer::FromTo(*Endpoint::Parse(address), gateway.at()));
    guessing.back().Send(kGreetingLogin + Credentials("alice", "open-sesamE"));
  }
  REQUIRE(WaitUntil([&] { return gateway.Count(&Counters::accepted) == guessing.size(); }));
  const std::uint64_t before = gateway.Count(&Counters::logins_failed);
  const Peer client = gateway.Client();
  client.Send(kGreetingLogin + kAlice);
  CHECK(Hex(client.Receive(4)) == Hex(kChosenLogin + kAccepted));
  CHECK(gateway.Count(&Counters::logins_failed) - before < 150);  // about three, one of each network and one under way
}

TEST_CASE("--handshake-timeout ends a session whose login is still being verified") {
  Settings settings = SettingsWith("alice:" + kExpensiveHash);
  settings.handshake_timeout = milliseconds(200);
  const TestGateway gateway(settings);
  const Peer client = gateway.Client();
  client.Send(kGreetingLogin + kAlice);
  CHECK(Hex(client.ReceiveToClose()) == "05 02");
  CHECK(gateway.Count(&Counters::handshake_expired) == 1);
  CHECK(gateway.WaitForSessions(0));
}

TEST_CASE("--handshake-timeout ends a session whose credentials are incomplete") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = PlainUsers();
    settings.handshake_timeout = deadline;
    const TestGateway gateway(settings);
    const Stopwatch watch;
    const Peer client = gateway.Client();
    client.Send(kGreetingLogin + kAlice.substr(0, kAlice.size() - 1));
    if (watch.elapsed() >= deadline / 2) return false;
    CHECK(Hex(client.ReceiveToClose()) == "05 02");
    CHECK(gateway.Count(&Counters::handshake_expired) == 1);
    return true;
  });
}

TEST_CASE("a client that leaves while its login is being verified leaves nothing behind") {
  const TestGateway gateway(SettingsWith("alice:" + kExpensiveHash));
  for (int i = 0; i < 8; ++i) {
    Peer client = gateway.Client();
    client.Send(kGreetingLogin + Credentials("alice", "open-sesame-" + std::to_string(i)));
    CHECK(Hex(client.Receive(2)) == "05 02");
    REQUIRE(gateway.WaitUntilRead(client));
    client.Abort();
  }
  CHECK(gateway.WaitForSessions(0));
  CHECK(gateway.Count(&Counters::logins_failed) == 0);
}

Policy PolicyWith(std::string_view users_file) { return SettingsWith(users_file).policy; }

// Whether this login is accepted. It comes from a separate address, since a failure would count against that.
bool IsAccepted(const TestGateway& gateway, const std::string& credentials) {
  const Peer client = Peer::FromTo(*Endpoint::Parse("127.0.0.9:0"), gateway.at());
  client.Send(kGreetingLogin + credentials);
  return client.Receive(4) == kChosenLogin + kAccepted;
}

TEST_CASE("a reload changes which logins are accepted and whether a login is needed") {
  const TestGateway gateway(PlainUsers());
  const TargetListener listener;
  const Peer halfway = gateway.Client();
  halfway.Send(kGreetingLogin);
  CHECK(halfway.Receive(2) == kChosenLogin);

  gateway.server().Reload(PolicyWith("dave:{plain}open-sesame-4"));
  CHECK(WaitUntil([&] { return !IsAccepted(gateway, kAlice); }));
  CHECK(IsAccepted(gateway, Credentials("dave", "open-sesame-4")));

  gateway.server().Reload({});
  REQUIRE(WaitUntil([&] {
    const Peer client = gateway.Client();
    client.Send("05 02 00 02"_hex);
    return client.Receive(2) == kChosenNone;
  }));
  halfway.Send(Credentials("anybody", "open-sesame-5") + ConnectRequest(listener.at()));
  const Peer target = listener.Accept();
  CHECK(Hex(halfway.Receive(12)) == Hex(kAccepted + Success(target.remote())));
}

TEST_CASE("a login is refused if a reload changes the user's password while the hash is computed") {
  const std::string before = "dear:" + kExpensiveHash + "\nalice:" + kHash + "\nprobe:{plain}open-sesame";
  const TestGateway gateway(SettingsWith(before));
  const Peer first = Peer::FromTo(*Endpoint::Parse("127.0.0.2:0"), gateway.at());
  first.Send(kGreetingLogin + Credentials("dear", "open-sesame"));
  REQUIRE(gateway.WaitUntilRead(first));
  const Peer second = gateway.Client();  // behind a hash that takes about a second
  second.Send(kGreetingLogin + kAlice);
  CHECK(Hex(second.Receive(2)) == "05 02");
  REQUIRE(gateway.WaitUntilRead(second));

  gateway.server().Reload(PolicyWith("alice:" + kExpensiveHash + "\nprobe:{plain}open-sesame-6"));
  CHECK(WaitUntil([&] { return !IsAccepted(gateway, Credentials("probe", "open-sesame")); }));
  const std::string early = second.ReceiveSome(2);  // not empty if the machine was too slow for this test
  if (early.empty()) CHECK(Hex(second.ReceiveToEnd()) == Hex(kRejected));
}

TEST_CASE("a stop does not wait for logins that are still being verified") {
  TestGateway gateway(SettingsWith("alice:" + kExpensiveHash));
  const Peer client = gateway.Client();
  client.Send(kGreetingLogin + kAlice);
  CHECK(Hex(client.Receive(2)) == "05 02");
  REQUIRE(gateway.WaitUntilRead(client));
  gateway.Stop();
  client.ReceiveToClose();
}

TEST_CASE("the line of a session has the user's name") {
  const TestGateway gateway(PlainUsers());
  const TargetListener listener;
  {
    const Peer client = gateway.Client();
    client.Send(kGreetingLogin + Credentials("bob", "open-sesame-2") + ConnectRequest(listener.at()));
    const Peer target = listener.Accept();
    CHECK(client.Receive(6) == kChosenLogin + kAccepted + "05 00"_hex);
  }
  const std::string line = CheckedSessionLine(gateway);
  CAPTURE(line);
  CHECK(line.find(" user=bob command=connect ") != std::string::npos);
}

TEST_CASE("other warnings do not suppress the warning about a failed login") {
  const TestGateway gateway(PlainUsers());
  const Peer garbage = gateway.Client();
  garbage.Send("GET / HTTP/1.1\r\n\r\n");
  CHECK(garbage.ReceiveToEnd().empty());
  CHECK(AnswerTo(gateway, Credentials("alice", "wrong")) == kChosenLogin + kRejected);
  CHECK(WaitUntil([&] { return gateway.LogText().find(" warn login-failed client=") != std::string::npos; }));
}

TEST_CASE("the line of a failed login has the user's name, escaped, and not the password") {
  const TestGateway gateway(PlainUsers());
  CHECK(AnswerTo(gateway, Credentials("bob\n2026 forged a=b", "open-sesame-3")) == kChosenLogin + kRejected);
  const std::string line = CheckedSessionLine(gateway);
  CAPTURE(line);
  CHECK(line.find(R"( user="bob\x0a2026 forged a=b" )") != std::string::npos);
  CHECK(line.find(" end=login-failed") != std::string::npos);
  const std::string text = gateway.LogText();
  CHECK(text.find(" warn login-failed client=127.0.0.1:") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
