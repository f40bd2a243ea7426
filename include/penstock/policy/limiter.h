// The limits on one client and on one user, and how many sessions each client has.
// A Limiter is owned by the server; any thread may call. It is called when a session begins or ends, never for bytes.
// Invariants:
//   - Each admission is released exactly once, with the value that Admit returned, so the counts stay right when the
//     limits change in between.
//   - A client without sessions whose token buckets have no debt is evicted, at the latest when its table has doubled.
// Does not: count the sessions of users (accounts.h), reply to refused clients (handshake.h), delay bytes (throttle.h).
//
// A client is an IPv4 address or an IPv6 /64: one host has a whole /64, and could use a new address of it for each
// connection.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/relay/token_bucket.h"

namespace penstock {

// The limits that the operator has set; 0: no limit.
struct Limits {
  std::optional<std::uint32_t> connections_per_client_max;  // nothing: not set, the server chooses (server.h)
  std::uint32_t connections_per_user_max = 0;
  std::uint32_t connect_rate = 0;    // new connections of a client per second; also the burst
  std::uint64_t bandwidth = 0;       // bytes per second of a session, in each direction
  std::uint64_t user_bandwidth = 0;  // of all sessions of a user together, in each direction

  // A client may have as many refused sessions at a time as admitted ones. True: half as many. The server sets it with
  // its own limit for clients, so that one client's sessions do not fill the gateway.
  bool half_refusals = false;

  bool on_clients() const { return connections_per_client_max.value_or(0) != 0 || connect_rate != 0; }
  Rates rates() const { return {Rate(bandwidth), Rate(user_bandwidth)}; }
  bool operator==(const Limits&) const = default;
};

// The verdict about a new connection.
enum class Admission : std::uint8_t {
  kUncounted,        // no limit on clients is set: serve it
  kAdmitted,         // serve it
  kOverConnections,  // the client has the maximum number of sessions: refuse its request
  kOverRate,         // the client connects too often: refuse its request
  kFlood,            // too many refused sessions, or twice the rate: close it unanswered, since refusals cost sessions
};

class Limiter {
 public:
  explicit Limiter(const DigestKey& key) : key_(key) {}
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;

  // Call it for each accepted connection. Without limits on clients it takes no lock and stores nothing. kFlood too if
  // memory runs out.
  Admission Admit(const IpAddress& client, const Limits& limits, TimePoint now);

  // Call it when the connection has ended. `admission` is the value that Admit returned.
  void Release(const IpAddress& client, Admission admission, TimePoint now);

  // For tests: the number of clients that are stored.
  std::size_t clients() const;

 private:
  struct Client {
    std::uint32_t admitted = 0;       // sessions
    std::uint32_t refused = 0;        // sessions that have not ended yet
    TimePoint admitted_paid_until{};  // the token bucket of admitted connections, as in token_bucket.h
    TimePoint answered_paid_until{};  // the same for admitted and refused connections, at twice the rate

    bool evictable(TimePoint now) const {
      return admitted == 0 && refused == 0 && admitted_paid_until <= now && answered_paid_until <= now;
    }
  };

  // A client is evicted when its last session ends, or later by a sweep if its token buckets have a debt then (of a
  // second at most). A shard is swept when it has doubled.
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

}  // namespace penstock
