// The digests that were of use lately, a bounded number of them.
// Owned by whoever remembers; one thread at a time.
// Invariant: two generations at most, each of `size` digests. One is filled while the other is still believed; when it
// is full, the older one is forgotten as a whole, so what is used keeps its place and what is not goes.
// Deliberately not here: what a digest stands for, and expiry by time.
#pragma once

#include <cstddef>
#include <unordered_set>
#include <utility>

#include "penstock/digest.h"

namespace penstock {

class DigestMemory {
 public:
  explicit DigestMemory(std::size_t size) : size_(size) {}

  void Remember(const Digest& digest) {
    if (young_.size() >= size_ && !young_.contains(digest)) old_ = std::exchange(young_, {});
    young_.insert(digest);
  }

  // Asking keeps it.
  bool Knows(const Digest& digest) {
    if (young_.contains(digest)) return true;
    if (!old_.contains(digest)) return false;
    Remember(digest);
    return true;
  }

 private:
  const std::size_t size_;
  std::unordered_set<Digest, DigestHash> young_;
  std::unordered_set<Digest, DigestHash> old_;
};

}  // namespace penstock
