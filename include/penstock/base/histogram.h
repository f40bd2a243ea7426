// How many durations fell into each of some intervals, and their sum: a histogram in the sense of Prometheus.
// Owned by a worker, whose thread alone observes; any thread may read. A copy is a value of its own.
// Invariant: a duration is counted in exactly one bucket, so the number of observations is the sum of all buckets.
// Does not: measure durations, know its name (counters.h), write text (admin/metrics.h).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "penstock/base/counter.h"

namespace penstock {

// `Scale` has the type Unit, a std::chrono duration, and the array kBounds: the upper bounds of the buckets in units,
// ascending. A bound belongs to its bucket. One more bucket holds all that is longer. Durations and their sum are cut
// to whole units.
template <class Scale>
class Histogram {
 public:
  using Unit = typename Scale::Unit;
  static constexpr const auto& kBounds = Scale::kBounds;
  static constexpr std::size_t kBuckets = kBounds.size() + 1;

  // A negative duration counts as zero.
  void Observe(std::chrono::nanoseconds duration) {
    const auto units = std::chrono::duration_cast<Unit>(duration).count();
    const std::uint64_t value = units < 0 ? 0 : static_cast<std::uint64_t>(units);
    buckets_[BucketOf(value)].Add();
    sum_.Add(value);
  }

  // The bucket of a duration of `value` units. The number of its bits says where to begin, so that few bounds are
  // compared: two at most if each bound is at least twice the one before.
  static constexpr std::size_t BucketOf(std::uint64_t value) {
    std::size_t bucket = kFirst[static_cast<std::size_t>(std::bit_width(value))];
    while (bucket < kBounds.size() && value > kBounds[bucket]) ++bucket;
    return bucket;
  }

  std::uint64_t bucket(std::size_t index) const { return buckets_[index].value(); }
  std::uint64_t sum() const { return sum_.value(); }  // in units
  std::uint64_t observations() const {
    std::uint64_t all = 0;
    for (const Counter& each : buckets_) all += each.value();
    return all;
  }

  // The duration, in units, that `percent` of all observations do not exceed: interpolated within its bucket, like
  // histogram_quantile() of Prometheus, and the last bound if it is longer. Nothing without observations.
  std::optional<std::uint64_t> Quantile(unsigned percent) const {
    const std::uint64_t all = observations();
    if (all == 0) return std::nullopt;
    const std::uint64_t rank = std::max<std::uint64_t>((all / 100) * percent + (all % 100 * percent + 99) / 100, 1);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < kBounds.size(); below += bucket(i++)) {
      if (below + bucket(i) < rank) continue;
      const std::uint64_t low = i == 0 ? 0 : kBounds[i - 1];
      const double part = static_cast<double>(rank - below) / static_cast<double>(bucket(i));
      return low + static_cast<std::uint64_t>(part * static_cast<double>(kBounds[i] - low));
    }
    return kBounds.back();
  }

  void Add(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i].Add(other.bucket(i));
    sum_.Add(other.sum());
  }

 private:
  // For each number of bits, the bucket of the smallest number that has so many.
  static constexpr auto kFirst = [] {
    std::array<std::uint8_t, 65> first{};
    for (std::size_t bits = 1; bits < first.size(); ++bits) {
      const std::uint64_t smallest = std::uint64_t{1} << (bits - 1);
      while (first[bits] < kBounds.size() && smallest > kBounds[first[bits]]) ++first[bits];
    }
    return first;
  }();
  static_assert(std::ranges::is_sorted(kBounds, std::ranges::less_equal()));

  std::array<Counter, kBuckets> buckets_;
  Counter sum_;
};

}  // namespace penstock
