// The local time zone of this process, for as long as the object exists.
#pragma once

#include <stdlib.h>
#include <time.h>

#include <string>

namespace penstock::test {

class InZone {
 public:
  explicit InZone(const std::string& zone) { Set(zone); }  // as in TZ; see tzset(3)
  ~InZone() { Set(was_); }
  InZone(const InZone&) = delete;
  InZone& operator=(const InZone&) = delete;

 private:
  static void Set(const std::string& zone) {
    zone.empty() ? ::unsetenv("TZ") : ::setenv("TZ", zone.c_str(), 1);
    ::tzset();
  }
  const std::string was_ = std::getenv("TZ") == nullptr ? "" : std::getenv("TZ");
};

}  // namespace penstock::test
