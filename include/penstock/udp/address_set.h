// Which addresses a client has sent to: a set that never says no to one of the latest, in a hundred bytes. When other
// rules come all of them become doubtful, until they are inserted again.
// A member of an association; its worker's thread only.
// Invariant: what was inserted last, for the first time or again, is inside. The first kAddressesInline addresses are
// kept in the set itself; beyond them it borrows a page for some thousand from its worker and gives it back in the end;
// where there is no page, and when a page is full, new addresses take the place of those inserted longest ago.
// Deliberately not here: the addresses. What is kept is 31 bits of a keyed hash: whoever does not know the key, which
// is random and the worker's, is taken for somebody else once in fifty million guesses.
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

struct AddressKey {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

// Buckets of the latest fingerprints, the newest first; 0 is none. The lowest bit of one says that it is doubtful.
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

  // `port`: an address with a port is a member of its own; 0: the address alone.
  void Insert(const IpAddress& address, const AddressKey& key, Slab<AddressPage>& pages, std::uint16_t port = 0);
  bool Contains(const IpAddress& address, const AddressKey& key, std::uint16_t port = 0) const;  // and is not doubtful
  bool IsSuspect(const IpAddress& address, const AddressKey& key) const;
  void SuspectAll();

  // Gives back what is lent, and is empty.
  void Release(Slab<AddressPage>& pages);

 private:
  bool Has(std::uint64_t hash, std::uint32_t fingerprint) const;

  std::array<std::uint32_t, kAddressesInline> inline_{};
  AddressPage* page_ = nullptr;
};

}  // namespace penstock
