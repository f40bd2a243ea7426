// How many of a limited number of things each client may hold, so that nobody who comes later finds none.
// A member of whoever lends the things; one thread.
// Invariant: a share holds at most kFairness times as many as are free at the moment when it takes one. So n clients
// that hold all they can leave one part in kFairness * n + 1 to who comes next; one alone may have three quarters.
// Deliberately not here: the things.
//
// Switches divide their packet memory among ports in this way (A. K. Choudhury, E. L. Hahne: Dynamic queue length
// thresholds for shared-memory packet switches, 1998): no number has to be chosen for how many clients there will be.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"

namespace penstock {

// The share of a client (ClientBytes), by a hash whose `key` nobody else knows. Mixed twice, as MurmurHash3 ends: with
// one multiplication a network's neighbours would now and then all count towards one share.
inline std::size_t ShareOf(const IpAddress& client, std::uint64_t key) {
  std::uint64_t bits = 0;
  for (const std::uint8_t byte : ClientBytes(client)) bits = bits << 8 | byte;
  static_assert(kNameShares == 256);
  bits = (bits ^ key) * 0xff51afd7ed558ccdULL;
  bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53ULL;
  return static_cast<std::size_t>(bits >> 56);
}

class FairShares {
 public:
  explicit FairShares(std::size_t total) : free_(total) {}

  // Whether `share`, below kNameShares, may take one more.
  bool MayTake(std::size_t share) const { return held_[share] < kFairness * free_; }

  // MayTake has said so.
  void Take(std::size_t share) {
    assert(MayTake(share));
    ++held_[share];
    --free_;
  }

  void Return(std::size_t share) {
    assert(held_[share] > 0);
    --held_[share];
    ++free_;
  }

  std::size_t free() const { return free_; }

 private:
  std::array<std::uint32_t, kNameShares> held_{};
  std::size_t free_;
};

}  // namespace penstock
