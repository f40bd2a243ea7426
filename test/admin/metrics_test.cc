#include "penstock/admin/metrics.h"

#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/text.h"

namespace penstock {
namespace {

struct Example {
  Example() { totals.accepted = {3, 4}; }

  std::string Text(bool openmetrics = false) const { return MetricsText(totals, facts, openmetrics); }

  Totals totals;
  std::vector<Endpoint> listening{*Endpoint::Parse("127.0.0.1:1080"), *Endpoint::Parse("[::1]:1080")};
  ProcessFacts facts{.version = "1.2.3", .listening = listening, .sessions_max = 100, .workers = 2};
};

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) lines.emplace_back(TakeLine(text));
  return lines;
}

bool Has(const std::string& text, const std::string& line) {
  return ('\n' + text).find('\n' + line + '\n') != text.npos;
}

TEST_CASE("metrics: counters, gauges and facts have a line each, with their labels") {
  Example example;
  example.totals.counters.relays_killed.Add(5);
  example.totals.counters.replies[1][8].Add(2);
  example.totals.gauges.sessions[5].Set(9);
  example.facts.last_reload_succeeded = false;
  example.facts.last_reload_success = std::chrono::milliseconds(1'700'000'000'250);
  example.facts.log_lines_lost = 7;
  const std::string text = example.Text();
  for (const char* line : {
           "# TYPE penstock_relays_ended_total counter",
           "penstock_relays_ended_total{reason=\"killed\"} 5",
           "penstock_requests_total{protocol=\"socks5\",command=\"bind\",rep=\"8\"} 2",
           "penstock_connections_accepted_total{listener=\"127.0.0.1:1080\"} 3",
           "penstock_connections_accepted_total{listener=\"[::1]:1080\"} 4",
           "# TYPE penstock_sessions gauge",
           "penstock_sessions{state=\"relay\"} 9",
           "penstock_build_info{version=\"1.2.3\"} 1",
           "penstock_sessions_limit 100",
           "penstock_workers 2",
           "penstock_workers_missing 0",
           "penstock_config_last_reload_successful 0",
           "penstock_config_last_reload_success_timestamp_seconds 1700000000.25",
           "penstock_log_lines_lost_total 7",
       }) {
    CAPTURE(line);
    CHECK(Has(text, line));
  }
  CHECK_FALSE(text.find("# EOF") != std::string::npos);
}

TEST_CASE("metrics: the buckets of a histogram are cumulative, in seconds, and the last one counts all") {
  Example example;
  auto& durations = example.totals.counters.durations;
  durations.connect.Observe(std::chrono::milliseconds(1));
  durations.connect.Observe(std::chrono::milliseconds(20));
  durations.connect.Observe(std::chrono::seconds(60));
  durations.sessions.Observe(std::chrono::hours(24));
  durations.turns.Observe(std::chrono::microseconds(3));
  const std::string text = example.Text();
  for (const char* line : {
           "# TYPE penstock_connect_duration_seconds histogram",
           "penstock_connect_duration_seconds_bucket{le=\"0.001\"} 1",
           "penstock_connect_duration_seconds_bucket{le=\"0.01\"} 1",
           "penstock_connect_duration_seconds_bucket{le=\"0.025\"} 2",
           "penstock_connect_duration_seconds_bucket{le=\"10.0\"} 2",
           "penstock_connect_duration_seconds_bucket{le=\"+Inf\"} 3",
           "penstock_connect_duration_seconds_sum 60.021",
           "penstock_connect_duration_seconds_count 3",
           "penstock_session_duration_seconds_bucket{le=\"0.1\"} 0",
           "penstock_session_duration_seconds_bucket{le=\"43200.0\"} 0",
           "penstock_session_duration_seconds_bucket{le=\"86400.0\"} 1",
           "penstock_session_duration_seconds_sum 86400.0",
           "penstock_worker_turn_seconds_bucket{le=\"0.00001\"} 1",
           "penstock_worker_turn_seconds_sum 0.000003",
       }) {
    CAPTURE(line);
    CHECK(Has(text, line));
  }
}

UserRow User(std::string_view name, std::uint64_t up, std::uint64_t down, std::uint64_t sessions) {
  UserRow row;
  row.kept.user = name;
  row.kept.usage.bytes = {up, down};
  row.kept.sessions = sessions;
  return row;
}

TEST_CASE("metrics: users have series only on request, each family once, and no name breaks the text") {
  Example example;
  CHECK(example.Text().find("user_") == std::string::npos);
  example.facts.users = {User("alice", 1, 2, 3), User("a \"b\\\xc3\xa9", 4, 5, 6)};
  for (const bool openmetrics : {false, true}) {
    const std::string text = example.Text(openmetrics);
    const std::string total = openmetrics ? "" : "_total";
    for (const std::string& line : {
             "# TYPE penstock_user_traffic_bytes" + total + " counter",
             std::string(R"(penstock_user_traffic_bytes_total{user="alice",direction="up"} 1)"),
             std::string(R"(penstock_user_traffic_bytes_total{user="alice",direction="down"} 2)"),
             std::string(R"(penstock_user_traffic_bytes_total{user="a \"b\\x5c\\xc3\\xa9",direction="down"} 5)"),
             "# TYPE penstock_user_sessions" + total + " counter",
             std::string(R"(penstock_user_sessions_total{user="alice"} 3)"),
         }) {
      CAPTURE(line);
      CHECK(Has(text, line));
      CHECK(text.find(line + '\n') == text.rfind(line + '\n'));
    }
  }
}

TEST_CASE("metrics: of many users those with the most traffic have series, by name") {
  const std::vector<UserRow> rows = {User("a", 1, 0, 9), User("b", 0, 7, 1), User("c", 2, 2, 1), User("d", 0, 0, 1)};
  const auto names = [&](std::size_t count) {
    std::string all;
    for (const UserRow& row : Busiest(rows, count)) all += row.kept.user;
    return all;
  };
  CHECK(names(4) == "abcd");
  CHECK(names(3) == "abc");
  CHECK(names(2) == "bc");
  CHECK(names(0).empty());
}

TEST_CASE("metrics: what the system does not tell about the process is missing, and the rest has no prefix") {
  Example example;
  CHECK(example.Text().find("process_") == std::string::npos);
  example.facts.usage = {.cpu = std::chrono::microseconds(1'500'000),
                         .resident_bytes = 4096,
                         .virtual_bytes = {},
                         .descriptors = 12,
                         .descriptors_max = 1024,
                         .started_at = std::chrono::milliseconds(1'700'000'000'000)};
  const std::string text = example.Text();
  for (const char* line : {"# TYPE process_cpu_seconds_total counter", "process_cpu_seconds_total 1.5",
                           "process_resident_memory_bytes 4096", "process_open_fds 12", "process_max_fds 1024",
                           "process_start_time_seconds 1700000000.0"}) {
    CAPTURE(line);
    CHECK(Has(text, line));
  }
  CHECK(text.find("process_virtual") == std::string::npos);
}

// The family of a sample, or of a "# HELP" or "# TYPE" line.
std::string FamilyOf(const std::string& line, bool openmetrics, const std::set<std::string>& histograms) {
  std::string_view rest = line;
  if (line.starts_with('#')) {
    rest.remove_prefix(std::string_view("# TYPE ").size());
    return std::string(rest.substr(0, rest.find(' ')));
  }
  std::string name(rest.substr(0, rest.find_first_of("{ ")));
  if (openmetrics && name.ends_with("_total")) name.resize(name.size() - std::string_view("_total").size());
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (name.ends_with(suffix) && histograms.count(name.substr(0, name.size() - suffix.size())) > 0)
      name.resize(name.size() - suffix.size());
  }
  return name;
}

TEST_CASE("metrics: in both formats each family is one group, opened by its help and its type, and no line repeats") {
  Example example;
  example.facts.usage.descriptors = 3;
  for (const bool openmetrics : {false, true}) {
    CAPTURE(openmetrics);
    std::set<std::string> opened;
    std::set<std::string> histograms;
    std::set<std::string> series;
    std::string family;
    std::vector<std::string> lines = Lines(example.Text(openmetrics));
    if (openmetrics) {
      CHECK(lines.back() == "# EOF");
      lines.pop_back();
    }
    for (const std::string& line : lines) {
      CAPTURE(line);
      if (line.starts_with("# TYPE ") && line.ends_with(" histogram"))
        histograms.insert(FamilyOf(line, openmetrics, {}));
      const std::string of_line = FamilyOf(line, openmetrics, histograms);
      if (line.starts_with("# HELP ")) {
        family = of_line;
        CHECK(opened.insert(family).second);
        CHECK(line.ends_with('.'));
        if (openmetrics) CHECK_FALSE(family.ends_with("_total"));
      }
      CHECK(of_line == family);
      if (!line.starts_with('#')) CHECK(series.insert(line.substr(0, line.rfind(' '))).second);
    }
    CHECK(histograms.size() == 4);
  }
}

TEST_CASE("metrics: in the value of a label, quotes, backslashes and line ends are escaped") {
  CHECK(LabelValue("plain {},=#") == "plain {},=#");
  CHECK(LabelValue("a\"b\\c\nd") == "a\\\"b\\\\c\\nd");
  Example example;
  example.facts.version = "1\"\n";
  CHECK(Has(example.Text(), "penstock_build_info{version=\"1\\\"\\n\"} 1"));
}

}  // namespace
}  // namespace penstock
