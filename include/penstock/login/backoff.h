// Counts failed logins and makes the client wait after them.
// Owned by Logins; any thread may call. A client is an IPv4 address or an IPv6 /64 (ClientBytes).
// Invariants:
//   - By client and name: two failures in a row are free. Each further failure starts a wait of 1 s, then twice the
//     previous wait, up to 60 s.
//   - By client: only the first three failures at each name count. A client has 30 of them free, then waits in the same
//     way at every name. So repeated failures at one name do not lock out others behind the same address.
//   - A successful login clears the failures of this client at this name, and what they added to the client's count.
//     Ten minutes without a failure clear everything.
//   - During a wait only cached logins are accepted (logins.h). Any other attempt counts as a miss at that name. From
//     the sixteenth miss on, each miss starts a wait of the name, during which cached logins are refused too: nobody
//     can guess passwords against the cache. A client's wait alone refuses no cached login. The same miss repeated
//     counts once: it is a device with an old password, which learns nothing.
//   - The table is bounded. A full shard evicts the entry whose last attempt is the oldest; an attempt at any name is
//     an attempt of its client.
// Does not: decide what a failure is, hold the cache, read a clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"

namespace penstock {

class Backoff {
 public:
  struct Attempt {
    Digest client{};
    Digest name{};  // digest of client and name together
  };

  enum class Verdict : std::uint8_t {
    kVerify,      // no wait: verify the password
    kCachedOnly,  // accept a cached login, refuse any other
    kRefuse,      // refuse every login
  };

  // `key` is secret, so that clients cannot choose addresses and names that evict others from a shard.
  explicit Backoff(const DigestKey& key) : key_(key) {}
  Backoff(const Backoff&) = delete;
  Backoff& operator=(const Backoff&) = delete;

  Attempt AttemptOf(const IpAddress& client, std::string_view name) const;

  Verdict Evaluate(const Attempt& attempt, TimePoint now);

  void Failed(const Attempt& attempt, TimePoint now);
  void Succeeded(const Attempt& attempt, TimePoint now);

  // Counts a login that came during a wait and is not cached. `login` is its digest. Call it for existing users only:
  // other names have no cached login to guess, and would let clients fill the table.
  void Missed(const Attempt& attempt, const Digest& login, TimePoint now);

  // For tests.
  std::size_t entries() const;

 private:
  struct Entry {
    Digest key;  // Attempt::client or Attempt::name
    int failures = 0;
    int misses = 0;
    Digest last_miss{};
    TimePoint last_failure{};
    TimePoint wait_until{};

    void Fail(int failures_free, TimePoint now);
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> entries;  // most recent attempt first
    std::unordered_map<Digest, std::list<Entry>::iterator, DigestHash> index;

    // Null if there is no entry, or if it has expired.
    Entry* Find(const Digest& key, TimePoint now);
    // Moves the entry to the front; adds it if there is none.
    Entry& Touch(const Digest& key, TimePoint now);
    void Erase(const Digest& key);
  };

  // The entries of a client and of its names are in one shard.
  Shard& ShardOf(const Attempt& attempt) { return shards_[attempt.client.back() % kBackoffShards]; }

  const DigestKey key_;
  std::array<Shard, kBackoffShards> shards_;
};

}  // namespace penstock
