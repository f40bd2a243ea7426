#include "penstock/os/clock.h"

#include <ctime>

namespace penstock {

TimePoint SteadyNow() { return std::chrono::steady_clock::now(); }

std::chrono::milliseconds TimeOfDay() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
}

LocalTime LocalTimeAt(std::chrono::seconds since_1970) {
  const std::time_t time = since_1970.count();
  std::tm local{};
  ::localtime_r(&time, &local);
  return {.year = local.tm_year + 1900,
          .month = local.tm_mon + 1,
          .day = local.tm_mday,
          .weekday = (local.tm_wday + 6) % 7,
          .minute = local.tm_hour * 60 + local.tm_min};
}

std::chrono::seconds StartOfDay(int year, int month, int day) {
  std::tm local{};
  local.tm_year = year - 1900;
  local.tm_mon = month - 1;
  local.tm_mday = day;
  local.tm_isdst = -1;  // as the time zone says
  return std::chrono::seconds(std::mktime(&local));
}

}  // namespace penstock
