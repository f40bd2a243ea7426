// The account of each user: what all his sessions have moved together, and what they share while they run.
// Owned by the server; any thread. Called when a session begins or ends, when a login fails, and when a worker settles
// what it has counted (meter.h); never for a chunk of bytes.
// Invariants:
//   - A user has one account, whose address never changes. It stays when his last session ends and when a reload
//     removes him. Only configured users get one, so clients cannot make accounts.
//   - Counts never go down. Once all sessions of a user have ended, his account holds exactly what they have moved.
//   - Each session that was admitted is released exactly once.
// Does not: verify logins (logins.h), count the bytes of a worker (meter.h), refuse clients (handshake.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/relay/token_bucket.h"
#include "penstock/relay/way.h"

namespace penstock {

// What sessions have moved, each way.
struct Usage {
  EachWay<std::uint64_t> bytes;  // of data
  EachWay<std::uint64_t> datagrams;

  bool operator==(const Usage&) const = default;
};

// What an account keeps after its sessions. Times are since 1970; 0: never.
struct AccountRecord {
  std::string user;
  Usage usage;
  std::uint64_t sessions = 0;       // that have begun: a login was accepted
  std::uint64_t failed_logins = 0;  // with a wrong password
  std::chrono::milliseconds first_seen{0};
  std::chrono::milliseconds last_seen{0};  // when a login was accepted or failed, or a session ended

  bool operator==(const AccountRecord&) const = default;
};

// An account as an operator sees it.
struct UserRow {
  AccountRecord kept;
  std::uint32_t sessions = 0;  // that exist now
  std::size_t clients = 0;     // that have these sessions; a client is an IPv4 address or an IPv6 /64
};

class Account {
 public:
  Account() = default;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  UserBuckets& buckets() { return buckets_; }

 private:
  friend class Accounts;

  EachWay<std::atomic<std::uint64_t>> bytes_;
  EachWay<std::atomic<std::uint64_t>> datagrams_;
  UserBuckets buckets_;

  // Guarded by the mutex of Accounts.
  std::uint32_t sessions_ = 0;
  std::map<std::string, std::uint32_t, std::less<>> clients_;  // by ClientBytes: their sessions
  std::uint64_t sessions_begun_ = 0;
  std::uint64_t failed_logins_ = 0;
  std::chrono::milliseconds first_seen_{0};
  std::chrono::milliseconds last_seen_{0};
};

class Accounts {
 public:
  Accounts() = default;
  Accounts(const Accounts&) = delete;
  Accounts& operator=(const Accounts&) = delete;

  struct Admitted {
    Account* account = nullptr;  // the user's account; null: not admitted
    bool full = false;           // not admitted: true if the user has `max` sessions, false if memory ran out
  };

  // Counts a session of `user` from `client`, unless the user has `max` sessions (0: no limit). The user is configured;
  // `time_of_day` is since 1970.
  Admitted Admit(std::string_view user, std::uint32_t max, const IpAddress& client,
                 std::chrono::milliseconds time_of_day);

  // Call it when an admitted session has ended and no longer uses the account.
  void Release(Account& account, const IpAddress& client, std::chrono::milliseconds time_of_day);

  // Counts a wrong password of `user`, who is configured; an empty name stands for everybody else, so that both take
  // the same time. Without memory it counts nothing.
  void NoteFailedLogin(std::string_view user, std::chrono::milliseconds time_of_day);

  // Adds what a worker has counted.
  void Add(Account& account, const Usage& usage);

  // All accounts, by name.
  std::vector<UserRow> List() const;

  // Makes the account that was kept, before the first session. Throws std::bad_alloc.
  void Restore(const AccountRecord& record);

  // True if anything that is kept has changed since the last call.
  bool TakeChanged() { return changed_.exchange(false, std::memory_order_acquire); }

 private:
  using Map = std::map<std::string, Account, std::less<>>;

  Account& Find(std::string_view user);  // makes it if there is none; throws std::bad_alloc
  void NoteChanged();
  static UserRow RowOf(const std::string& user, const Account& account);

  mutable std::mutex mutex_;
  Map accounts_;
  Account others_;  // failed logins of users who are not configured
  std::atomic<bool> changed_{false};
};

}  // namespace penstock
