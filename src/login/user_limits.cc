#include "penstock/login/user_limits.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>

#include "penstock/base/quantity.h"
#include "penstock/base/text.h"

namespace penstock {
namespace {

constexpr std::array<std::string_view, 7> kWeekdays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr int kMinutesOfDay = 24 * 60;
constexpr std::uint32_t kClientsMax = 1'000'000;

std::optional<int> WeekdayOf(std::string_view text) {
  const auto* const found = std::ranges::find_if(kWeekdays, [&](auto day) { return SameButForCase(day, text); });
  return found == kWeekdays.end() ? std::nullopt : std::optional(static_cast<int>(found - kWeekdays.begin()));
}

// A number of exactly `digits` digits.
std::optional<int> Digits(std::string_view text, std::size_t digits, int low, int high) {
  if (text.size() != digits) return std::nullopt;
  const auto number = ParseNumber(text, static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high));
  return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

// HH:MM, in minutes.
std::optional<int> MinuteOf(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto hour = Digits(text.substr(0, colon), 2, 0, 24);
  const auto minute = Digits(text.substr(colon + 1), 2, 0, 59);
  if (!hour || !minute || *hour * 60 + *minute > kMinutesOfDay) return std::nullopt;
  return *hour * 60 + *minute;
}

// DAY or DAY-DAY. "Sat-Mon" is three days.
std::optional<std::uint8_t> DaysOf(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = WeekdayOf(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : WeekdayOf(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  unsigned days = 0;
  for (int day = *first;; day = (day + 1) % 7) {
    days |= 1U << day;
    if (day == *last) return static_cast<std::uint8_t>(days);
  }
}

// DAYS FROM-TO
std::optional<ServiceHours::Range> RangeOf(std::string_view text) {
  const auto days = DaysOf(TakeWord(text));
  const std::string_view times = Trimmed(text);
  const std::size_t dash = times.find('-');
  if (!days || dash == std::string_view::npos) return std::nullopt;
  const auto from = MinuteOf(times.substr(0, dash));
  const auto to = MinuteOf(times.substr(dash + 1));
  if (!from || !to || *from >= *to) return std::nullopt;
  return ServiceHours::Range{*days, static_cast<std::uint16_t>(*from), static_cast<std::uint16_t>(*to)};
}

int DaysOfMonth(int year, int month) {
  constexpr std::array<int, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

}  // namespace

// --- Quota ---------------------------------------------------------------------------------------------------------

std::optional<Quota> Quota::Parse(std::string_view text) {
  if (text == "none") return Quota();
  Quota quota;
  const auto bytes = ParseSize(TakeWord(text));
  if (!bytes || TakeWord(text) != "per") return std::nullopt;
  quota.bytes = *bytes;
  const std::string_view period = TakeWord(text);
  const auto known = {Period::kDay, Period::kWeek, Period::kMonth};
  const auto* const found = std::ranges::find(known, period, [](Period each) { return Describe(each); });
  if (found == known.end()) return std::nullopt;
  quota.period = *found;
  quota.from = quota.period == Period::kMonth ? 1 : 0;
  if (Trimmed(text).empty()) return quota;
  if (TakeWord(text) != "from") return std::nullopt;
  const std::string_view from = Trimmed(text);
  std::optional<int> start;
  if (quota.period == Period::kWeek) start = WeekdayOf(from);
  if (quota.period == Period::kMonth) {
    if (const auto day = ParseNumber(from, 1, 28)) start = static_cast<int>(*day);
  }
  if (!start) return std::nullopt;
  quota.from = *start;
  return quota;
}

std::chrono::seconds Quota::EndAfter(const LocalTime& now) const {
  switch (period) {
    case Period::kDay:
      return StartOfDay(now.year, now.month, now.day + 1);
    case Period::kWeek:
      return StartOfDay(now.year, now.month, now.day + 1 + (from - now.weekday + 6) % 7);
    case Period::kMonth:
      return StartOfDay(now.year, now.day < from ? now.month : now.month + 1, from);
  }
  return {};
}

std::string_view Describe(Quota::Period period) {
  switch (period) {
    case Quota::Period::kDay:
      return "day";
    case Quota::Period::kWeek:
      return "week";
    case Quota::Period::kMonth:
      return "month";
  }
  return "";
}

// --- Expiry and hours ----------------------------------------------------------------------------------------------

std::optional<ExpiryDate> ExpiryDate::Parse(std::string_view text) {
  if (text == "never") return ExpiryDate();
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = Digits(text.substr(0, 4), 4, 1970, 9999);
  const auto month = Digits(text.substr(5, 2), 2, 1, 12);
  if (!year || !month) return std::nullopt;
  const auto day = Digits(text.substr(8), 2, 1, DaysOfMonth(*year, *month));
  if (!day) return std::nullopt;
  return ExpiryDate{*year, *month, *day};
}

std::string ExpiryDate::ToString() const {
  if (year == 0) return {};
  const auto two = [](int number) { return (number < 10 ? "-0" : "-") + std::to_string(number); };
  return std::to_string(year) + two(month) + two(day);
}

bool ExpiryDate::PassedAt(const LocalTime& now) const {
  return year != 0 && std::tuple(now.year, now.month, now.day) >= std::tuple(year, month, day);
}

std::optional<ServiceHours> ServiceHours::Parse(std::string_view text) {
  ServiceHours hours;
  if (text == "any") return hours;
  hours.text = text;
  for (;;) {
    const std::size_t comma = text.find(',');
    const auto range = RangeOf(text.substr(0, comma));
    if (!range) return std::nullopt;
    hours.ranges.push_back(*range);
    if (comma == std::string_view::npos) return hours;
    text.remove_prefix(comma + 1);
  }
}

bool ServiceHours::Contain(const LocalTime& now) const {
  return ranges.empty() || std::ranges::any_of(ranges, [&](const Range& range) {
           return (range.days >> now.weekday & 1) != 0 && now.minute >= range.from && now.minute < range.to;
         });
}

// --- All of them ---------------------------------------------------------------------------------------------------

bool UserLimits::IsName(std::string_view name) {
  return name == "quota" || name == "expires" || name == "hours" || name == "max-clients";
}

std::optional<std::string_view> UserLimits::Set(std::string_view name, std::string_view value) {
  const auto set = [&](auto& limit, auto parsed, std::string_view accepted) -> std::optional<std::string_view> {
    if (!parsed) return accepted;
    limit = std::move(parsed);
    return std::nullopt;
  };
  if (name == "quota") {
    return set(quota, Quota::Parse(value),
               "a size and a period such as 100G per month, 100G per month from 15, 10Gi per week from Mon or 1G per "
               "day; or none");
  }
  if (name == "expires") return set(expires, ExpiryDate::Parse(value), "a date such as 2027-01-31; or never");
  if (name == "hours") {
    return set(hours, ServiceHours::Parse(value),
               "days and times such as Mon-Fri 08:00-18:00, with a comma between two of them; or any");
  }
  const auto number = ParseNumber(value, 0, kClientsMax);
  if (!number) return "a number from 0 to 1000000";
  clients_max = static_cast<std::uint32_t>(*number);
  return std::nullopt;
}

UserLimits UserLimits::Or(const UserLimits& others) const {
  UserLimits all = *this;
  if (!quota) all.quota = others.quota;
  if (!expires) all.expires = others.expires;
  if (!hours) all.hours = others.hours;
  if (!clients_max) all.clients_max = others.clients_max;
  return all;
}

bool UserLimits::changes() const {
  return (quota && quota->bytes != 0) || (expires && expires->year != 0) || (hours && !hours->ranges.empty());
}

}  // namespace penstock
