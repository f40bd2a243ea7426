// Clients whose logins failed, at which names, and for how long they have to wait.
// Owned by Logins; any thread. A client is an IPv4 address or an IPv6 /64.
// Invariant: two failures in a row of a client at a name cost nothing; each further one is followed by a wait, 1 s
// first, then twice as long each time, up to 60 s. The first three at each name count towards the client, too, who may
// have 30 of those before it waits in the same way, whatever the name: somebody who fails at one name again and again
// does not keep out others behind the same address. A success forgets what the client's failures at that name have
// brought, and nothing else; ten minutes without a failure do so, too. At most so many clients and names are known;
// the one with the oldest attempt goes first, and a client's attempt at any name is one of the client's.
// During a wait logins that are remembered may come in (logins.h). Others are counted by name, so that nobody can try
// passwords against what is remembered: the sixteenth and each further one bring the name a wait as failures do, and
// from then on remembered logins are refused while the name waits. The client's wait alone refuses none of them. The
// same one again counts once: it finds out nothing, and is a device with an old password.
// Deliberately not here: what a failure is, what is remembered, and reading a clock.
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
  // Who logs in, and as whom.
  struct Attempt {
    Digest client{};
    Digest name{};  // of the client and the name
  };

  enum class Verdict : std::uint8_t {
    kJudge,      // there is no wait
    kRecognise,  // only a login that is remembered comes in
    kRefuse,     // nobody does
  };

  // The key keeps clients from choosing addresses and names that push others out of a shard.
  explicit Backoff(const DigestKey& key) : key_(key) {}
  Backoff(const Backoff&) = delete;
  Backoff& operator=(const Backoff&) = delete;

  Attempt AttemptOf(const IpAddress& client, std::string_view name) const;

  Verdict Judge(const Attempt& attempt, TimePoint now);

  void Failed(const Attempt& attempt, TimePoint now);
  void Succeeded(const Attempt& attempt, TimePoint now);

  // During a wait there was a login that is not remembered, of a user that exists: others have nothing to be guessed,
  // and clients shall not fill the table with names. `guess` is a digest of the login.
  void Unrecognised(const Attempt& attempt, const Digest& guess, TimePoint now);

  std::size_t entries() const;

 private:
  struct Entry {
    Digest key;  // a client, or a client and a name
    int failures = 0;
    int unrecognised = 0;
    Digest guess{};     // the last unrecognised
    TimePoint last{};   // failure
    TimePoint until{};  // it waits

    void Fail(int free, TimePoint now);
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> entries;  // the latest attempt that counted comes first
    std::unordered_map<Digest, std::list<Entry>::iterator, DigestHash> index;

    // Null when nothing is known, or no longer.
    Entry* Find(const Digest& key, TimePoint now);
    Entry& ToFront(const Digest& key, TimePoint now);  // added if unknown
    void Forget(const Digest& key);
  };

  // A client and its names are in one.
  Shard& ShardOf(const Attempt& attempt) { return shards_[attempt.client.back() % kBackoffShards]; }

  const DigestKey key_;
  std::array<Shard, kBackoffShards> shards_;
};

}  // namespace penstock
