#include "penstock/base/histogram.h"

#include <chrono>
#include <cstdint>

#include <doctest/doctest.h>

#include "penstock/base/counters.h"

namespace penstock {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// The first bound that is not below `value`, in the plainest way.
template <class Each>
std::size_t PlainBucketOf(std::uint64_t value) {
  std::size_t bucket = 0;
  while (bucket < Each::kBounds.size() && value > Each::kBounds[bucket]) ++bucket;
  return bucket;
}

TEST_CASE_TEMPLATE("histogram: a value is in the bucket of the first bound that is not below it", Each,
                   Histogram<AttemptScale>, Histogram<SessionScale>, Histogram<TurnScale>) {
  const auto check = [](std::uint64_t value) {
    CAPTURE(value);
    CHECK(Each::BucketOf(value) == PlainBucketOf<Each>(value));
  };
  check(0);
  check(UINT64_MAX);
  for (const std::uint64_t bound : Each::kBounds) {
    for (const std::uint64_t value : {bound - 1, bound, bound + 1}) check(value);
  }
  for (unsigned bits = 0; bits < 64; ++bits) {
    check(std::uint64_t{1} << bits);
    check((std::uint64_t{1} << bits) - 1);
  }
}

TEST_CASE("histogram: each observation is in one bucket, and the sum is in units") {
  Histogram<AttemptScale> histogram;
  histogram.Observe(microseconds(1000));
  histogram.Observe(microseconds(1001));
  histogram.Observe(seconds(11));
  histogram.Observe(nanoseconds(-5));  // a clock that was not read between two events
  CHECK(histogram.bucket(0) == 2);
  CHECK(histogram.bucket(1) == 1);
  CHECK(histogram.bucket(AttemptScale::kBounds.size()) == 1);
  CHECK(histogram.observations() == 4);
  CHECK(histogram.sum() == 11'002'001);
}

TEST_CASE("histogram: a quantile is interpolated within its bucket") {
  Histogram<AttemptScale> histogram;
  CHECK(histogram.Quantile(50) == std::nullopt);
  histogram.Observe(microseconds(700));
  CHECK(histogram.Quantile(0) == 1'000);  // one observation: the bound of its bucket
  CHECK(histogram.Quantile(50) == 1'000);
  CHECK(histogram.Quantile(100) == 1'000);
  for (int i = 0; i < 3; ++i) histogram.Observe(microseconds(2'000));
  CHECK(histogram.Quantile(25) == 1'000);
  CHECK(histogram.Quantile(50) == 1'500);
  CHECK(histogram.Quantile(99) == 2'500);
  for (int i = 0; i < 996; ++i) histogram.Observe(seconds(60));
  CHECK(histogram.Quantile(50) == AttemptScale::kBounds.back());  // longer than the last bound
}

TEST_CASE("histogram: two of one scale are added bucket by bucket") {
  Histogram<SessionScale> one;
  Histogram<SessionScale> other;
  one.Observe(milliseconds(50));
  other.Observe(milliseconds(50));
  other.Observe(seconds(100'000));
  one.Add(other);
  CHECK(one.bucket(0) == 2);
  CHECK(one.bucket(SessionScale::kBounds.size()) == 1);
  CHECK(one.sum() == 100'000'100);
  CHECK(other.observations() == 2);
}

}  // namespace
}  // namespace penstock
