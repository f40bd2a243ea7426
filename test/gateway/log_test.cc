// The log: a line for each session, nothing forged, and no client waits for it.
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
  const bool found = WaitUntil([&] {
    lines.clear();
    std::istringstream text(gateway.LogText());
    for (std::string line; std::getline(text, line);) {
      if (line.find(' ' + event + ' ') != std::string::npos) lines.push_back(line);
    }
    return lines.size() >= count;
  });
  CAPTURE(gateway.LogText());
  CHECK(found);
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

TEST_CASE("a finished session is one line with client, command, target, reply, bytes, duration and ending") {
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

TEST_CASE("the line of a session to a name has the name and the address") {
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

TEST_CASE("the line of a refused session has the reply; without a request it has none") {
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

TEST_CASE("the line of a session says whether it was reset or idle") {
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

TEST_CASE("warnings about clients that do not speak SOCKS5 are limited; suppressed ones are counted") {
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
  // Every connection is reported or counted as suppressed.
  CHECK(WaitUntil([&] {
    std::size_t reported = 0;
    std::istringstream lines(gateway.LogText());
    for (std::string line; std::getline(lines, line);) {
      const std::size_t number = line.find(" suppressed=");
      reported += number == std::string::npos ? 1 : std::stoul(line.substr(number + 12));
    }
    return reported == 100;
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

TEST_CASE("a log that nobody reads does not delay a client") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  {
    const TestGateway gateway(TestSettings(), write_end.get());
    const TargetListener listener;
    // Each of these lines is a kilobyte; all of them are more than the pipe and the log's queue can hold.
    const std::string name(240, '\xff');
    // A session that waited for the log would wait for ever, and the test would fail.
    for (int i = 0; i < 1500; ++i) CHECK(gateway.AnswerTo(ConnectRequest(name, 80)) == Refusal(4));
    PingPong(gateway.Open(listener), 10);
  }
  // Only whole lines were written.
  std::string text(8192, '\0');
  const ssize_t size = ::read(read_end.get(), text.data(), text.size());
  REQUIRE(size > 0);
  CHECK(text[static_cast<std::size_t>(size) - 1] == '\n');
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
