// The digests that were of use lately, a bounded number of them.
// Owned by whoever remembers; one thread at a time.
// Invariant: two generations at most, each of `size` digests. One is filled while the other is still believed; when it
// is full, the older one is forgotten as a whole, so what is used keeps its place and what is not goes. That costs no
// more than anything else does here, for there may be others who wait for the same lock.
// Deliberately not here: what a digest stands for, and expiry by time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "penstock/base/digest.h"

namespace penstock {

class DigestMemory {
 public:
  explicit DigestMemory(std::size_t size) : size_(size) {}

  void Remember(const Digest& digest) {
    if (young_.size() >= size_ && !young_.Contains(digest)) {
      std::swap(young_, old_);
      young_.Clear();
    }
    young_.Insert(digest, size_);
  }

  // Asking keeps it.
  bool Knows(const Digest& digest) {
    if (young_.Contains(digest)) return true;
    if (!old_.Contains(digest)) return false;
    Remember(digest);
    return true;
  }

 private:
  // At most half full. What an earlier round has left is free room.
  class Table {
   public:
    std::size_t size() const { return used_; }
    bool Contains(const Digest& digest) const { return !slots_.empty() && slots_[Find(digest)].round == round_; }

    void Insert(const Digest& digest, std::size_t size_max) {
      if (slots_.empty()) slots_.resize(std::bit_ceil(2 * size_max));
      Slot& slot = slots_[Find(digest)];
      if (slot.round == round_) return;
      slot = {digest, round_};
      ++used_;
    }

    void Clear() {
      ++round_;
      used_ = 0;
    }

   private:
    struct Slot {
      Digest digest{};
      std::uint32_t round = 0;
    };

    // Where it is, or where it should go.
    std::size_t Find(const Digest& digest) const {
      std::size_t at = DigestHash()(digest) % slots_.size();
      while (slots_[at].round == round_ && slots_[at].digest != digest) at = (at + 1) % slots_.size();
      return at;
    }

    std::vector<Slot> slots_;
    std::uint32_t round_ = 1;
    std::size_t used_ = 0;
  };

  const std::size_t size_;
  Table young_;
  Table old_;
};

}  // namespace penstock
