// The set of addresses that a client has sent to, in about a hundred bytes. After a reload all of them are suspect,
// each until it is inserted again.
// Owned by an Association, as a member; its worker's thread only.
// Invariants:
//   - The addresses that were inserted last, for the first time or again, are in the set. The first kAddressesInline
//     are stored in the set itself; for more it borrows a page of kAddressesPerPage from its worker, until Release.
//   - If the worker has no page left, or a bucket of the page is full, a new address evicts the one that was inserted
//     longest ago.
// Does not: store addresses. An entry is a fingerprint of 31 bits, made with a random key of the worker: an address
// that was never inserted is in the set with a probability of about one in fifty million.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/slab.h"

namespace penstock {

// The key of the fingerprints: random, and the same for all sets of a worker.
struct AddressKey {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

// Buckets of fingerprints, the latest first; 0 is none. The lowest bit marks a suspect one.
struct AddressPage {
  static constexpr std::size_t kBuckets = kAddressesPerPage / kAddressesPerBucket;
  using Bucket = std::array<std::uint32_t, kAddressesPerBucket>;

  explicit AddressPage(Handle handle) : self(handle) {}

  Handle self;
  std::array<Bucket, kBuckets> buckets{};
};

class AddressSet {
 public:
  AddressSet() = default;
  AddressSet(const AddressSet&) = delete;
  AddressSet& operator=(const AddressSet&) = delete;

  // Inserts an address, or an address with a port, which is a member of its own; `port` 0 means the address alone. It
  // is not suspect then.
  void Insert(const IpAddress& address, const AddressKey& key, Slab<AddressPage>& pages, std::uint16_t port = 0);

  // True if it is in the set and not suspect.
  bool Contains(const IpAddress& address, const AddressKey& key, std::uint16_t port = 0) const;

  // True if it is in the set and suspect.
  bool IsSuspect(const IpAddress& address, const AddressKey& key) const;

  void SuspectAll();

  // Empties the set and returns its page.
  void Release(Slab<AddressPage>& pages);

 private:
  bool Has(std::uint64_t hash, std::uint32_t fingerprint) const;

  std::array<std::uint32_t, kAddressesInline> inline_{};
  AddressPage* page_ = nullptr;
};

}  // namespace penstock
