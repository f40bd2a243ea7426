#include "penstock/ctl/screen.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/json.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using test::ReadJson;

JsonValue Info(int accepted, int up) {
  return ReadJson(R"({"version":"1.2.3","start_time":5.0,"uptime":60.0,"phase":"serving","reason":null,"workers":2,
      "sessions":{"live":2},"limits":[{"name":"far","used":1,"limit":100},{"name":"near","used":9,"limit":10}],
      "totals":{"accepted":)" +
                  std::to_string(accepted) + R"(,"up":)" + std::to_string(up) + R"(,"down":0}})");
}

JsonValue Sessions(const std::vector<std::string>& ids) {
  std::string rows;
  for (const std::string& id : ids) {
    rows += (rows.empty() ? "" : ",") + std::string(R"({"id":")") + id +
            R"(","client":"192.0.2.1:4711","user":"a\u001b[2J","command":"connect","asked":"example.com:443",
            "target":"192.0.2.9:443","state":"relay","up":1024,"down":2048,"rate":1000,"age":5.0})";
  }
  return ReadJson("{\"sessions\":[" + rows + "],\"next\":null}");
}

// The lines of a frame, without the sequences that Screen may write; any other control character stays.
std::vector<std::string> Lines(const std::string& frame) {
  std::vector<std::string> lines(1);
  for (std::string_view rest = frame; !rest.empty();) {
    bool taken = false;
    for (const std::string_view known : {"\x1b[7m", "\x1b[1m", "\x1b[0m"}) {
      if (!rest.starts_with(known)) continue;
      rest.remove_prefix(known.size());
      taken = true;
      break;
    }
    if (taken) continue;
    if (rest.starts_with("\r\n")) {
      lines.emplace_back();
      rest.remove_prefix(2);
    } else {
      lines.back() += rest.front();
      rest.remove_prefix(1);
    }
  }
  for (std::string& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

std::vector<std::string> Ids(int count) {
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) ids.push_back("0-" + std::to_string(i) + "-1");
  return ids;
}

TEST_CASE("screen: a frame fits any terminal, and holds no foreign control character") {
  Screen screen;
  screen.SetInfo(Info(0, 0), TimePoint(1s));
  screen.SetSessions(Sessions(Ids(100)));
  screen.set_notice("the gateway is\n gone");
  for (std::size_t rows = 0; rows < 60; rows += 3) {
    for (std::size_t columns = 1; columns < 200; columns += 13) {
      const auto lines = Lines(screen.Frame({columns, rows}));
      CHECK(lines.size() == std::max<std::size_t>(rows, 1));
      for (const std::string& line : lines) {
        CHECK(line.size() <= columns);
        CHECK(std::ranges::all_of(line, [](char c) { return c >= ' ' && c <= '~'; }));
      }
    }
  }
}

TEST_CASE("screen: rates come from the last two answers") {
  Screen screen;
  screen.SetInfo(Info(10, 0), TimePoint(1s));
  CHECK(Lines(screen.Frame({120, 24}))[1].starts_with("traffic  -;"));
  screen.SetInfo(Info(16, 1'000'000), TimePoint(3s));
  CHECK(Lines(screen.Frame({120, 24}))[1] ==
        "traffic  4.00 Mbit/s up, 0 bit/s down, 3 new sessions/s; in all 977 KiB up, 0 B down");
  JsonValue other = ReadJson(R"({"start_time":9.0,"totals":{"accepted":1,"up":0,"down":0}})");
  screen.SetInfo(other, TimePoint(4s));  // another gateway, or one that has been restarted
  CHECK(Lines(screen.Frame({120, 24}))[1].starts_with("traffic  -;"));
}

TEST_CASE("screen: the load of a worker is its time in turns") {
  Screen screen;
  screen.SetWorkers(ReadJson(R"({"workers":[{"busy":1.0},{"busy":3.0}]})"), TimePoint(1s));
  screen.SetWorkers(ReadJson(R"({"workers":[{"busy":1.5},{"busy":3.0}]})"), TimePoint(2s));
  CHECK(Lines(screen.Frame({120, 24}))[2] == "workers  0: 50%  1: 0%");
}

TEST_CASE("screen: the nearest limit comes first") {
  Screen screen;
  screen.SetInfo(Info(0, 0), TimePoint(1s));
  CHECK(Lines(screen.Frame({120, 24}))[3] == "limits   near 9/10 (90%)  far 1/100 (1%)");
}

TEST_CASE("screen: the selection stops at both ends, and follows its session") {
  Screen screen;
  CHECK(screen.selected().empty());
  screen.Move(1);
  screen.SetSessions(Sessions({"a", "b", "c"}));
  CHECK(screen.selected() == "a");
  screen.Move(-1);
  CHECK(screen.selected() == "a");
  screen.Move(1);
  screen.SetSessions(Sessions({"c", "x", "b"}));
  CHECK(screen.selected() == "b");
  screen.Move(100);
  CHECK(screen.selected() == "b");
  screen.SetSessions(Sessions({"c"}));
  CHECK(screen.selected() == "c");
  screen.SetSessions(Sessions({}));
  CHECK(screen.selected().empty());
}

TEST_CASE("screen: the selected session is always shown") {
  Screen screen;
  screen.SetSessions(Sessions(Ids(100)));
  for (int i = 0; i < 100; ++i) {
    const std::string frame = screen.Frame({100, 24});
    const std::size_t selected = frame.find("\x1b[7m");
    REQUIRE(selected != std::string::npos);
    CHECK(frame.compare(selected + 4, screen.selected().size() + 1, screen.selected() + ' ') == 0);
    screen.Move(1);
  }
}

}  // namespace
}  // namespace penstock
