#include "penstock/backoff.h"

#include <algorithm>
#include <chrono>
#include <string_view>

namespace penstock {
namespace {

// How long a client has to wait after so many failures in a row.
std::chrono::seconds Wait(int failures) {
  std::chrono::seconds wait = kBackoffFirst;
  for (int extra = failures - kFailuresFree; extra > 1 && wait < kBackoffMax; --extra) wait *= 2;
  return failures <= kFailuresFree ? std::chrono::seconds(0) : std::min(wait, kBackoffMax);
}

}  // namespace

bool Backoff::Blocks(const IpAddress& client, TimePoint now) {
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  const Entry* const entry = shard.Find(digest, now);
  return entry != nullptr && now < entry->until;
}

void Backoff::Failed(const IpAddress& client, TimePoint now) {
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  if (shard.Find(digest, now) == nullptr) {
    if (shard.entries.size() == kBackoffClientsPerShard) shard.Forget(Digest(shard.entries.back().client));
    shard.entries.push_front({digest});
    shard.index.emplace(digest, shard.entries.begin());
  }
  const auto place = shard.index.at(digest);
  shard.entries.splice(shard.entries.begin(), shard.entries, place);
  place->failures = std::min(place->failures + 1, 1000);
  place->last = now;
  place->until = std::max(place->until, now + Wait(place->failures));
}

void Backoff::Succeeded(const IpAddress& client) {
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  shard.Forget(digest);
}

std::size_t Backoff::clients() const {
  std::size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    count += shard.entries.size();
  }
  return count;
}

Backoff::Entry* Backoff::Shard::Find(const Digest& client, TimePoint now) {
  const auto found = index.find(client);
  if (found == index.end()) return nullptr;
  if (now - found->second->last < kBackoffMemory) return &*found->second;
  Forget(client);
  return nullptr;
}

void Backoff::Shard::Forget(const Digest& client) {
  const auto found = index.find(client);
  if (found == index.end()) return;
  entries.erase(found->second);
  index.erase(found);
}

Digest Backoff::DigestOf(const IpAddress& client) const {
  const IpAddress network = ClientNetwork(client);
  const auto bytes = network.bytes();
  return SipHash(key_, bytes);
}

}  // namespace penstock
