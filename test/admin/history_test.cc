#include "penstock/admin/history.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "test/support/sockets.h"

namespace penstock {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using unit::At;

TEST_CASE("history: a session that has ended has its values as text, rounded as in the log; null if unknown") {
  RecentList list;
  RecentSession full;
  full.row.id = {1, {17, 3}};
  full.row.state = SessionState::kRelay;
  full.row.client = At("192.0.2.7:4711");
  full.row.user = "alice";
  full.row.command = Command::kConnect;
  full.row.asked = "www.example.org";
  full.row.port = 443;
  full.row.target = At("198.51.100.9:443");
  full.row.bytes_up = 5;
  full.row.bytes_down = 18'000'000'000'000'000'000u;
  full.row.age = microseconds(1'234'600);
  full.end = SessionEnd::kClosed;
  full.reply = Outcome::kSucceeded;
  full.decider = static_cast<Decider>(12);
  full.ended = TimePoint(seconds(100));
  list.sessions.push_back(full);
  RecentSession early;
  early.row.id = {0, {0, 0}};
  early.row.client = At("[2001:db8::1]:1");
  early.end = SessionEnd::kBadRequest;
  list.sessions.push_back(early);
  list.complete = false;
  Json json;
  WriteRecent(json, list, seconds(1'700'000'000));
  CHECK(json.Take() ==
        R"({"recent":[{"id":"1-17-3","client":"192.0.2.7:4711","user":"alice","command":"connect",)"
        R"("asked":"www.example.org:443","target":"198.51.100.9:443","state":"relay","up":5,)"
        R"("down":18000000000000000000,"reply":"succeeded","rule":"12","end":"closed","duration":1.235,)"
        R"("time":1700000100.000},)"
        R"({"id":"0-0-0","client":"[2001:db8::1]:1","user":null,"command":null,"asked":null,"target":null,)"
        R"("state":"nego","up":0,"down":0,"reply":null,"rule":null,"end":"bad-request","duration":0.000,)"
        R"("time":1700000000.000}],)"
        R"("complete":false})");
}

TEST_CASE("history: a target has its name as foreign text") {
  TargetList list;
  list.rows.push_back({.target = "a\"b\xff:80", .sessions = 2, .bytes_up = 3, .bytes_down = 4, .error = 5});
  Json json;
  WriteTargets(json, list);
  CHECK(json.Take() ==
        "{\"targets\":[{\"target\":\"a\\\"b\xef\xbf\xbd:80\",\"sessions\":2,\"up\":3,\"down\":4,\"error\":5}],"
        "\"complete\":true}");
}

}  // namespace
}  // namespace penstock
