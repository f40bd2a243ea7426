#include "penstock/ctl/report.h"

#include <chrono>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "test/support/json.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using test::ReadJson;

bool Contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool IsPrintable(std::string_view text) {
  return text.find_first_not_of("\n") == std::string_view::npos ||
         text.find_first_of(std::string_view("\0\x1b\r\t\x7f\x80\xc2", 7)) == std::string_view::npos;
}

TEST_CASE("report: the status has a line for each thing") {
  const std::string text =
      StatusReport(ReadJson(R"({"version":"1.2.3","pid":7,"uptime":7980.5,"phase":"serving","ready":true,"reason":null,
        "listening":["127.0.0.1:1080","[::1]:1080"],"workers":2,"sessions":{"live":3,"states":{"nego":0,"relay":3}},
        "limits":[{"name":"max-connections","used":3,"limit":12}],"memory":{"resident":1048576},
        "totals":{"accepted":9,"refused":1,"up":2048,"down":0,"logins_failed":0,"datagrams_up":0,"datagrams_down":5},
        "reload":{"succeeded":false,"time":940.0,"error":"a.conf:3: 'x' is not a number"},
        "log":{"level":"info","format":"text","lost":0}})"),
                   1'000s);
  CHECK(Contains(text, "gateway    penstock 1.2.3, process 7, up 2h13m\n"));
  CHECK(Contains(text, "state      serving, ready\n"));
  CHECK(Contains(text, "listening  127.0.0.1:1080, [::1]:1080\n"));
  CHECK(Contains(text, "sessions   3 (relay 3)\n"));
  CHECK(Contains(text, "traffic    2.00 KiB up, 0 B down, datagrams 0 up, 5 down\n"));
  CHECK(Contains(text, "limits     max-connections 3 of 12 (25%)\n"));
  CHECK(Contains(text, "reload     failed, and what was loaded 1m00s ago holds: a.conf:3: 'x' is not a number\n"));
}

TEST_CASE("report: what a gateway does not tell is a dash") {
  const JsonValue nothing = ReadJson("{}");
  CHECK(Contains(StatusReport(nothing, 0s), "memory     -\n"));
  CHECK(SessionsReport(nothing, 80) == "no session\n");
  CHECK(RecentReport(nothing, 0s, 80) == "no session has ended\n");
  CHECK(UsersReport(nothing, 0s, 80) == "no user\n");
  CHECK(TargetsReport(nothing, 80) == "no target\n");
  CHECK(Contains(SessionsReport(ReadJson(R"({"sessions":[{}]})"), 0), "-   -"));
}

TEST_CASE("report: nothing that a client sends moves the cursor") {
  const std::string row = R"({"id":"0-1-2","client":"192.0.2.1:4","user":"\u001b[2J\r\n","command":"connect",
      "asked":"\u009bx\u0000:80","target":null,"state":"relay","up":1536,"down":0,"rate":1024,"age":3.5,
      "reply":"succeeded","end":"closed","duration":1.5,"time":10.0})";
  const std::string sessions = SessionsReport(ReadJson("{\"sessions\":[" + row + "],\"next\":\"0-1-2\"}"), 0);
  CHECK(IsPrintable(sessions));
  CHECK(Contains(sessions, "\\x1b[2J\\x0d\\x0a"));
  CHECK(Contains(sessions, "\\xc2\\x9bx\\x00:80"));
  CHECK(Contains(sessions, "1.50 KiB"));
  CHECK(Contains(sessions, "1.00 KiB/s  3.5s\n"));
  CHECK(Contains(sessions, "There are more"));
  const std::string recent = RecentReport(ReadJson("{\"recent\":[" + row + "]}"), 15s, 0);
  CHECK(IsPrintable(recent));
  CHECK(Contains(recent, "5.0s ago  192.0.2.1:4"));
}

TEST_CASE("report: a refusal is the error of the body, or what the status means") {
  const auto refusal = [](int status, const std::string& body) {
    return RefusalOf({.status = status, .body = body}, JsonValue::Parse(body), "recent");
  };
  CHECK(refusal(422, R"({"error":"a.conf:3: no"})") == "a.conf:3: no");
  CHECK(refusal(401, "401 Unauthorized\n") == "the gateway wants its token: give --token-file FILE");
  CHECK(refusal(404, "404 Not Found\n") == "this gateway does not know the command recent (404 Not Found)");
  CHECK(refusal(503, "503 busy\nx\n") == "the gateway refuses: 503 busy");
  CHECK(refusal(500, "") == "the gateway refuses: 500");
}

TEST_CASE("report: a list says that rows are missing") {
  CHECK(Gap(ReadJson(R"({"sessions":[],"complete":false})")) == "This is not all: a worker did not answer in time.\n");
  CHECK(Gap(ReadJson(R"({"sessions":[],"complete":true})")) == "");
  CHECK(Gap(ReadJson(R"({"users":[]})")) == "");
}

TEST_CASE("report: a user's limits are words") {
  const std::string text = UsersReport(
      ReadJson(
          R"({"users":[{"user":"alice","sessions":1,"sessions_total":5,"up":0,"down":1024,"clients":1,"max_clients":3,
        "quota":{"limit":2048,"used":1024,"period":"month","resets":7300},"expires":"2027-01-31","hours":null,
        "last_seen":95.0,"logins_failed":0}]})"),
      100s, 0);
  CHECK(
      Contains(text, "5.0s ago  1.00 KiB of 2.00 KiB a month, resets in 2h00m, at most 3 clients, until 2027-01-31\n"));
}

}  // namespace
}  // namespace penstock
