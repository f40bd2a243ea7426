#include "penstock/admin/users.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using std::chrono::milliseconds;

TEST_CASE("users: the list has an object for each account, with null for what is unknown") {
  std::vector<UserRow> rows(2);
  rows[0].kept.user = "al\"ice";
  rows[0].kept.usage = {.bytes = {1, 2}, .datagrams = {3, 4}};
  rows[0].kept.sessions = 5;
  rows[0].kept.failed_logins = 6;
  rows[0].kept.first_seen = milliseconds(1'790'000'000'001);
  rows[0].kept.last_seen = milliseconds(1'790'000'001'000);
  rows[0].sessions = 7;
  rows[0].clients = 8;
  rows[0].kept.quota_used = 9;
  rows[0].kept.quota_ends = std::chrono::seconds(1'790'000'100);
  for (const auto& limit : {std::pair("quota", "1k per month"), std::pair("expires", "2027-01-31"),
                            std::pair("hours", "Mon-Fri 08:00-18:00"), std::pair("max-clients", "3")}) {
    REQUIRE_FALSE(rows[0].limits.Set(limit.first, limit.second).has_value());
  }
  rows[1].kept.user = "bob";
  for (const auto& limit : {std::pair("quota", "none"), std::pair("expires", "never"), std::pair("hours", "any"),
                            std::pair("max-clients", "0")}) {
    REQUIRE_FALSE(rows[1].limits.Set(limit.first, limit.second).has_value());
  }
  Json json;
  WriteUsers(json, rows, 2);
  const std::string text = json.Take();
  CHECK(text.starts_with(
      R"({"users":[{"user":"al\"ice","sessions":7,"sessions_total":5,"up":1,"down":2,"datagrams_up":3,)"
      R"("datagrams_down":4,"logins_failed":6,"first_seen":1790000000.001,"last_seen":1790000001.000,"clients":8,)"
      R"("max_clients":3,)"
      R"("quota":{"limit":1000,"used":9,"period":"month","resets":1790000100.000},"expires":"2027-01-31",)"
      R"("hours":"Mon-Fri 08:00-18:00"})"));
  CHECK(text.find(R"({"user":"bob","sessions":0,"sessions_total":0,"up":0,"down":0,"datagrams_up":0,)"
                  R"("datagrams_down":0,"logins_failed":0,"first_seen":null,"last_seen":null,"clients":0,)"
                  R"("max_clients":null,"quota":null,"expires":null,"hours":null})") != std::string::npos);
  CHECK(text.ends_with(R"(}],"next":null})"));
  WriteUsers(json, {}, 1);
  CHECK(json.Take() == R"({"users":[],"next":null})");
  WriteUsers(json, rows, 1);
  CHECK(json.Take().ends_with(R"("hours":"Mon-Fri 08:00-18:00"}],"next":"al\"ice"})"));
}

}  // namespace
}  // namespace penstock
