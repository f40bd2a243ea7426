#include "penstock/login/backoff.h"

#include <algorithm>
#include <chrono>

namespace penstock {
namespace {

// The wait after `failures` in a row, the first `failures_free` of which cost nothing.
std::chrono::seconds Wait(int failures, int failures_free) {
  std::chrono::seconds wait = kBackoffFirst;
  for (int extra = failures - failures_free; extra > 1 && wait < kBackoffMax; --extra) wait *= 2;
  return failures <= failures_free ? std::chrono::seconds(0) : std::min(wait, kBackoffMax);
}

}  // namespace

Backoff::Attempt Backoff::AttemptOf(const IpAddress& client, std::string_view name) const {
  const auto bytes = ClientBytes(client);
  return {KeyedDigest(key_).Add(bytes).Finish(), KeyedDigest(key_).Add(bytes).Add(name).Finish()};
}

Backoff::Verdict Backoff::Evaluate(const Attempt& attempt, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  const Entry* const client = shard.Find(attempt.client, now);
  const Entry* const name = shard.Find(attempt.name, now);
  if (name != nullptr && now < name->wait_until) {
    return name->misses >= kLoginMissesMax ? Verdict::kRefuse : Verdict::kCachedOnly;
  }
  return client != nullptr && now < client->wait_until ? Verdict::kCachedOnly : Verdict::kVerify;
}

void Backoff::Failed(const Attempt& attempt, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  // Touch the client first: its own new name must not evict it.
  Entry& client = shard.Touch(attempt.client, now);
  Entry& name = shard.Touch(attempt.name, now);
  name.Fail(kFailuresFree, now);
  if (name.failures <= kFailuresCounted) client.Fail(kFailuresFreePerClient, now);
}

void Backoff::Succeeded(const Attempt& attempt, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  const Entry* const name = shard.Find(attempt.name, now);
  if (name == nullptr) return;
  const int counted = std::min(name->failures, kFailuresCounted);
  shard.Erase(attempt.name);
  Entry* const client = shard.Find(attempt.client, now);
  if (client == nullptr) return;
  client->failures -= std::min(counted, client->failures);
  if (client->failures == 0) shard.Erase(attempt.client);
}

void Backoff::Missed(const Attempt& attempt, const Digest& login, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  shard.Touch(attempt.client, now);  // or the names it tries would evict its wait
  Entry& name = shard.Touch(attempt.name, now);
  if (name.last_miss == login) return;
  name.last_miss = login;
  name.wait_until = std::max(name.wait_until, now + Wait(++name.misses, kLoginMissesMax - 1));
}

std::size_t Backoff::entries() const {
  std::size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    count += shard.entries.size();
  }
  return count;
}

void Backoff::Entry::Fail(int failures_free, TimePoint now) {
  failures = std::min(failures + 1, 1000);
  last_failure = now;
  wait_until = std::max(wait_until, now + Wait(failures, failures_free));
}

Backoff::Entry* Backoff::Shard::Find(const Digest& key, TimePoint now) {
  const auto found = index.find(key);
  if (found == index.end()) return nullptr;
  if (now - found->second->last_failure < kBackoffMemory) return &*found->second;
  Erase(key);
  return nullptr;
}

Backoff::Entry& Backoff::Shard::Touch(const Digest& key, TimePoint now) {
  if (Find(key, now) != nullptr) {
    entries.splice(entries.begin(), entries, index.at(key));
    return entries.front();
  }
  if (entries.size() == kBackoffEntriesPerShard) Erase(Digest(entries.back().key));
  entries.push_front({.key = key, .last_failure = now});
  index.emplace(key, entries.begin());
  return entries.front();
}

void Backoff::Shard::Erase(const Digest& key) {
  const auto found = index.find(key);
  if (found == index.end()) return;
  entries.erase(found->second);
  index.erase(found);
}

}  // namespace penstock
