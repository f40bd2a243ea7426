// Buffers for bytes that were received and that the sink does not take yet, and the pool that lends them.
// A pool is owned by a worker; its thread only. A buffer is lent to one flow while bytes of that flow are inside.
// Invariant: the pool never lends more than its maximum, and never all of it to one client (base/fair_shares.h), so
// slow readers can take neither the memory nor the pending buffers of others.
// Does not: decide when bytes must wait (flow.h).
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
  // Copies `bytes`, at most kPendingBufferBytes, into an empty buffer.
  void Fill(std::span<const std::uint8_t> bytes) {
    assert(empty() && bytes.size() <= kPendingBufferBytes);
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
    begin_ = 0;
    end_ = bytes.size();
  }

  // Drops all bytes.
  void Clear() { begin_ = end_ = 0; }

  // Drops the first `bytes`, which have been sent.
  void Consume(std::size_t bytes) {
    assert(bytes <= end_ - begin_);
    begin_ += bytes;
  }

  std::span<const std::uint8_t> unsent() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }
  bool empty() const { return begin_ == end_; }

 private:
  friend class PendingBufferPool;

  std::uint8_t share_ = 0;  // of the client to which it is lent
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint8_t, kPendingBufferBytes> bytes_;
};

class PendingBufferPool {
 public:
  // Lends at most `loans_max` buffers at a time.
  explicit PendingBufferPool(std::size_t loans_max) : loans_max_(loans_max), shares_(loans_max) {}

  // True if the next Lend to a client of `share`, below kNameShares, will succeed; allocates a buffer if none is spare.
  // Call it before receiving bytes that may have to wait. False: the share has its maximum, or there is no memory.
  bool Ready(std::uint8_t share) {
    if (!shares_.MayTake(share)) return false;
    if (spare_.empty()) {
      std::unique_ptr<PendingBuffer> made(new (std::nothrow) PendingBuffer);
      if (made != nullptr) spare_.push_back(std::move(made));
    }
    return !spare_.empty();
  }

  // Returns an empty buffer. Ready(share) must have returned true.
  std::unique_ptr<PendingBuffer> Lend(std::uint8_t share) {
    assert(!spare_.empty());
    std::unique_ptr<PendingBuffer> buffer = std::move(spare_.back());
    spare_.pop_back();
    buffer->share_ = share;
    shares_.Take(share);
    return buffer;
  }

  // Takes a buffer back and drops the bytes inside.
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
