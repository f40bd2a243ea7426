// What the operator reads: a line for each session, nothing forged, and never at the cost of a client.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "test/support/exchange.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("log");

// The lines of `event`, once there are `count` of them.
std::vector<std::string> Lines(const TestGateway& gateway, const std::string& event, std::size_t count) {
  std::vector<std::string> lines;
  const bool came = WaitUntil([&] {
    lines.clear();
    std::istringstream text(gateway.LogText());
    for (std::string line; std::getline(text, line);) {
      if (line.find(' ' + event + ' ') != std::string::npos) lines.push_back(line);
    }
    return lines.size() >= count;
  });
  CAPTURE(gateway.LogText());
  CHECK(came);
  CHECK(lines.size() == count);
  lines.resize(count);
  return lines;
}

constexpr const char* kTime = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)";

void CheckMatches(const std::string& line, const std::string& pattern) {
  CAPTURE(line);
  CAPTURE(pattern);
  CHECK(std::regex_match(line, std::regex(pattern)));
}

TEST_CASE("a finished session is one line that says who, what, how much, how long, and how it ended") {
  const TestGateway gateway;
  const TargetListener listener;
  std::string client_address;
  {
    const auto [client, target] = gateway.Open(listener);
    client_address = client.local().ToString();
    client.Send("question");
    CHECK(target.Receive(8) == "question");
    target.Send("answer");
    CHECK(client.Receive(6) == "answer");
  }
  CheckMatches(Lines(gateway, "session", 1)[0],
               std::string(kTime) + " info session client=" + client_address +
                   " command=connect asked=127.0.0.1 port=" + std::to_string(listener.at().port) +
                   " target=" + listener.at().ToString() + R"( reply=0 up=8 down=6 seconds=\d+\.\d{3} end=closed)");
}

TEST_CASE("a session that asked for a name shows the name and the address") {
  const TestGateway gateway;
  const TargetListener listener;
  {
    const Peer client = gateway.GreetedClient();
    client.Send(ConnectRequest("LocalHost", listener.at().port));
    const Peer target = listener.Accept();
    CHECK(client.Receive(2) == "05 00"_hex);
  }
  const std::string line = Lines(gateway, "session", 1)[0];
  CAPTURE(line);
  CHECK(line.find(" asked=LocalHost ") != std::string::npos);
  CHECK(line.find(" target=" + listener.at().ToString() + ' ') != std::string::npos);
}

TEST_CASE("a refused session shows its reply, and one that left before its request shows none") {
  const TestGateway gateway;
  const ClosedPort closed;
  gateway.AnswerTo(ConnectRequest(closed.at()));
  CHECK(Lines(gateway, "session", 1)[0].find(" reply=5 up=0 down=0 ") != std::string::npos);
  { const Peer client = gateway.Client(); }
  const std::string line = Lines(gateway, "session", 2)[1];
  CAPTURE(line);
  CHECK(line.find(" reply=") == std::string::npos);
  CHECK(line.find(" end=client-left") != std::string::npos);
}

TEST_CASE("a session that was reset, or was idle, says so") {
  const TargetListener listener;
  {
    const TestGateway gateway;
    gateway.Open(listener).target.Abort();
    CHECK(Lines(gateway, "session", 1)[0].find(" end=reset") != std::string::npos);
  }
  BeforeDeadline([&](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.idle_timeout = deadline;
    const TestGateway gateway(settings);
    const auto session = gateway.Open(listener);
    CHECK(Lines(gateway, "session", 1)[0].find(" end=idle") != std::string::npos);
    return true;
  });
}

TEST_CASE("foreign bytes in a name cannot forge a line or a field, or reach a terminal") {
  const TestGateway gateway;
  const std::string names[] = {"x\n2026-01-01T00:00:00.000Z notice forged a=b", "\x1b[2J\x1b[31mred", "a b=c\"d\\e",
                               "\xff\x80\x7f\t\r"};
  for (const std::string& name : names) {
    CHECK(Hex(gateway.AnswerTo(ConnectRequest(name, 80))) == Hex(Refusal(4)));
  }
  const auto lines = Lines(gateway, "session", std::size(names));
  const std::string text = gateway.LogText();
  CHECK(std::ranges::count(text, '\n') == static_cast<std::ptrdiff_t>(std::size(names)));
  CHECK(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  CHECK(lines[0].find(R"( asked="x\x0a2026-01-01T00:00:00.000Z notice forged a=b" )") != std::string::npos);
  CHECK(lines[1].find(R"( asked=\x1b[2J\x1b[31mred )") != std::string::npos);
  CHECK(lines[2].find(R"( asked="a b=c\x22d\x5ce" )") != std::string::npos);
  CHECK(lines[3].find(R"( asked=\xff\x80\x7f\x09\x0d )") != std::string::npos);
}

TEST_CASE("complaints about strangers are bounded, however many come") {
  Settings settings = TestSettings();
  settings.policy.log_level = LogLevel::kWarn;
  const TestGateway gateway(settings);
  const Stopwatch watch;
  for (int i = 0; i < 100; ++i) {
    const Peer client = gateway.Client();
    client.Send("GET / HTTP/1.1\r\n\r\n");
    CHECK(client.ReceiveToEnd().empty());
  }
  CHECK(gateway.Count(&Counters::not_socks5) == 100);
  const std::string text = gateway.LogText();
  CHECK(std::ranges::count(text, '\n') <= 2 + 2 * (watch.elapsed() / milliseconds(1000)));
  // Each is accounted for.
  CHECK(WaitUntil([&] {
    std::size_t told = 0;
    std::istringstream lines(gateway.LogText());
    for (std::string line; std::getline(lines, line);) {
      const std::size_t number = line.find(" suppressed=");
      told += number == std::string::npos ? 1 : std::stoul(line.substr(number + 12));
    }
    return told == 100;
  }));
}

TEST_CASE("sessions are logged at info only") {
  Settings settings = TestSettings();
  settings.policy.log_level = LogLevel::kNotice;
  const TestGateway gateway(settings);
  const TargetListener listener;
  { const auto session = gateway.Open(listener); }
  CHECK(gateway.WaitForSessions(0));
  CHECK(gateway.LogText().empty());
}

TEST_CASE("a log that nobody reads never holds up a client") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  {
    const TestGateway gateway(TestSettings(), write_end.get());
    const TargetListener listener;
    // Each of these lines is a kilobyte: more than the pipe and the queue of the log have room for.
    const std::string name(240, '\xff');
    // What waits here for the log waits for ever, and so for longer than anyone has patience.
    for (int i = 0; i < 1500; ++i) CHECK(gateway.AnswerTo(ConnectRequest(name, 80)) == Refusal(4));
    PingPong(gateway.Open(listener), 10);
  }
  // What was written is whole lines.
  std::string text(8192, '\0');
  const ssize_t size = ::read(read_end.get(), text.data(), text.size());
  REQUIRE(size > 0);
  CHECK(text[static_cast<std::size_t>(size) - 1] == '\n');
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
