#include "penstock/login/backoff.h"

#include <algorithm>
#include <chrono>

namespace penstock {
namespace {

// How long somebody has to wait after so many failures in a row, of which some are free.
std::chrono::seconds Wait(int failures, int free) {
  std::chrono::seconds wait = kBackoffFirst;
  for (int extra = failures - free; extra > 1 && wait < kBackoffMax; --extra) wait *= 2;
  return failures <= free ? std::chrono::seconds(0) : std::min(wait, kBackoffMax);
}

}  // namespace

Backoff::Attempt Backoff::AttemptOf(const IpAddress& client, std::string_view name) const {
  const IpAddress network = ClientNetwork(client);
  const auto bytes = network.bytes();
  return {KeyedDigest(key_).Add(bytes).Finish(), KeyedDigest(key_).Add(bytes).Add(name).Finish()};
}

Backoff::Verdict Backoff::Judge(const Attempt& attempt, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  const Entry* const client = shard.Find(attempt.client, now);
  const Entry* const name = shard.Find(attempt.name, now);
  if (name != nullptr && now < name->until) {
    return name->unrecognised >= kUnrecognisedMax ? Verdict::kRefuse : Verdict::kRecognise;
  }
  return client != nullptr && now < client->until ? Verdict::kRecognise : Verdict::kJudge;
}

void Backoff::Failed(const Attempt& attempt, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  // The client first: its own new name must not push it out.
  Entry& client = shard.ToFront(attempt.client, now);
  Entry& name = shard.ToFront(attempt.name, now);
  name.Fail(kFailuresFree, now);
  if (name.failures <= kFailuresCounted) client.Fail(kFailuresFreePerClient, now);
}

void Backoff::Succeeded(const Attempt& attempt, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  const Entry* const name = shard.Find(attempt.name, now);
  if (name == nullptr) return;
  const int counted = std::min(name->failures, kFailuresCounted);
  shard.Forget(attempt.name);
  Entry* const client = shard.Find(attempt.client, now);
  if (client == nullptr) return;
  client->failures -= std::min(counted, client->failures);
  if (client->failures == 0) shard.Forget(attempt.client);
}

void Backoff::Unrecognised(const Attempt& attempt, const Digest& guess, TimePoint now) {
  Shard& shard = ShardOf(attempt);
  const std::lock_guard lock(shard.mutex);
  shard.ToFront(attempt.client, now);  // or the names it tries would push out its wait
  Entry& name = shard.ToFront(attempt.name, now);
  if (name.guess == guess) return;
  name.guess = guess;
  name.until = std::max(name.until, now + Wait(++name.unrecognised, kUnrecognisedMax - 1));
}

std::size_t Backoff::entries() const {
  std::size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    count += shard.entries.size();
  }
  return count;
}

void Backoff::Entry::Fail(int free, TimePoint now) {
  failures = std::min(failures + 1, 1000);
  last = now;
  until = std::max(until, now + Wait(failures, free));
}

Backoff::Entry* Backoff::Shard::Find(const Digest& key, TimePoint now) {
  const auto found = index.find(key);
  if (found == index.end()) return nullptr;
  if (now - found->second->last < kBackoffMemory) return &*found->second;
  Forget(key);
  return nullptr;
}

Backoff::Entry& Backoff::Shard::ToFront(const Digest& key, TimePoint now) {
  if (Find(key, now) != nullptr) {
    entries.splice(entries.begin(), entries, index.at(key));
    return entries.front();
  }
  if (entries.size() == kBackoffEntriesPerShard) Forget(Digest(entries.back().key));
  entries.push_front({.key = key, .last = now});
  index.emplace(key, entries.begin());
  return entries.front();
}

void Backoff::Shard::Forget(const Digest& key) {
  const auto found = index.find(key);
  if (found == index.end()) return;
  entries.erase(found->second);
  index.erase(found);
}

}  // namespace penstock
