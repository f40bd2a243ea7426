// Limits how many of a pool's objects one client may hold, so that some are left for the next client.
// A member of the pool; its thread only.
// Invariant: when a share takes an object, it holds less than kFairness times as many as are free. So n clients that
// hold all they can leave one part in kFairness * n + 1 free; one client alone can hold three quarters.
// Deliberately not here: the objects.
//
// Switches divide packet memory among ports in this way (A. K. Choudhury, E. L. Hahne: Dynamic queue length thresholds
// for shared-memory packet switches, 1998). The limit needs no estimate of the number of clients.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"

namespace penstock {

// The share of a client (ClientBytes), below kNameShares: a hash with a secret `key`, so that clients cannot choose
// their share. It mixes twice, as the end of MurmurHash3 does: with one multiplication, neighbours in a network
// sometimes all got one share.
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
  explicit FairShares(std::size_t total) : free_(total) {}  // objects in all

  // True if `share`, below kNameShares, may take one more.
  bool MayTake(std::size_t share) const { return held_[share] < kFairness * free_; }

  // Takes one. MayTake must be true.
  void Take(std::size_t share) {
    assert(MayTake(share));
    ++held_[share];
    --free_;
  }

  // Gives one back that Take has counted.
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
