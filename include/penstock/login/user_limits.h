// The limits of one user: how much, until when, at which hours and from how many clients. From text, and what they mean
// at a given time.
// Plain values; any thread.
// Invariants:
//   - Each limit has one spelling, in the users file for one user and as an option for all users without one of their
//     own (config/options.h).
//   - Dates and hours are those of the host: of TZ, or else of its local time (tzset(3)). A day of 23 or 25 hours is
//     one day.
// Does not: count (policy/accounts.h), refuse anybody (session/handshake.h).
//
//   quota 100G per month from 15     day, week (from Mon) or month (from day 1 to 28); or: none
//   expires 2027-01-31               from the start of that day on, as in chage(1); or: never
//   hours Mon-Fri 08:00-18:00        more ranges after commas; 24:00 is the end of a day; or: any
//   max-clients 3                    clients that have sessions at a time; 0: any number
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/os/clock.h"

namespace penstock {

struct Quota {
  enum class Period : std::uint8_t { kDay, kWeek, kMonth };

  static std::optional<Quota> Parse(std::string_view text);

  // The first moment of the next period after `now`, since 1970.
  std::chrono::seconds EndAfter(const LocalTime& now) const;

  std::uint64_t bytes = 0;  // both ways together; 0: no limit
  Period period = Period::kMonth;
  int from = 1;  // of a week: 0 is Monday; of a month: its day

  bool operator==(const Quota&) const = default;
};

std::string_view Describe(Quota::Period period);  // "month"

struct ExpiryDate {
  static std::optional<ExpiryDate> Parse(std::string_view text);
  std::string ToString() const;  // "2027-01-31"; empty: never
  bool PassedAt(const LocalTime& now) const;

  int year = 0;  // 0: never
  int month = 0;
  int day = 0;

  bool operator==(const ExpiryDate&) const = default;
};

struct ServiceHours {
  struct Range {
    std::uint8_t days;   // a bit for each, the lowest is Monday
    std::uint16_t from;  // minutes of the day
    std::uint16_t to;    // the first one that is outside

    bool operator==(const Range&) const = default;
  };

  static std::optional<ServiceHours> Parse(std::string_view text);
  bool Contain(const LocalTime& now) const;

  std::string text;  // as it was given; empty: any
  std::vector<Range> ranges;

  bool operator==(const ServiceHours&) const = default;
};

// What is not set is that of all users, or no limit.
struct UserLimits {
  // True if `name` is that of a limit, such as "quota".
  static bool IsName(std::string_view name);

  // Sets the limit `name`. Returns what would have been accepted if `value` is not; nothing on success.
  std::optional<std::string_view> Set(std::string_view name, std::string_view value);

  // These, and of `others` what these do not set.
  UserLimits Or(const UserLimits& others) const;

  // True if there is a limit that depends on time or traffic.
  bool changes() const;

  std::optional<Quota> quota;
  std::optional<ExpiryDate> expires;
  std::optional<ServiceHours> hours;
  std::optional<std::uint32_t> clients_max;  // 0: no limit

  bool operator==(const UserLimits&) const = default;
};

}  // namespace penstock
