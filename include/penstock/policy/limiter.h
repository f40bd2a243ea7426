// How much one client, or one user, may have of the gateway: the numbers, and who has how many sessions right now.
// A Limiter and an Accounts are owned by the server and shared by its workers; any thread. They are touched when a
// session comes or goes, or a user logs in, and never for a byte.
// Invariant: whoever was counted in is counted out, once, whatever happens to the limits in between: what Admit said is
// what Release is told. A client of whom there is nothing to remember takes no memory.
// Deliberately not here: what a refused client is told (handshake.h), and how bytes are held back (throttle.h).
//
// A client is an IPv4 address, or the /64 that an IPv6 address is in: that is what one host or one household gets, and
// it could use a new address of it for each connection.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/relay/token_bucket.h"

namespace penstock {

// What the operator has chosen; 0 is no limit.
struct Limits {
  std::optional<std::uint32_t> connections_per_client_max;  // nothing: none was chosen, and the server may (server.h)
  std::uint32_t connections_per_user_max = 0;
  std::uint32_t connect_rate = 0;    // new connections of a client per second; that many may come at once
  std::uint64_t bandwidth = 0;       // bytes per second of a session, each way
  std::uint64_t user_bandwidth = 0;  // bytes per second of all sessions of a user, each way

  // The connections of a client that may be refused are as many again; half as many where its limit is the server's
  // choice, for together they must not fill the gateway.
  bool half_refusals = false;

  bool on_clients() const { return connections_per_client_max.value_or(0) != 0 || connect_rate != 0; }
  bool on_users() const { return connections_per_user_max != 0 || user_bandwidth != 0; }
  Rates rates() const { return {Rate(bandwidth), Rate(user_bandwidth)}; }
  bool operator==(const Limits&) const = default;
};

// What is to be done with a connection that came.
enum class Admission : std::uint8_t {
  kUncounted,        // no limit is set: serve it
  kAdmitted,         // serve it
  kOverConnections,  // the client has as many as it may: answer its request with a refusal
  kOverRate,         // the client comes too often: the same
  kFlood,            // far too many, or twice as often: answering each would be a way to fill the gateway. Close it
};

class Limiter {
 public:
  explicit Limiter(const DigestKey& key) : key_(key) {}
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;

  // A connection of `client` has come. Without limits on clients this takes no lock and remembers nothing.
  Admission Admit(const IpAddress& client, const Limits& limits, TimePoint now);

  // It has gone. `admission` is what Admit said.
  void Release(const IpAddress& client, Admission admission, TimePoint now);

  // For tests: how many clients are remembered.
  std::size_t clients() const;

 private:
  // What is known of one client.
  struct Client {
    std::uint32_t in = 0;        // sessions that are served
    std::uint32_t over = 0;      // sessions that are refused, but not gone yet
    TimePoint admitted_until{};  // connections that came in are paid until then
    TimePoint answered_until{};  // the same for all that were not closed at once, at twice the rate

    bool evictable(TimePoint now) const {
      return in == 0 && over == 0 && admitted_until <= now && answered_until <= now;
    }
  };

  // Clients whose sessions are gone are remembered for a second at the longest, and are looked for when a shard has
  // doubled.
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<Digest, Client, DigestHash> clients;
    std::size_t sweep_at = kClientsSweepMin;
  };

  static Admission AdmitCounted(Client& client, const Limits& limits, TimePoint now);
  Digest DigestOf(const IpAddress& client) const;
  Shard& ShardOf(const Digest& digest) { return shards_[digest.back() % shards_.size()]; }

  const DigestKey key_;
  std::array<Shard, kLimiterShards> shards_;
};

// A user, as far as all of its sessions share something. It never moves while one of them lives.
class Account {
 public:
  Account() = default;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  UserBuckets& buckets() { return buckets_; }

 private:
  friend class Accounts;

  std::uint32_t sessions_ = 0;  // guarded by the mutex of Accounts
  UserBuckets buckets_;
};

class Accounts {
 public:
  Accounts() = default;
  Accounts(const Accounts&) = delete;
  Accounts& operator=(const Accounts&) = delete;

  struct Admitted {
    Account* account = nullptr;  // in which the session counts; null: it does not
    bool full = false;           // because there are `max` sessions of this user, or else because memory has run out
  };

  // Counts a session of `user` in, unless there are `max` of them (0: any number).
  Admitted Admit(std::string_view user, std::uint32_t max, TimePoint now);

  // It has gone, and nothing of it uses the account any more. The last one takes the account along, unless its
  // bandwidth has still to be paid for.
  void Release(std::string_view user, TimePoint now);

  // For tests: how many users are remembered.
  std::size_t size() const;

 private:
  using Map = std::map<std::string, Account, std::less<>>;

  static bool IsEvictable(const Account& account, TimePoint now);

  mutable std::mutex mutex_;
  Map accounts_;
  std::size_t sweep_at_ = kClientsSweepMin;
};

}  // namespace penstock
