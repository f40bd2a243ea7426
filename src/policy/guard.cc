#include "penstock/policy/guard.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {
namespace {

// All closed blocks. The value of a block is the length of its prefix.
PrefixTable ClosedBlocks() {
  std::vector<PrefixTable::Entry> entries;
  const auto add = [&](std::string_view text) {
    if (text.empty()) return;
    const Prefix block = Prefix::Parse(text).value();
    entries.push_back({block, block.shared_bits()});
  };
  for (const BlockGroup& group : kClosedGroups) std::ranges::for_each(group.blocks, add);
  add(kClosedAmazonServices);
  return PrefixTable(std::move(entries));
}

std::size_t Hash(const IpAddress& address) {
  std::uint64_t hash = 0;
  for (const std::uint8_t byte : address.bytes()) hash = (hash ^ byte) * 0x100000001b3;  // FNV-1a
  return static_cast<std::size_t>(hash ^ hash >> 32);
}

}  // namespace

bool IsClosed(const Prefix& block) {
  static const PrefixTable kClosed = ClosedBlocks();
  bool found = false;
  kClosed.ForEach(block.address(), [&](std::uint32_t bits) { found = found || bits <= block.shared_bits(); });
  return found;
}

bool Guard::Allows(const IpAddress& client, const IpAddress& target, const Source* source) {
  if (trusts_loopback_ && client.is_loopback()) return true;
  const auto embedded = EmbeddedV4(target);
  return IsOpen(target, source) && (!embedded || IsOpen(*embedded, nullptr));
}

// 64:ff9b:1::/48 is for local use (RFC 8215): each site chooses the length of its prefix, and so the place of the IPv4
// address. Without a configured prefix that address is unknown.
bool Guard::HasUnknownNat64Prefix(const IpAddress& target) const {
  static const Prefix kLocalUse = Prefix::Parse("64:ff9b:1::/48").value();
  const auto contains_target = [&](const Prefix& prefix) { return prefix.Contains(target); };
  return kLocalUse.Contains(target) && std::ranges::none_of(configured_nat64_, contains_target);
}

bool Guard::IsOpen(const IpAddress& target, const Source* source) {
  return !IsClosed(Prefix(target)) && !HasUnknownNat64Prefix(target) &&
         std::ranges::find(external_, target) == external_.end() && !IsLocal(target, source);
}

// An address that is local on the default route stays closed, whatever route its source has. A failed query without the
// source (the main table may end in a blackhole) does not count if the query with the source succeeds.
bool Guard::IsLocal(const IpAddress& target, const Source* source) {
  static const Source kAny;
  const Source& from = source == nullptr ? kAny : *source;
  CachedRoute& cached = cache_[Hash(target) % kCached];
  if (cached.valid_until <= clock_.now() || cached.target != target || cached.source != from) {
    const RouteKind by_default = routes_.KindOf(target);
    const RouteKind kind = source != nullptr ? routes_.KindOf(target, source) : by_default;
    const bool local =
        kind != RouteKind::kElsewhere || by_default == RouteKind::kThisHost || by_default == RouteKind::kEverybody;
    cached = {target, from, clock_.now() + std::chrono::seconds(1), local};
  }
  return cached.local;
}

}  // namespace penstock
