// A bounded set of the digests that were used most recently.
// A member of its owner; one thread at a time.
// Invariant: there are two generations of at most `size` digests each. New digests, and old ones that are used, go into
// the young generation. When it is full, the old one is dropped and the young one becomes old. Each call takes constant
// time, for other threads may wait for the owner's lock.
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

  // Adds `digest` to the young generation.
  void Remember(const Digest& digest) {
    if (young_.size() >= size_ && !young_.Contains(digest)) {
      std::swap(young_, old_);
      young_.Clear();
    }
    young_.Insert(digest, size_);
  }

  // True if `digest` is in the set; moves it to the young generation.
  bool Knows(const Digest& digest) {
    if (young_.Contains(digest)) return true;
    if (!old_.Contains(digest)) return false;
    Remember(digest);
    return true;
  }

 private:
  // A hash table, at most half full. Clear starts a new round; slots of earlier rounds are free.
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

    // The slot of `digest`, or the free slot where Insert puts it.
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
