#include "penstock/login/user_limits.h"

#include <chrono>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "test/support/time_zone.h"

namespace penstock {
namespace {

using std::chrono::seconds;

// Central Europe: CEST until the last Sunday of October at 03:00.
constexpr std::string_view kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";

LocalTime At(int year, int month, int day, int minute = 0) {
  return LocalTimeAt(StartOfDay(year, month, day) + std::chrono::minutes(minute));
}

std::string Day(seconds since_1970) {
  const LocalTime local = LocalTimeAt(since_1970);
  return std::to_string(local.year) + '-' + std::to_string(local.month) + '-' + std::to_string(local.day) + ' ' +
         std::to_string(local.minute);
}

TEST_CASE("local time: the calendar of the host, and the start of a day, also beyond the end of a month") {
  const test::InZone berlin{std::string(kBerlin)};
  const LocalTime local = LocalTimeAt(seconds(1'789'948'800));  // 2026-09-21 00:00 UTC
  CHECK(local.year == 2026);
  CHECK(local.month == 9);
  CHECK(local.day == 21);
  CHECK(local.weekday == 0);
  CHECK(local.minute == 120);
  CHECK(StartOfDay(2026, 9, 21) == seconds(1'789'948'800 - 2 * 3'600));
  CHECK(Day(StartOfDay(2026, 12, 32)) == "2027-1-1 0");
  CHECK(Day(StartOfDay(2026, 13, 15)) == "2027-1-15 0");
  CHECK(StartOfDay(2026, 10, 26) - StartOfDay(2026, 10, 25) == std::chrono::hours(25));
}

TEST_CASE("user limits: a period of a quota ends at a midnight of the host") {
  const test::InZone berlin{std::string(kBerlin)};
  const struct {
    std::string_view quota;
    LocalTime now;
    std::string_view ends;
  } rows[] = {
      {"1G per day", At(2026, 9, 21, 1'439), "2026-9-22 0"},
      {"1G per day", At(2026, 10, 25, 60), "2026-10-26 0"},  // a day of 25 hours
      {"1G per day", At(2026, 12, 31), "2027-1-1 0"},
      {"1G per week", At(2026, 9, 21), "2026-9-28 0"},  // a Monday
      {"1G per week", At(2026, 9, 27, 1'439), "2026-9-28 0"},
      {"1G per week from Sun", At(2026, 9, 21), "2026-9-27 0"},
      {"1G per week from sun", At(2026, 9, 27), "2026-10-4 0"},
      {"1G per month", At(2026, 9, 1), "2026-10-1 0"},
      {"1G per month", At(2026, 12, 31), "2027-1-1 0"},
      {"1G per month from 15", At(2026, 9, 14), "2026-9-15 0"},
      {"1G per month from 15", At(2026, 9, 15), "2026-10-15 0"},
      {"1G per month from 28", At(2026, 12, 28), "2027-1-28 0"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.quota);
    CAPTURE(row.ends);
    const auto quota = Quota::Parse(row.quota);
    REQUIRE(quota.has_value());
    CHECK(Day(quota->EndAfter(row.now)) == row.ends);
  }
  for (const std::string_view bad :
       {"", "1G", "1G per", "1G per year", "G per day", "1G day", "1G per day from 1", "1G per week from 1",
        "1G per month from Mon", "1G per month from 0", "1G per month from 29", "1G per month from", "1G per month 15",
        "0 per day", "1G per month from 15 x", "1G  per Month"}) {
    CAPTURE(bad);
    CHECK_FALSE(Quota::Parse(bad).has_value());
  }
  CHECK(Quota::Parse("none")->bytes == 0);
}

TEST_CASE("user limits: a user has expired from the start of the day on") {
  const test::InZone berlin{std::string(kBerlin)};
  const auto date = ExpiryDate::Parse("2027-01-31");
  REQUIRE(date.has_value());
  CHECK(date->ToString() == "2027-01-31");
  CHECK_FALSE(date->PassedAt(At(2027, 1, 30, 1'439)));
  CHECK(date->PassedAt(At(2027, 1, 31)));
  CHECK(date->PassedAt(At(2027, 2, 1)));
  CHECK_FALSE(date->PassedAt(At(2026, 12, 31)));
  CHECK_FALSE(ExpiryDate::Parse("never")->PassedAt(At(9999, 1, 1)));
  CHECK(ExpiryDate::Parse("2028-02-29").has_value());
  for (const std::string_view bad : {"", "2027-02-29", "2027-1-31", "2027-13-01", "2027-04-31", "31.01.2027",
                                     "2027-01-31T00:00", "1969-12-31", "2027-01-00", "2027/01/31", "+027-01-31"}) {
    CAPTURE(bad);
    CHECK_FALSE(ExpiryDate::Parse(bad).has_value());
  }
}

TEST_CASE("user limits: hours are ranges of days and of times") {
  const test::InZone berlin{std::string(kBerlin)};
  const auto hours = ServiceHours::Parse("Mon-Fri 08:00-18:00, Sat 22:00-24:00,Sun-Mon 00:00-02:30");
  REQUIRE(hours.has_value());
  const struct {
    int day;  // of September 2026; the 21st is a Monday
    int minute;
    bool inside;
  } rows[] = {{21, 479, false}, {21, 480, true},   {21, 1'079, true}, {21, 1'080, false}, {25, 600, true},
              {26, 600, false}, {26, 1'439, true}, {27, 0, true},     {27, 150, false},   {28, 149, true}};
  for (const auto& row : rows) {
    CAPTURE(row.day);
    CAPTURE(row.minute);
    CHECK(hours->Contain(At(2026, 9, row.day, row.minute)) == row.inside);
  }
  CHECK(ServiceHours::Parse("any")->Contain(At(2026, 9, 21)));
  CHECK(ServiceHours::Parse("sat-mon 00:00-24:00")->Contain(At(2026, 9, 21)));
  for (const std::string_view bad :
       {"", "Mon", "Mon 8:00-18:00", "Mon 08:00", "Mon 18:00-08:00", "Mon 08:00-08:00", "Mon 08:00-24:01",
        "Mon 08:60-09:00", "Mon 08:00-18:00,", "Moon 08:00-18:00", "Mon-Fri-Sat 08:00-18:00", "08:00-18:00",
        "Mon 08:00 - 18:00", "Mon,Tue 08:00-18:00"}) {
    CAPTURE(bad);
    CHECK_FALSE(ServiceHours::Parse(bad).has_value());
  }
}

TEST_CASE("user limits: what a user has of his own replaces that of all users, limit by limit") {
  UserLimits all;
  UserLimits own;
  REQUIRE_FALSE(all.Set("quota", "1G per day"));
  REQUIRE_FALSE(all.Set("max-clients", "2"));
  CHECK(all.changes());
  REQUIRE_FALSE(own.Set("quota", "none"));
  REQUIRE_FALSE(own.Set("expires", "2027-01-31"));
  const UserLimits both = own.Or(all);
  CHECK(both.quota->bytes == 0);
  CHECK(both.clients_max == 2);
  CHECK(both.expires->year == 2027);
  CHECK_FALSE(both.hours.has_value());
  CHECK(UserLimits().Or(all) == all);
  CHECK_FALSE(UserLimits().changes());
  UserLimits clients;
  REQUIRE_FALSE(clients.Set("max-clients", "0"));
  CHECK_FALSE(clients.changes());
  CHECK(UserLimits::IsName("hours"));
  CHECK_FALSE(UserLimits::IsName("hour"));
}

}  // namespace
}  // namespace penstock
