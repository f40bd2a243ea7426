// The account of each user: what all his sessions have moved together, what they share while they run, and whether his
// limits allow them to.
// Owned by the server; any thread. Called when a session begins or ends, when a login fails, when a worker settles what
// it has counted (meter.h), and by the bookkeeper's watch; never for a chunk of bytes.
// Invariants:
//   - A user has one account, whose address never changes. It stays when his last session ends and when a reload
//     removes him. Only configured users get one, so clients cannot make accounts.
//   - Counts never go down. Once all sessions of a user have ended, his account holds exactly what they have moved.
//   - Each session that was admitted is released exactly once.
//   - The mutex is held for a piece of at most kAccountsPerPiece accounts, but by a reload: a login waits for no list.
//   - What a limit says at the present time, refusal(), is at most a kUsersWatchInterval old. When it turns against a
//     user who has sessions, endings() changes, so that the workers look.
// Does not: verify logins (logins.h), count the bytes of a worker (meter.h), refuse clients (handshake.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/login/user_limits.h"
#include "penstock/login/users.h"
#include "penstock/relay/quota.h"
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
  std::uint64_t quota_used = 0;            // in the period that ends at quota_ends
  std::chrono::seconds quota_ends{0};      // 0: no quota

  bool operator==(const AccountRecord&) const = default;
};

// An account as an operator sees it.
struct UserRow {
  AccountRecord kept;
  UserLimits limits;
  std::uint32_t sessions = 0;  // that exist now
  std::size_t clients = 0;     // that have these sessions; a client is an IPv4 address or an IPv6 /64
};

// Why a user may not have a session.
enum class UserRefusal : std::uint8_t {
  kNone,  // he may
  kNoMemory,
  kSessions,  // --max-connections-per-user
  kClients,   // max-clients
  kExpired,   // expires
  kHours,     // hours
  kQuota,     // quota
};

class Account {
 public:
  Account() = default;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  UserBuckets& buckets() { return buckets_; }
  QuotaPool& quota() { return quota_; }

  // kNone, or the limit that all his sessions have reached: kExpired, kHours or kQuota. Any thread.
  UserRefusal refusal() const { return quota_.over() ? UserRefusal::kQuota : refusal_.load(std::memory_order_relaxed); }

 private:
  friend class Accounts;

  EachWay<std::atomic<std::uint64_t>> bytes_;
  EachWay<std::atomic<std::uint64_t>> datagrams_;
  UserBuckets buckets_;
  QuotaPool quota_;
  std::atomic<UserRefusal> refusal_{UserRefusal::kNone};  // but kQuota

  // Guarded by the mutex of Accounts.
  std::uint32_t sessions_ = 0;
  std::map<std::string, std::uint32_t, std::less<>> clients_;  // by ClientBytes: their sessions
  std::uint64_t sessions_begun_ = 0;
  std::uint64_t failed_logins_ = 0;
  std::chrono::milliseconds first_seen_{0};
  std::chrono::milliseconds last_seen_{0};
  UserLimits limits_;
  std::chrono::seconds quota_ends_{0};  // the period; 0: no quota
  bool refused_ = false;                // refusal() was not kNone at the last look
};

class Accounts {
 public:
  Accounts() = default;
  Accounts(const Accounts&) = delete;
  Accounts& operator=(const Accounts&) = delete;

  static constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);

  struct Admitted {
    Account* account = nullptr;  // the user's account; null: not admitted
    UserRefusal refusal = UserRefusal::kNone;
  };

  // The configured users, null if there are none, and the limits of those without ones of their own. Applies them to
  // the accounts that exist. Times of day are since 1970.
  void Configure(std::shared_ptr<const Users> users, const UserLimits& defaults, std::chrono::milliseconds time_of_day);

  // Looks at the limits of all users at this time: begins periods, and finds users who may have no session any more.
  void Watch(std::chrono::milliseconds time_of_day);

  // True if a limit depends on time or traffic, so that Watch must be called.
  bool watched() const { return watched_.load(std::memory_order_relaxed); }

  // Changes when refusal() of a user who has sessions is no longer kNone. One load.
  std::uint32_t endings() const { return endings_.load(std::memory_order_acquire); }

  // Counts a session of `user` from `client`, unless the user has `max` sessions (0: no limit) or a limit of his own
  // does not allow it. The user is configured.
  Admitted Admit(std::string_view user, std::uint32_t max, const IpAddress& client,
                 std::chrono::milliseconds time_of_day);

  // Call it when an admitted session has ended and no longer uses the account.
  void Release(Account& account, const IpAddress& client, std::chrono::milliseconds time_of_day);

  // Counts a wrong password of `user`, who is configured; an empty name stands for everybody else, so that both take
  // the same path. Without memory it counts nothing.
  void NoteFailedLogin(std::string_view user, std::chrono::milliseconds time_of_day);

  // Adds what a worker has counted.
  void Add(Account& account, const Usage& usage);

  // The first `limit` accounts whose names are behind `after`, by name; ListAll: together with the configured users who
  // have none yet. Each row is of one moment; the rows are not of the same.
  std::vector<UserRow> List(std::string_view after = {}, std::size_t limit = kNoLimit) const;
  std::vector<UserRow> ListAll(std::chrono::milliseconds time_of_day, std::string_view after = {},
                               std::size_t limit = kNoLimit) const;

  // Makes the account that was kept, before the first session. Throws std::bad_alloc.
  void Restore(const AccountRecord& record, std::chrono::milliseconds time_of_day);

  // True if anything that is kept has changed since the last call.
  bool TakeChanged() { return changed_.exchange(false, std::memory_order_acquire); }

 private:
  using Map = std::map<std::string, Account, std::less<>>;

  struct Moment;

  Account& Find(std::string_view user, std::chrono::milliseconds time_of_day);
  UserLimits LimitsOf(std::string_view user) const;
  static void SetLimits(Account& account, UserLimits limits, const Moment& now);
  static bool BeginPeriod(Account& account, const Moment& now);
  void Look(Account& account, const Moment& now);
  void NoteChanged();
  template <typename Self, typename Visit>
  static void ForAll(Self& self, std::string_view after, Visit visit);
  static UserRow RowOf(const std::string& user, const Account& account);

  mutable std::mutex mutex_;
  std::shared_ptr<const Users> users_;
  UserLimits defaults_;
  Map accounts_;  // under an empty name: failed logins of users who are not configured
  std::atomic<bool> changed_{false};
  std::atomic<bool> watched_{false};
  std::atomic<std::uint32_t> endings_{0};
};

}  // namespace penstock
