#include "penstock/admin/session_rates.h"

#include <doctest/doctest.h>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A session that is as old as the clock, which begins at zero.
SessionRow RowAt(milliseconds age, std::uint64_t up, std::uint64_t down, std::uint32_t slot = 0,
                 std::uint32_t generation = 0) {
  SessionRow row;
  row.id = {0, {slot, generation}};
  row.age = age;
  row.bytes_up = up;
  row.bytes_down = down;
  return row;
}

class Lists {
 public:
  std::optional<std::uint64_t> At(milliseconds time, std::uint64_t up, std::uint64_t down = 0) {
    rates_.Forget(TimePoint(time));
    return rates_.Update(RowAt(time, up, down), TimePoint(time));
  }

 private:
  SessionRates rates_;
};

TEST_CASE("session_rates: the rate is that since the last list at least a second before") {
  Lists lists;
  CHECK(lists.At(seconds(10), 500) == std::nullopt);
  CHECK(lists.At(milliseconds(10'999), 1'000) == std::nullopt);
  CHECK(lists.At(seconds(11), 1'000, 500) == 1'000);           // since 10 s
  CHECK(lists.At(milliseconds(11'500), 2'000, 500) == 1'333);  // the same
  CHECK(lists.At(seconds(12), 2'000, 500) == 1'000);           // since 11 s
  CHECK(lists.At(seconds(32), 22'000, 500) == 1'000);          // since 12 s
  CHECK(lists.At(seconds(33), 22'000, 500) == 0);
}

TEST_CASE("session_rates: a session that no list had for long begins anew") {
  Lists lists;
  CHECK(lists.At(seconds(100), 0) == std::nullopt);
  CHECK(lists.At(seconds(101), 1'000) == 1'000);
  CHECK(lists.At(seconds(101) + kRateTimeMax, 2'000) == 1'000 / 60);
  CHECK(lists.At(seconds(300), 3'000) == std::nullopt);
}

TEST_CASE("session_rates: the next session of a slot begins anew") {
  SessionRates rates;
  CHECK(rates.Update(RowAt(seconds(50), 1'000, 0, 7, 1), TimePoint(seconds(50))) == std::nullopt);
  CHECK(rates.Update(RowAt(seconds(1), 5, 0, 7, 2), TimePoint(seconds(52))) == std::nullopt);
  CHECK(rates.Update(RowAt(seconds(2), 10, 0, 7, 2), TimePoint(seconds(53))) == 5);
  CHECK(rates.size() == 1);
}

TEST_CASE("session_rates: more sessions than it keeps have no rate, until others are forgotten") {
  SessionRates rates;
  for (std::uint32_t slot = 0; slot < kRatesMax + 10; ++slot) {
    rates.Update(RowAt(seconds(1), 0, 0, slot), TimePoint(seconds(1)));
  }
  CHECK(rates.size() == kRatesMax);
  CHECK(rates.Update(RowAt(seconds(2), 100, 0, 0), TimePoint(seconds(2))) == 100);
  CHECK(rates.Update(RowAt(seconds(2), 100, 0, kRatesMax), TimePoint(seconds(2))) == std::nullopt);
  rates.Forget(TimePoint(seconds(100)));
  CHECK(rates.size() == 0);
}

}  // namespace
}  // namespace penstock
