#include "penstock/policy/guard.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {
namespace {

// What no route is needed to know. A block's value is its number of shared bits.
PrefixTable ClosedBlocks() {
  std::vector<PrefixTable::Entry> entries;
  const auto add = [&](std::string_view text) {
    if (text.empty()) return;
    const Prefix block = Prefix::Parse(text).value();
    entries.push_back({block, block.shared_bits()});
  };
  for (const BlockGroup& group : kClosedGroups) std::ranges::for_each(group.blocks, add);
  add(kClosedBesides);
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

// RFC 8215 leaves the length of prefixes in this block to each site, and with it where the IPv4 address stands.
bool Guard::IsUnclear(const IpAddress& target) const {
  static const Prefix kLocalUse = Prefix::Parse("64:ff9b:1::/48").value();
  const auto holds = [&](const Prefix& named) { return named.Contains(target); };
  return kLocalUse.Contains(target) && std::ranges::none_of(translators_named_, holds);
}

bool Guard::IsOpen(const IpAddress& target, const Source* source) {
  return !IsClosed(Prefix(target)) && !IsUnclear(target) && std::ranges::find(more_own_, target) == more_own_.end() &&
         !IsLocal(target, source);
}

// An address that is this host's by its own choice of route stays closed, whatever the source makes of it. That there
// is no answer without the source (the main table may end in a black hole) says nothing when there is one with it.
bool Guard::IsLocal(const IpAddress& target, const Source* source) {
  static const Source kAny;
  const Source& from = source == nullptr ? kAny : *source;
  Evaluated& evaluated = evaluated_[Hash(target) % kCached];
  if (evaluated.until <= clock_.now() || evaluated.target != target || evaluated.source != from) {
    const RouteKind kernels = routes_.KindOf(target);
    const RouteKind kind = source != nullptr ? routes_.KindOf(target, source) : kernels;
    const bool local =
        kind != RouteKind::kElsewhere || kernels == RouteKind::kThisHost || kernels == RouteKind::kEverybody;
    evaluated = {target, from, clock_.now() + std::chrono::seconds(1), local};
  }
  return evaluated.local;
}

}  // namespace penstock
