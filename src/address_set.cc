#include "penstock/address_set.h"

#include <cstring>

namespace penstock {
namespace {

// The finishing steps of MurmurHash3: every bit of the input changes every bit of the output.
std::uint64_t Mix(std::uint64_t bits) {
  bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccdULL;
  bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53ULL;
  return bits ^ bits >> 33;
}

std::uint64_t HashOf(const IpAddress& address, const AddressKey& key) {
  std::array<std::uint64_t, 2> halves{};
  const auto bytes = address.bytes();  // 4 or 16: no IPv4 address is taken for an IPv6 one that begins with it
  std::memcpy(halves.data(), bytes.data(), bytes.size());
  return Mix(Mix(halves[0] ^ key.first) + (halves[1] ^ key.second) + bytes.size());
}

std::uint32_t FingerprintOf(std::uint64_t hash) { return std::max(static_cast<std::uint32_t>(hash), 1U); }

std::size_t BucketOf(std::uint64_t hash) { return static_cast<std::size_t>(hash >> 32) % AddressPage::kBuckets; }

void PutFirst(std::span<std::uint32_t> places, std::uint32_t fingerprint) {
  std::copy_backward(places.begin(), places.end() - 1, places.end());
  places.front() = fingerprint;
}

}  // namespace

// Where a hash is, if it is inside. An address from before the page came is still among the inline ones.
std::span<const std::uint32_t> AddressSet::PlacesOf(std::uint64_t hash) const {
  if (page_ == nullptr) return inline_;
  return page_->buckets[BucketOf(hash)];
}

bool AddressSet::Contains(const IpAddress& address, const AddressKey& key) const {
  const std::uint64_t hash = HashOf(address, key);
  const auto is_inside = [fingerprint = FingerprintOf(hash)](std::span<const std::uint32_t> places) {
    return std::ranges::find(places, fingerprint) != places.end();
  };
  return is_inside(PlacesOf(hash)) || (page_ != nullptr && is_inside(inline_));
}

void AddressSet::Insert(const IpAddress& address, const AddressKey& key, Slab<AddressPage>& pages) {
  if (Contains(address, key)) return;
  const std::uint64_t hash = HashOf(address, key);
  if (page_ == nullptr && inline_.back() != 0) page_ = pages.Acquire();
  if (page_ == nullptr) {
    PutFirst(inline_, FingerprintOf(hash));
  } else {
    PutFirst(page_->buckets[BucketOf(hash)], FingerprintOf(hash));
  }
}

void AddressSet::Release(Slab<AddressPage>& pages) {
  if (page_ != nullptr) pages.Release(page_->self);
  page_ = nullptr;
  inline_.fill(0);
}

}  // namespace penstock
