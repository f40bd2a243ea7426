// How the program ends: after a drain at a signal, at once at a second one, and always with status 0.
#include <signal.h>

#include <string>

#include <doctest/doctest.h>

#include "test/support/bytes.h"
#include "test/support/peer.h"
#include "test/support/program.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("signals");

// A session through `program`.
TestGateway::Session Open(const Program& program, const TargetListener& listener) {
  TestGateway::Session session{Peer::To(program.at()), Peer()};
  session.client.Send(kGreeting + ConnectRequest(listener.at()));
  session.target = listener.Accept();
  CHECK(Hex(session.client.Receive(12)) == Hex(kChosenNone + Success(session.target.remote())));
  return session;
}

TEST_CASE("a program without sessions ends at once at SIGTERM or SIGINT, with status 0") {
  for (const int signal : {SIGTERM, SIGINT}) {
    CAPTURE(signal);
    Program program({});
    program.Signal(signal);
    CHECK(program.Wait() == 0);
    CHECK(program.LogText().find("notice stop sessions=0") != std::string::npos);
  }
}

TEST_CASE("at SIGTERM the program refuses new clients, and ends with status 0 when the last session has ended") {
  Program program({});
  const TargetListener listener;
  auto [client, target] = Open(program, listener);
  program.Signal(SIGTERM);
  CHECK(program.WaitForLog("notice drain sessions=1 timeout=30s"));
  CHECK(WaitUntil([&] {
    try {
      Peer::To(program.at());
      return false;
    } catch (const std::runtime_error&) {
      return true;
    }
  }));
  client.Send("question");
  CHECK(target.Receive(8) == "question");
  target.Send("answer");
  target.Close();
  CHECK(client.ReceiveToEnd() == "answer");
  client.Close();
  CHECK(program.Wait() == 0);
  CHECK(program.LogText().find("notice stop sessions=0") != std::string::npos);
}

TEST_CASE("at a second SIGTERM the program cuts off its sessions with a reset, and ends with status 0") {
  Program program({});
  const TargetListener listener;
  const auto [client, target] = Open(program, listener);
  program.Signal(SIGTERM);
  CHECK(program.WaitForLog("notice drain"));
  program.Signal(SIGTERM);
  CHECK(client.ReceiveToReset().empty());
  CHECK(target.ReceiveToReset().empty());
  CHECK(program.Wait() == 0);
  CHECK(program.LogText().find("notice stop sessions=1") != std::string::npos);
}

TEST_CASE("after the drain timeout the program cuts off its sessions with a reset, and ends with status 0") {
  Program program({"--drain-timeout", "200ms"});
  const TargetListener listener;
  const auto [client, target] = Open(program, listener);
  const Stopwatch watch;
  program.Signal(SIGTERM);
  CHECK(client.ReceiveToReset().empty());
  CHECK(target.ReceiveToReset().empty());
  CHECK(program.Wait() == 0);
  CHECK(watch.elapsed() >= milliseconds(200));
  CHECK(program.LogText().find("notice stop sessions=1") != std::string::npos);
}

TEST_CASE("a SIGPIPE does not end the program") {
  Program program({});
  const TargetListener listener;
  program.Signal(SIGPIPE);
  { const auto session = Open(program, listener); }
  program.Signal(SIGTERM);
  CHECK(program.Wait() == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
