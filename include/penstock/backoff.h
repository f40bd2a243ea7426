// Clients whose logins failed, and for how long they have to wait.
// Owned by Logins; any thread. A client is an IPv4 address or an IPv6 /64.
// Invariant: two failures in a row cost nothing; each further one keeps the client out, 1 s first, then twice as long
// each time, up to 60 s. A success forgets all of it, and so do ten minutes without a failure. At most so many clients
// are known; whose last failure is oldest goes first.
// Deliberately not here: what a failure is, and reading a clock.
#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <mutex>
#include <unordered_map>

#include "penstock/clock.h"
#include "penstock/digest.h"
#include "penstock/endpoint.h"
#include "penstock/limits.h"

namespace penstock {

class Backoff {
 public:
  // The key keeps clients from choosing addresses that push others out of a shard.
  explicit Backoff(const DigestKey& key) : key_(key) {}
  Backoff(const Backoff&) = delete;
  Backoff& operator=(const Backoff&) = delete;

  // True while `client` has to wait.
  bool Blocks(const IpAddress& client, TimePoint now);

  void Failed(const IpAddress& client, TimePoint now);
  void Succeeded(const IpAddress& client);

  std::size_t clients() const;

 private:
  struct Entry {
    Digest client;
    int failures = 0;
    TimePoint last{};   // failure
    TimePoint until{};  // it is blocked
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> entries;  // who failed last comes first
    std::unordered_map<Digest, std::list<Entry>::iterator, DigestHash> index;

    // Null when nothing is known of the client, or no longer.
    Entry* Find(const Digest& client, TimePoint now);
    void Forget(const Digest& client);
  };

  Digest DigestOf(const IpAddress& client) const;
  Shard& ShardOf(const Digest& client) { return shards_[client.back() % kBackoffShards]; }

  const DigestKey key_;
  std::array<Shard, kBackoffShards> shards_;
};

}  // namespace penstock
