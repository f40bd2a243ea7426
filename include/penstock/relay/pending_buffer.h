// Where bytes wait that were received but could not be sent: a buffer, and the pool that lends them.
// The pool is owned by a worker, its own thread only; a buffer is lent to one flow while bytes of that flow are inside.
// Invariant: the pool never has more than its bound on loan, and one client never all of that, so slow readers can take
// neither the memory nor the pending buffers of others.
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

#include "penstock/base/fair_shares.h"
#include "penstock/base/limits.h"

namespace penstock {

class PendingBuffer {
 public:
  // Puts `bytes`, kPendingBufferBytes at most, into an empty buffer.
  void Fill(std::span<const std::uint8_t> bytes) {
    assert(empty() && bytes.size() <= kPendingBufferBytes);
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
    begin_ = 0;
    end_ = bytes.size();
  }

  void Clear() { begin_ = end_ = 0; }

  void Consume(std::size_t bytes) {
    assert(bytes <= end_ - begin_);
    begin_ += bytes;
  }

  std::span<const std::uint8_t> unsent() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }
  bool empty() const { return begin_ == end_; }

 private:
  friend class PendingBufferPool;

  std::uint8_t share_ = 0;  // of the client to whom it is lent
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint8_t, kPendingBufferBytes> bytes_;
};

class PendingBufferPool {
 public:
  explicit PendingBufferPool(std::size_t loans_max) : loans_max_(loans_max), shares_(loans_max) {}

  // True when Lend() to a client of `share` will succeed: whoever is about to receive bytes that may have to wait asks
  // first.
  bool Ready(std::uint8_t share) {
    if (!shares_.MayTake(share)) return false;
    if (spare_.empty()) {
      std::unique_ptr<PendingBuffer> made(new (std::nothrow) PendingBuffer);
      if (made != nullptr) spare_.push_back(std::move(made));
    }
    return !spare_.empty();
  }

  // An empty buffer. Ready() must have said so.
  std::unique_ptr<PendingBuffer> Lend(std::uint8_t share) {
    assert(!spare_.empty());
    std::unique_ptr<PendingBuffer> buffer = std::move(spare_.back());
    spare_.pop_back();
    buffer->share_ = share;
    shares_.Take(share);
    return buffer;
  }

  // Takes a buffer back; what is inside is forgotten.
  void Return(std::unique_ptr<PendingBuffer> buffer) {
    shares_.Return(buffer->share_);
    buffer->Clear();
    if (spare_.size() < kSparesMax) spare_.push_back(std::move(buffer));
  }

  std::size_t lent() const { return loans_max_ - shares_.free(); }  // for tests

 private:
  static constexpr std::size_t kSparesMax = 16;

  const std::size_t loans_max_;
  FairShares shares_;
  std::vector<std::unique_ptr<PendingBuffer>> spare_;
};

}  // namespace penstock
