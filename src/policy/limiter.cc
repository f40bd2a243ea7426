#include "penstock/policy/limiter.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <new>
#include <span>

namespace penstock {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kSecond = std::chrono::seconds(1);

// A token bucket as one number, the time up to which it is paid (token_bucket.h). The burst is one second's worth.
bool CanTake(TimePoint paid_until, nanoseconds cost, TimePoint now) { return paid_until <= now + (kSecond - cost); }
void Take(TimePoint& paid_until, nanoseconds cost, TimePoint now) { paid_until = std::max(paid_until, now) + cost; }

}  // namespace

Admission Limiter::Admit(const IpAddress& client, const Limits& limits, TimePoint now) {
  if (!limits.on_clients()) return Admission::kUncounted;
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  if (shard.clients.size() >= shard.sweep_at) {
    std::erase_if(shard.clients, [now](const auto& item) { return item.second.evictable(now); });
    shard.sweep_at = std::max(kClientsSweepMin, 2 * shard.clients.size());
  }
  try {
    return AdmitCounted(shard.clients[digest], limits, now);
  } catch (const std::bad_alloc&) {
    return Admission::kFlood;  // it cannot be counted
  }
}

Admission Limiter::AdmitCounted(Client& client, const Limits& limits, TimePoint now) {
  const std::uint64_t max = limits.connections_per_client_max.value_or(0);
  const std::uint64_t answered_max = max + (limits.half_refusals ? max / 2 : max);
  if (max != 0 && std::uint64_t{client.admitted} + client.refused >= answered_max) return Admission::kFlood;
  bool over_rate = false;
  if (limits.connect_rate != 0) {
    const nanoseconds cost = kSecond / limits.connect_rate;
    if (!CanTake(client.answered_paid_until, cost / 2, now)) return Admission::kFlood;
    Take(client.answered_paid_until, cost / 2, now);
    over_rate = !CanTake(client.admitted_paid_until, cost, now);
  }
  if (over_rate || (max != 0 && client.admitted >= max)) {
    ++client.refused;
    return over_rate ? Admission::kOverRate : Admission::kOverConnections;
  }
  if (limits.connect_rate != 0) Take(client.admitted_paid_until, kSecond / limits.connect_rate, now);
  ++client.admitted;
  return Admission::kAdmitted;
}

void Limiter::Release(const IpAddress& client, Admission admission, TimePoint now) {
  if (admission == Admission::kUncounted || admission == Admission::kFlood) return;
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.clients.find(digest);
  assert(found != shard.clients.end());
  std::uint32_t& count = admission == Admission::kAdmitted ? found->second.admitted : found->second.refused;
  assert(count > 0);
  --count;
  if (found->second.evictable(now)) shard.clients.erase(found);
}

std::size_t Limiter::clients() const {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.clients.size();
  }
  return sum;
}

// The length of the bytes is part of the digest, so an IPv4 and an IPv6 client never share one.
Digest Limiter::DigestOf(const IpAddress& client) const { return SipHash(key_, ClientBytes(client)); }

}  // namespace penstock
