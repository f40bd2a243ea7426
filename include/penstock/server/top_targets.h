// The targets for which most bytes are carried, in bounded memory: the space-saving counters of A. Metwally, D. Agrawal
// and A. El Abbadi (Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005), with bytes as weights.
// Owned by a worker, or by whoever merges; one thread.
// Invariants, with n bytes added in all, and m counters:
//   - For each counter, the bytes of its target are at most those of the counter, and at least those minus its error.
//   - A target without a counter has at most floor() bytes, and floor() <= n / m. So every target with more than n / m
//     bytes has a counter.
//   - All memory is allocated at the beginning. Adding takes time in the logarithm of m.
// Does not: know sessions that are alive (worker.h).
//
// If all counters are in use, a new target takes over the one with the fewest bytes, with these bytes as its error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/server/survey.h"
#include "penstock/session/session.h"

namespace penstock {

// The target of a CONNECT as asked: a name or an address, and a port. The request of a BIND names a peer that may be
// anybody, and that of a UDP ASSOCIATE the client itself.
class TargetKey {
 public:
  // A name in any case, with or without a final dot, is the same target; a name that is an address is that address.
  TargetKey(std::string_view name, std::uint16_t port);
  TargetKey(const IpAddress& ip, std::uint16_t port);

  // Nothing for another command, before the request, and for a name that is neither stored nor resolved.
  static std::optional<TargetKey> Of(const SessionView& session);

  // What identifies it; valid as long as this object.
  std::span<const std::uint8_t> bytes() const { return std::span(bytes_).first(kHead + bytes_[kSize]); }

  std::string ToString() const;  // "host:port" or "[address]:port"

 private:
  // is it an address, the port, the size of the rest, and the rest: a name of at most 255 bytes, or 16 of an address
  static constexpr std::size_t kSize = 3;
  static constexpr std::size_t kHead = 4;

  void SetHead(bool is_address, std::uint16_t port, std::size_t size);

  std::array<std::uint8_t, kHead + 255> bytes_{};
};

class TopTargets {
 public:
  struct Weight {
    std::uint64_t up = 0;
    std::uint64_t down = 0;

    std::uint64_t sum() const { return up + down; }
    Weight& operator+=(const Weight& other) {
      up += other.up;
      down += other.down;
      return *this;
    }
  };

  struct Counter {
    Weight bytes;
    std::uint64_t error = 0;
    std::uint64_t sessions = 0;  // since the target has had a counter
  };

  // At most `capacity` counters, from 1 to 65,534.
  TopTargets(std::size_t capacity, const DigestKey& key);

  // Adds one session with these bytes. One without bytes gets no counter that another target would lose.
  void Add(const TargetKey& target, Weight bytes);

  // The counter with the fewest bytes, if all are in use; 0 otherwise.
  Weight floor() const;

  // Calls `visit(const TargetKey&, const Counter&)` for each target that has a counter.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Index index : heap_) visit(keys_[index], counters_[index]);
  }

 private:
  using Index = std::uint16_t;
  static constexpr Index kNone = 0xffff;

  struct Place {
    std::size_t hash = 0;
    Index next = kNone;  // in the list of its bucket
    Index in_heap = 0;   // heap_[in_heap] is this one
  };

  Index& BucketOf(std::size_t hash) { return buckets_[hash % buckets_.size()]; }
  Index Find(const TargetKey& target, std::size_t hash);
  void Unlink(Index index);
  void Link(Index index, const TargetKey& target, std::size_t hash);
  std::uint64_t BytesAt(std::size_t in_heap) const { return counters_[heap_[in_heap]].bytes.sum(); }
  void Swap(std::size_t one, std::size_t other);
  void SiftUp(std::size_t at);
  void SiftDown(std::size_t at);

  std::size_t capacity_;
  DigestKey key_;
  std::vector<Counter> counters_;  // these three by index
  std::vector<Place> places_;
  std::vector<TargetKey> keys_;
  std::vector<Index> heap_;     // of the counters in use, the fewest bytes first
  std::vector<Index> buckets_;  // by hash: the first of a list
};

// The targets of all `parts` together with most bytes, at most `limit`, the largest first. A target that has no counter
// in a part may have that part's floor there: it counts as bytes and as error.
std::vector<TargetRow> Merge(std::span<const TopTargets> parts, std::size_t limit);

}  // namespace penstock
