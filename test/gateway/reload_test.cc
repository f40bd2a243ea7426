// SIGHUP: what is read again, what needs a restart, and that an error changes nothing.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/policy/rule_text.h"
#include "penstock/policy/rules.h"
#include "test/support/bytes.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/peer.h"
#include "test/support/program.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"
#include "test/support/wait.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("reload");

struct Configured {
  explicit Configured(std::string_view text)
      : path(folder.Write("penstock.conf", text)), program({"--config=" + path}) {}

  // Replaces the file with `text`, sends SIGHUP, and waits until `logged` is in the log.
  void Reload(std::string_view text, std::string_view logged) const {
    folder.Write("penstock.conf", text);
    program.Signal(SIGHUP);
    REQUIRE(program.WaitForLog(logged));
  }

  TempDirectory folder;
  std::string path;
  Program program;
};

TEST_CASE("SIGHUP reads the file again; live sessions continue") {
  const Configured gateway("idle-timeout 1h\n");
  const TargetListener listener;
  const Peer client = Peer::To(gateway.program.at());
  client.Send(kGreeting + ConnectRequest(listener.at()));
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
  gateway.Reload("idle-timeout 1h\n# changed\n", "notice reload\n");
  client.Send("question");
  CHECK(target.Receive(8) == "question");
}

TEST_CASE("SIGHUP logs the changed options that need a restart") {
  const Configured gateway("idle-timeout 1h\n");
  gateway.Reload("idle-timeout 2h\nworkers 2\n", "notice reload needs-restart=\"workers, idle-timeout\"\n");
}

TEST_CASE("a file with an error changes nothing, and the error is logged") {
  const Configured gateway("idle-timeout 1h\n");
  gateway.Reload("idle-timeout 1h\nworkers none\n",
                 "error reload-failed reason=\"" + gateway.path +
                     ":2: workers: 'none' is not accepted; give a number from 1 to 1024\"\n");
  const TargetListener listener;
  const Peer client = Peer::To(gateway.program.at());
  client.Send(kGreeting + ConnectRequest(listener.at()));
  listener.Accept();
  CHECK(Hex(client.Receive(4)) == Hex(kChosenNone + std::string("\x05\x00", 2)));
  gateway.Reload("idle-timeout 1h\n", "notice reload\n");  // the next reload succeeds
}

TEST_CASE("--run-as: a rules directory that the user cannot read is logged at start, and no reload drops its rules" *
          doctest::skip(::getuid() != 0)) {
  const TempDirectory folder;
  std::filesystem::permissions(folder.PathOf(""), std::filesystem::perms(0755));
  const TargetListener listener;
  std::filesystem::create_directory(folder.PathOf("conf.d"));
  folder.Write("conf.d/rules.conf", "deny port " + std::to_string(listener.at().port) + "\n");
  std::filesystem::permissions(folder.PathOf("conf.d"), std::filesystem::perms(0700));
  const std::string path = folder.Write("penstock.conf", "include conf.d/*.conf\n");
  const Program program({"--config=" + path, "--run-as=nobody"});
  CHECK(program.WaitForLog("warn unreadable-later file=" + folder.PathOf("conf.d") + " "));
  program.Signal(SIGHUP);
  REQUIRE(program.WaitForLog("reload"));
  CHECK(program.WaitForLog("error reload-failed reason=\"" + path + ":1: include: cannot read " +
                           folder.PathOf("conf.d") + ": Permission denied\""));
  const Peer client = Peer::To(program.at());
  client.Send(kGreeting + ConnectRequest(listener.at()));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(kChosenNone + Refusal(2)));
}

TEST_CASE("a reload that would make a listening address an open proxy is refused, whatever `listen` says") {
  const TempDirectory folder;
  const std::string path = folder.Write("penstock.conf", "listen 0.0.0.0:0\nallow client any command udp-associate\n");
  const Program program({"--config=" + path}, {}, {});
  folder.Write("penstock.conf", "listen 127.0.0.1:0\n");
  program.Signal(SIGHUP);
  CHECK(program.WaitForLog("error reload-failed reason=\"listen " + program.at().ToString() +
                           ": anyone who can reach this address could use the gateway; "));
  const TargetListener listener;
  const Peer client = Peer::To(program.at());
  client.Send(kGreeting + ConnectRequest(listener.at()));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(kChosenNone + Refusal(2)));

  // A rule that names the clients is accepted.
  folder.Write("penstock.conf", "listen 127.0.0.1:0\nallow client any\n");
  program.Signal(SIGHUP);
  CHECK(program.WaitForLog("notice reload needs-restart=listen\n"));
}

// A configuration that takes some time to read.
struct LongConfig {
  LongConfig() {
    std::string lines;
    for (int i = 0; i < 100'000; ++i) lines += "host-" + std::to_string(i) + ".example.com\n";
    folder.Write("long.set", lines);
    path = folder.Write("penstock.conf", text);
  }

  TempDirectory folder;
  const std::string text = "set-file long long.set\ndeny target long\n";
  std::string path;
};

TEST_CASE("SIGTERM ends the program while a reload is still reading") {
  const LongConfig options;
  Program program({"--config=" + options.path});
  program.Signal(SIGHUP);
  program.Signal(SIGTERM);
  CHECK(program.Wait() == 0);
  CHECK(program.LogText().find("notice stop sessions=0") != std::string::npos);
  CHECK(program.LogText().find("notice reload") == std::string::npos);
}

TEST_CASE("a SIGHUP while a reload is still reading causes another reload") {
  const LongConfig options;
  const Program program({"--config=" + options.path});
  options.folder.Write("penstock.conf", options.text + "idle-timeout 1h\n");
  program.Signal(SIGHUP);
  options.folder.Write("penstock.conf", "idle-timeout 2h\nworkers 7\n");
  program.Signal(SIGHUP);
  CHECK(program.WaitForLog("notice reload needs-restart=\"workers, idle-timeout\"\n"));
}

TEST_CASE("a SIGHUP during the start does not end the program but causes a reload") {
  const LongConfig options;
  const Program program({"--config=" + options.path}, [](pid_t pid) {
    // The program is reading the file once it has allocated the memory for it.
    REQUIRE(WaitUntil([&] {
      std::ifstream sizes("/proc/" + std::to_string(pid) + "/statm");
      std::size_t pages = 0;
      std::size_t resident = 0;
      sizes >> pages >> resident;
      return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) > 32'000'000;
    }));
    ::kill(pid, SIGHUP);
  });
  CHECK(program.WaitForLog("notice reload\n"));
}

TEST_CASE("SIGHUP without a configuration file does not end the program") {
  const Program program({});
  program.Signal(SIGHUP);
  CHECK(program.WaitForLog("notice reload\n"));
  CHECK(Peer::To(program.at()).Silent(std::chrono::milliseconds(1)));
}

TEST_CASE("a reload changes the log level") {
  const Configured gateway("log-level notice\n");
  gateway.Reload("log-level info\n", "notice reload\n");
  CHECK(gateway.program.LogText().find(" info ") == std::string::npos);
  Peer::To(gateway.program.at()).Send(std::string("\x05\x00", 2));
  CHECK(gateway.program.WaitForLog(" info session "));
}

TEST_CASE("a reload changes the format of the log") {
  const Configured gateway("log-format text\n");
  gateway.Reload("log-format json\n", "\"event\":\"reload\"}\n");
  gateway.Reload("log-format text\n", " notice reload\n");
}

TEST_CASE("sessions that the new rules deny continue, unless reload-ends-denied is set") {
  for (const bool ends : {false, true}) {
    CAPTURE(ends);
    const std::string all = ends ? "reload-ends-denied yes\n" : "";
    const Configured gateway("log-level info\n");
    const TargetListener listener;
    const TargetListener other;
    const auto open = [&](const TargetListener& target) {
      TestGateway::Session session{Peer::To(gateway.program.at()), Peer()};
      session.client.Send(kGreeting + ConnectRequest(target.at()));
      session.target = target.Accept();
      CHECK(Hex(session.client.Receive(12)) == Hex(kChosenNone + Success(session.target.remote())));
      return session;
    };
    const TestGateway::Session forbidden = open(listener);
    const TestGateway::Session allowed = open(other);
    gateway.Reload("log-level info\n" + all + "deny port " + std::to_string(listener.at().port) + "\n",
                   "notice reload");
    if (ends) {
      CHECK(forbidden.client.ReceiveToReset().empty());
      CHECK(forbidden.target.ReceiveToReset().empty());
      CHECK(gateway.program.WaitForLog("end=forbidden"));
    } else {
      forbidden.client.Send("question");
      CHECK(forbidden.target.Receive(8) == "question");
    }
    allowed.client.Send("question");
    CHECK(allowed.target.Receive(8) == "question");
    const Peer late = Peer::To(gateway.program.at());
    late.Send(kGreeting + ConnectRequest(listener.at()));
    CHECK(Hex(late.ReceiveToEnd()) == Hex(kChosenNone + Refusal(2)));
  }
}

TEST_CASE("reload-ends-denied: more denied sessions than one turn handles all end") {
  const TestGateway gateway;
  const TargetListener listener;
  const TargetListener other;
  std::vector<TestGateway::Session> denied;
  for (std::uint32_t i = 0; i < 3 * kPolicyUpdatesPerTurn; ++i) denied.push_back(gateway.Open(listener));
  const TestGateway::Session allowed = gateway.Open(other);
  RuleText text;
  REQUIRE_FALSE(text.AddRule(false, "port " + std::to_string(listener.at().port), "test"));
  gateway.server().Reload(
      {.users = nullptr, .rules = std::make_shared<const RuleSet>(text), .limits = {}, .reload_ends_denied = true});
  for (const auto& session : denied) CHECK(session.client.ReceiveToReset().empty());
  CHECK(gateway.WaitForSessions(1));
  CHECK(gateway.Count(&Counters::relays_forbidden) == denied.size());
  PingPong(allowed, 1);
}

TEST_CASE("reload-ends-denied: a request that is denied when its peer connects is counted by what denies it") {
  const TestGateway gateway;
  const Peer client = gateway.Client();
  client.Send(kGreeting + BindRequest({kLoopback.ip, 7}));
  CHECK(Hex(client.Receive(2)) == Hex(kChosenNone));
  const Endpoint at = ReceiveBound(client);
  RuleText text;
  REQUIRE_FALSE(text.AddRule(false, "port 7", "test"));
  gateway.server().Reload(
      {.users = nullptr, .rules = std::make_shared<const RuleSet>(text), .limits = {}, .reload_ends_denied = true});
  const Peer peer = Peer::To(at);
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(gateway.WaitForSessions(0));
  const Counters counters = gateway.server().Survey().counters;
  CHECK(counters.denied[static_cast<std::size_t>(Denial::kRule)].value() == 1);
}

TEST_CASE("a client that was accepted without a login is refused after a reload that adds users") {
  const TempDirectory folder;
  const std::string path = folder.Write("penstock.conf", "log-level info\n");
  const Program program({"--config=" + path});
  const TargetListener listener;
  const Peer client = Peer::To(program.at());
  client.Send(kGreeting);
  CHECK(Hex(client.Receive(kChosenNone.size())) == Hex(kChosenNone));
  std::filesystem::permissions(folder.Write("penstock.conf", "log-level info\nuser somebody:open-sesame\n"),
                               std::filesystem::perms(0600));
  program.Signal(SIGHUP);
  REQUIRE(program.WaitForLog("notice reload\n"));
  client.Send(ConnectRequest(listener.at()));
  CHECK(Hex(client.ReceiveToEnd()) == Hex(Refusal(2)));
}

TEST_CASE("a BIND that waits and a request still to come are refused after a reload that denies them") {
  const std::string keep = "log-level info\nreload-ends-denied yes\n";
  const Configured gateway(keep);
  const Peer binding = Peer::To(gateway.program.at());
  binding.Send(kGreeting + BindRequest(kLoopback));
  CHECK(Hex(binding.Receive(2)) == Hex(kChosenNone));
  const Endpoint at = ReceiveBound(binding);
  const Peer associating = Peer::To(gateway.program.at());
  associating.Send(kGreeting);
  CHECK(Hex(associating.Receive(2)) == Hex(kChosenNone));

  std::filesystem::permissions(gateway.folder.Write("users", "alice:{plain}open-sesame\n"),
                               std::filesystem::perms(0600));
  gateway.Reload(keep + "users users\n", "notice reload");
  const Peer peer = Peer::To(at);
  CHECK(Hex(binding.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(peer.ReceiveToReset().empty());
  associating.Send(AssociateRequest());
  CHECK(Hex(associating.ReceiveToEnd()) == Hex(Refusal(2)));
  CHECK(gateway.program.WaitForLog("end=forbidden"));
}

TEST_CASE("after a reload the rules are evaluated again for the name of a session") {
  const Configured gateway("deny target 192.0.2.0/24\nreload-ends-denied yes\nlog-level info\n");
  const TargetListener listener;
  TestGateway::Session session{Peer::To(gateway.program.at()), Peer()};
  session.client.Send(kGreeting + ConnectRequest("localhost", listener.at().port));
  session.target = listener.Accept();
  session.client.Receive(12);
  gateway.Reload("allow target localhost.\nreload-ends-denied yes\nlog-level info\n", "notice reload");
  session.client.Send("question");
  CHECK(session.target.Receive(8) == "question");
  gateway.folder.Write("penstock.conf", "deny target localhost.\nreload-ends-denied yes\nlog-level info\n");
  gateway.program.Signal(SIGHUP);
  CHECK(session.client.ReceiveToReset().empty());
}

TEST_CASE("reload-ends-denied: a session ends when a reload removes its user") {
  const std::string keep = "reload-ends-denied yes\nlog-level info\n";
  TempDirectory folder;
  const std::string path = folder.Write("penstock.conf", keep + "users users\n");
  const auto write_users = [&](std::string_view text) {
    std::filesystem::permissions(folder.Write("users", text), std::filesystem::perms(0600));
  };
  write_users("alice:{plain}open-sesame-1\nbob:{plain}open-sesame-2\n");
  const Program program({"--config=" + path});
  const TargetListener listener;
  const auto open = [&](const std::string& name, const std::string& password) {
    TestGateway::Session session{Peer::To(program.at()), Peer()};
    session.client.Send(std::string("\x05\x01\x02\x01", 4) + static_cast<char>(name.size()) + name +
                        static_cast<char>(password.size()) + password + ConnectRequest(listener.at()));
    session.target = listener.Accept();
    CHECK(Hex(session.client.Receive(14)) ==
          Hex(std::string("\x05\x02\x01\x00", 4) + Success(session.target.remote())));
    return session;
  };
  const TestGateway::Session alice = open("alice", "open-sesame-1");
  const TestGateway::Session bob = open("bob", "open-sesame-2");
  write_users("bob:{plain}open-sesame-2\n");
  program.Signal(SIGHUP);
  CHECK(alice.client.ReceiveToReset().empty());
  bob.client.Send("question");
  CHECK(bob.target.Receive(8) == "question");
}

TEST_CASE("reload-ends-denied: a session ends when a reload changes its user's password") {
  const std::string kept = "$y$j75$9OYLlxXeEK6sBVotPlSEZ/$K8w0WmUC4LRXM.3RANSg6ao7cGVus8kV2osQYaWnBJ.";  // open-sesame
  const std::string other = "$2b$04$58iUCgdRsqHdCxR3ONb2e.ha7dzucVOuShZIl1UQOgGjT0krL96iC";              // the same
  const std::string keep = "reload-ends-denied yes\nlog-level info\n";
  TempDirectory folder;
  const std::string path = folder.Write("penstock.conf", keep + "users users\n");
  const auto write_users = [&](std::string_view text) {
    std::filesystem::permissions(folder.Write("users", text), std::filesystem::perms(0600));
  };
  write_users("alice:{plain}open-sesame\nbob:{plain}open-sesame\ncarol:" + kept + "\ndave:" + kept +
              "\nerin:{plain}open-sesame\n");
  const Program program({"--config=" + path});
  const TargetListener listener;
  const auto open = [&](const std::string& name) {
    TestGateway::Session session{Peer::To(program.at()), Peer()};
    session.client.Send(std::string("\x05\x01\x02\x01", 4) + static_cast<char>(name.size()) + name + "\x0bopen-sesame" +
                        ConnectRequest(listener.at()));
    session.target = listener.Accept();
    CHECK(Hex(session.client.Receive(14)) ==
          Hex(std::string("\x05\x02\x01\x00", 4) + Success(session.target.remote())));
    return session;
  };
  const TestGateway::Session alice = open("alice");
  const TestGateway::Session bob = open("bob");
  const TestGateway::Session carol = open("carol");
  const TestGateway::Session dave = open("dave");
  const TestGateway::Session erin = open("erin");
  write_users("alice:{plain}open-sesame\nbob:{plain}open-sesame-2\ncarol:" + kept + "\ndave:" + other +
              "\nerin:" + kept + "\n");
  program.Signal(SIGHUP);
  for (const auto* changed : {&bob, &dave, &erin}) CHECK(changed->client.ReceiveToReset().empty());
  for (const auto* same : {&alice, &carol}) {
    same->client.Send("question");
    CHECK(same->target.Receive(8) == "question");
  }
}

// Runs one short session after another beside a lasting one until `stop`. Returns how many; throws on an error.
int ServeUnderLoad(const Program& program, const std::atomic<bool>& stop) {
  const TargetListener listener;
  const auto open = [&] {
    TestGateway::Session session{Peer::To(program.at()), Peer()};
    session.client.Send(kGreeting + ConnectRequest(listener.at()));
    session.target = listener.Accept();
    if (session.client.Receive(12) != kChosenNone + Success(session.target.remote())) {
      throw std::runtime_error("not connected");
    }
    return session;
  };
  const auto exchange = [](const TestGateway::Session& session) {
    session.client.Send("question");
    if (session.target.Receive(8) != "question") throw std::runtime_error("no question");
    session.target.Send("answer");
    if (session.client.Receive(6) != "answer") throw std::runtime_error("no answer");
  };
  const TestGateway::Session lasting = open();
  int sessions = 1;
  for (; !stop; ++sessions) {
    const TestGateway::Session session = open();
    exchange(session);
    exchange(lasting);
  }
  exchange(lasting);
  return sessions;
}

TEST_CASE("a hundred reloads under load lose no connection") {
  constexpr int kReloads = 100;
  const Configured gateway("deny target 192.0.2.0/24\n");
  std::atomic<bool> stop = false;
  std::vector<std::future<int>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::async(std::launch::async, [&] { return ServeUnderLoad(gateway.program, stop); }));
  }
  const struct StopThem {
    ~StopThem() { stop = true; }
    std::atomic<bool>& stop;
  } stop_them{stop};  // stops the clients before the futures wait for them, also on failure
  const auto reloads = [&] {
    const std::string text = gateway.program.LogText();
    int count = 0;
    for (std::size_t at = text.find(" notice reload"); at != std::string::npos;
         at = text.find(" notice reload", at + 1)) {
      ++count;
    }
    return count;
  };
  for (int i = 1; i <= kReloads; ++i) {
    gateway.folder.Write("penstock.conf", i % 2 == 0 ? "deny target 192.0.2.0/24\n"
                                                     : "deny target 198.51.100.0/24\nmax-connections-per-client 500\n");
    gateway.program.Signal(SIGHUP);
    REQUIRE(WaitUntil([&] { return reloads() == i; }));
  }
  stop = true;
  int sessions = 0;
  for (std::future<int>& client : clients) CHECK_NOTHROW(sessions += client.get());
  CHECK(sessions > 2 * static_cast<int>(clients.size()));  // some of them during the reloads
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
