#include "penstock/limiter.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <new>
#include <span>

namespace penstock {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kSecond = std::chrono::seconds(1);

// One number for how often something may happen, as in throttle.h: a second's worth may come at once.
bool MayPay(TimePoint paid_until, nanoseconds price, TimePoint now) { return paid_until <= now + (kSecond - price); }
void Pay(TimePoint& paid_until, nanoseconds price, TimePoint now) { paid_until = std::max(paid_until, now) + price; }

// The part of an address that stands for a client.
IpAddress BlockOf(const IpAddress& address) {
  if (address.is_v4()) return address;
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(address.bytes().first(8), bytes.begin());
  return IpAddress::FromV6(bytes);
}

}  // namespace

// --- Clients -------------------------------------------------------------------------------------------------------

Entry Limiter::Enter(const IpAddress& client, const Limits& limits, TimePoint now) {
  if (!limits.on_clients()) return Entry::kUncounted;
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  if (shard.clients.size() >= shard.sweep_at) {
    std::erase_if(shard.clients, [now](const auto& item) { return item.second.forgettable(now); });
    shard.sweep_at = std::max(kClientsSweepMin, 2 * shard.clients.size());
  }
  try {
    return Judge(shard.clients[digest], limits, now);
  } catch (const std::bad_alloc&) {
    return Entry::kFlood;  // it could not be counted
  }
}

Entry Limiter::Judge(Client& client, const Limits& limits, TimePoint now) {
  const std::uint64_t max = limits.connections_per_client_max;
  if (max != 0 && std::uint64_t{client.in} + client.over >= 2 * max) return Entry::kFlood;
  bool too_often = false;
  if (limits.connect_rate != 0) {
    const nanoseconds price = kSecond / limits.connect_rate;
    if (!MayPay(client.answered_until, price / 2, now)) return Entry::kFlood;
    Pay(client.answered_until, price / 2, now);
    too_often = !MayPay(client.admitted_until, price, now);
  }
  if (too_often || (max != 0 && client.in >= max)) {
    ++client.over;
    return too_often ? Entry::kOverRate : Entry::kOverConnections;
  }
  if (limits.connect_rate != 0) Pay(client.admitted_until, kSecond / limits.connect_rate, now);
  ++client.in;
  return Entry::kIn;
}

void Limiter::Leave(const IpAddress& client, Entry entry, TimePoint now) {
  if (entry == Entry::kUncounted || entry == Entry::kFlood) return;
  const Digest digest = DigestOf(client);
  Shard& shard = ShardOf(digest);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.clients.find(digest);
  assert(found != shard.clients.end());
  std::uint32_t& count = entry == Entry::kIn ? found->second.in : found->second.over;
  assert(count > 0);
  --count;
  if (found->second.forgettable(now)) shard.clients.erase(found);
}

std::size_t Limiter::clients() const {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.clients.size();
  }
  return sum;
}

// Its length is part of the digest, so no IPv4 address is taken for an IPv6 one.
Digest Limiter::DigestOf(const IpAddress& client) const {
  const IpAddress block = BlockOf(client);
  return SipHash(key_, block.bytes());
}

// --- Users ---------------------------------------------------------------------------------------------------------

bool Account::Enter(std::uint32_t max) {
  std::uint32_t sessions = sessions_.load(std::memory_order_relaxed);
  do {
    if (max != 0 && sessions >= max) return false;
  } while (!sessions_.compare_exchange_weak(sessions, sessions + 1, std::memory_order_relaxed));
  return true;
}

void Account::Leave() {
  [[maybe_unused]] const std::uint32_t before = sessions_.fetch_sub(1, std::memory_order_relaxed);
  assert(before > 0);
}

Account* Accounts::Of(std::string_view user) {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(user);
  if (found != accounts_.end()) return &found->second;
  try {
    return &accounts_.try_emplace(std::string(user)).first->second;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace penstock
