#include "penstock/udp/address_set.h"

#include <cstring>

namespace penstock {
namespace {

// The finishing steps of MurmurHash3: every bit of the input changes every bit of the output.
std::uint64_t Mix(std::uint64_t bits) {
  bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccdULL;
  bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53ULL;
  return bits ^ bits >> 33;
}

std::uint64_t HashOf(const IpAddress& address, const AddressKey& key, std::uint16_t port = 0) {
  std::array<std::uint64_t, 2> halves{};
  const auto bytes = address.bytes();  // 4 or 16; hashed, too: no IPv4 address equals an IPv6 one that begins with it
  std::memcpy(halves.data(), bytes.data(), bytes.size());
  const std::uint64_t hash = Mix(Mix(halves[0] ^ key.first) + (halves[1] ^ key.second) + bytes.size());
  return port == 0 ? hash : Mix(hash + port);
}

constexpr std::uint32_t kSuspect = 1;

std::uint32_t FingerprintOf(std::uint64_t hash) { return std::max(static_cast<std::uint32_t>(hash) & ~kSuspect, 2U); }

void Suspect(std::span<std::uint32_t> entries) {
  for (std::uint32_t& entry : entries) entry |= entry != 0 ? kSuspect : 0;
}

std::size_t BucketOf(std::uint64_t hash) { return static_cast<std::size_t>(hash >> 32) % AddressPage::kBuckets; }

// Puts `fingerprint` first, as the latest; it is not suspect then. A new one evicts the last entry if `may_replace` is
// true, and otherwise is not inserted: false.
bool InsertFirst(std::span<std::uint32_t> entries, std::uint32_t fingerprint, bool may_replace) {
  auto entry = std::ranges::find_if(entries, [&](std::uint32_t other) { return (other & ~kSuspect) == fingerprint; });
  if (entry == entries.end()) {
    if (!may_replace) return false;
    --entry;
  }
  std::copy_backward(entries.begin(), entry, entry + 1);
  entries.front() = fingerprint;
  return true;
}

}  // namespace

bool AddressSet::Contains(const IpAddress& address, const AddressKey& key, std::uint16_t port) const {
  const std::uint64_t hash = HashOf(address, key, port);
  return Has(hash, FingerprintOf(hash));
}

bool AddressSet::IsSuspect(const IpAddress& address, const AddressKey& key) const {
  const std::uint64_t hash = HashOf(address, key);
  return Has(hash, FingerprintOf(hash) | kSuspect) && !Has(hash, FingerprintOf(hash));
}

// Addresses that were inserted before the page was borrowed are inline.
bool AddressSet::Has(std::uint64_t hash, std::uint32_t fingerprint) const {
  const auto is_inside = [fingerprint](std::span<const std::uint32_t> entries) {
    return std::ranges::find(entries, fingerprint) != entries.end();
  };
  return is_inside(inline_) || (page_ != nullptr && is_inside(page_->buckets[BucketOf(hash)]));
}

void AddressSet::SuspectAll() {
  Suspect(inline_);
  if (page_ == nullptr) return;
  for (AddressPage::Bucket& bucket : page_->buckets) Suspect(bucket);
}

void AddressSet::Insert(const IpAddress& address, const AddressKey& key, Slab<AddressPage>& pages, std::uint16_t port) {
  const std::uint64_t hash = HashOf(address, key, port);
  if (page_ == nullptr) {
    if (InsertFirst(inline_, FingerprintOf(hash), inline_.back() == 0)) return;
    page_ = pages.Acquire();
  }
  const auto entries = page_ == nullptr ? std::span<std::uint32_t>(inline_) : page_->buckets[BucketOf(hash)];
  InsertFirst(entries, FingerprintOf(hash), true);
}

void AddressSet::Release(Slab<AddressPage>& pages) {
  if (page_ != nullptr) pages.Release(page_->self);
  page_ = nullptr;
  inline_.fill(0);
}

}  // namespace penstock
