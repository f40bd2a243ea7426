// Where bytes wait that were received but could not be sent: a stash, and the pool that lends them.
// The pool is owned by a worker, its own thread only; a stash is lent to one flow while bytes of that flow are inside.
// Invariant: the pool never has more than its bound on loan, so a crowd of slow readers cannot take the memory.
// Deliberately not here: deciding when bytes must wait (flow.h).
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "penstock/limits.h"

namespace penstock {

class Stash {
 public:
  // Puts `bytes`, kStashBytes at most, into an empty stash.
  void Fill(std::span<const std::uint8_t> bytes) {
    assert(empty() && bytes.size() <= kStashBytes);
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
    begin_ = 0;
    end_ = bytes.size();
  }

  void Clear() { begin_ = end_ = 0; }

  void Consume(std::size_t bytes) {
    assert(bytes <= end_ - begin_);
    begin_ += bytes;
  }

  std::span<const std::uint8_t> waiting() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }
  bool empty() const { return begin_ == end_; }

 private:
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint8_t, kStashBytes> bytes_;
};

class StashPool {
 public:
  explicit StashPool(std::size_t loans_max) : loans_max_(loans_max) {}

  // True when Lend() will succeed: whoever is about to receive bytes that may have to wait asks first.
  bool Ready() {
    if (spare_.empty() && lent_ < loans_max_) {
      std::unique_ptr<Stash> made(new (std::nothrow) Stash);
      if (made != nullptr) spare_.push_back(std::move(made));
    }
    return !spare_.empty() && lent_ < loans_max_;
  }

  // An empty stash. Ready() must have said so.
  std::unique_ptr<Stash> Lend() {
    assert(!spare_.empty());
    std::unique_ptr<Stash> stash = std::move(spare_.back());
    spare_.pop_back();
    ++lent_;
    return stash;
  }

  // Takes a stash back; what is inside is forgotten.
  void Return(std::unique_ptr<Stash> stash) {
    --lent_;
    stash->Clear();
    if (spare_.size() < kSparesMax) spare_.push_back(std::move(stash));
  }

  std::size_t lent() const { return lent_; }

 private:
  static constexpr std::size_t kSparesMax = 16;

  const std::size_t loans_max_;
  std::size_t lent_ = 0;
  std::vector<std::unique_ptr<Stash>> spare_;
};

}  // namespace penstock
