// SIGHUP: what is read again, what is not, and that a mistake changes nothing.
#include <signal.h>

#include <string>

#include <doctest/doctest.h>

#include "test/support/bytes.h"
#include "test/support/peer.h"
#include "test/support/program.h"
#include "test/support/temp_directory.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("reload");

struct Configured {
  explicit Configured(std::string_view text)
      : path(folder.Write("penstock.conf", text)), program({"--config=" + path}) {}

  // Waits for `told` to be in the log.
  void Reload(std::string_view text, std::string_view told) const {
    folder.Write("penstock.conf", text);
    program.Signal(SIGHUP);
    REQUIRE(program.WaitForLog(told));
  }

  TempDirectory folder;
  std::string path;
  Program program;
};

TEST_CASE("SIGHUP reads the file again, and sessions live on") {
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

TEST_CASE("SIGHUP tells what would need a new start") {
  const Configured gateway("idle-timeout 1h\n");
  gateway.Reload("idle-timeout 2h\nworkers 2\n", "notice reload needs-restart=\"workers, idle-timeout\"\n");
}

TEST_CASE("a file with a mistake changes nothing and says so") {
  const Configured gateway("idle-timeout 1h\n");
  gateway.Reload("idle-timeout 1h\nworkers none\n",
                 "error reload-failed reason=\"" + gateway.path +
                     ":2: workers: 'none' is not accepted; give a number from 1 to 1024\"\n");
  const TargetListener listener;
  const Peer client = Peer::To(gateway.program.at());
  client.Send(kGreeting + ConnectRequest(listener.at()));
  listener.Accept();
  CHECK(Hex(client.Receive(4)) == Hex(kChosenNone + std::string("\x05\x00", 2)));
  gateway.Reload("idle-timeout 1h\n", "notice reload\n");  // and the next one is read as ever
}

TEST_CASE("SIGHUP without a file is no reason to end") {
  const Program program({});
  program.Signal(SIGHUP);
  CHECK(program.WaitForLog("notice reload\n"));
  CHECK(Peer::To(program.at()).Silent(std::chrono::milliseconds(1)));
}

TEST_CASE("the log level is read again") {
  const Configured gateway("log-level notice\n");
  const auto refused_session = [&] { Peer::To(gateway.program.at()).Send(std::string("\x05\x00", 2)); };
  refused_session();
  gateway.Reload("log-level info\n", "notice reload\n");
  refused_session();
  CHECK(gateway.program.WaitForLog(" info session "));
  CHECK(gateway.program.LogText().find(" info session ") > gateway.program.LogText().find("notice reload"));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
