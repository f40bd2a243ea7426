#include "penstock/policy/accounts.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/clock.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string KeyOf(const IpAddress& client) {
  const auto bytes = ClientBytes(client);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Add(std::atomic<std::uint64_t>& to, std::uint64_t count) {
  if (count != 0) to.fetch_add(count, std::memory_order_relaxed);
}

}  // namespace

void Accounts::Add(Account& account, const Usage& usage) {
  if (usage == Usage()) return;
  for (const Way way : kWays) {
    penstock::Add(account.bytes_.of(way), usage.bytes.of(way));
    penstock::Add(account.datagrams_.of(way), usage.datagrams.of(way));
  }
  NoteChanged();
}

// The load saves most writers the exclusive use of the cache line. The change itself is written before.
void Accounts::NoteChanged() {
  if (!changed_.load(std::memory_order_relaxed)) changed_.store(true, std::memory_order_release);
}

// A time, and what the calendar of this host says then.
struct Accounts::Moment {
  explicit Moment(milliseconds time_of_day)
      : time(std::chrono::floor<seconds>(time_of_day)), local(LocalTimeAt(time)) {}

  seconds time;
  LocalTime local;
};

// Calls `visit(user, account)` for the accounts whose names are behind `after`, and for all if it is empty, until it
// returns false. The mutex is released between pieces: accounts are never removed, so the place in the map stays valid.
template <typename Self, typename Visit>
void Accounts::ForAll(Self& self, std::string_view after, Visit visit) {
  std::unique_lock lock(self.mutex_);
  auto at = after.empty() ? self.accounts_.begin() : self.accounts_.upper_bound(after);
  for (std::size_t done = 0; at != self.accounts_.end(); ++at) {
    if (!visit(at->first, at->second)) return;
    if (++done % kAccountsPerPiece != 0) continue;
    lock.unlock();
    lock.lock();
  }
}

// --- Limits --------------------------------------------------------------------------------------------------------

void Accounts::Configure(std::shared_ptr<const Users> users, const UserLimits& defaults, milliseconds time_of_day) {
  bool watched = defaults.changes();
  for (std::size_t i = 0; users != nullptr && i < users->size(); ++i) {
    const UserLimits* const own = users->at(i).limits.get();
    watched |= own != nullptr && own->changes();
  }
  const Moment now(time_of_day);
  const std::lock_guard lock(mutex_);
  users_.swap(users);  // the old table is freed after the lock
  defaults_ = defaults;
  for (auto& [user, account] : accounts_) {
    // A user who is no longer configured keeps his limits. They must be watched: a session that waits for more of his
    // quota waits for its end, and a worker that has not taken the new policy yet may still admit him.
    if (users_ != nullptr && users_->Find(user) != nullptr) SetLimits(account, LimitsOf(user), now);
    watched |= account.limits_.changes();
    Look(account, now);
  }
  watched_.store(watched, std::memory_order_relaxed);
}

UserLimits Accounts::LimitsOf(std::string_view user) const {
  const User* const known = users_ != nullptr ? users_->Find(user) : nullptr;
  return known != nullptr && known->limits != nullptr ? known->limits->Or(defaults_) : defaults_;
}

// What a user has used counts for a new quota, too, until the earlier end of the two periods.
void Accounts::SetLimits(Account& account, UserLimits limits, const Moment& now) {
  if (account.limits_ == limits) return;
  account.limits_ = std::move(limits);
  const std::optional<Quota>& quota = account.limits_.quota;
  const bool limited = quota && quota->bytes != 0;
  if (!limited) account.quota_ends_ = seconds(0);
  if (limited && !BeginPeriod(account, now)) {
    account.quota_ends_ = std::min(account.quota_ends_, quota->EndAfter(now.local));
  }
  // After the period has begun: what was used before it does not count, not even for the moment between the two.
  account.quota_.SetLimit(limited ? static_cast<std::int64_t>(quota->bytes) : QuotaPool::kUnlimited);
}

// If the period is over, or there was none, another one begins, with nothing used. False if it is not over.
bool Accounts::BeginPeriod(Account& account, const Moment& now) {
  if (account.quota_ends_ > now.time) return false;
  account.quota_.SetUsed(0);
  account.quota_ends_ = account.limits_.quota->EndAfter(now.local);
  return true;
}

void Accounts::Look(Account& account, const Moment& now) {
  if (account.quota_.limited() && BeginPeriod(account, now)) NoteChanged();
  const UserLimits& limits = account.limits_;
  UserRefusal refusal = UserRefusal::kNone;
  if (limits.hours && !limits.hours->Contain(now.local)) refusal = UserRefusal::kHours;
  if (limits.expires && limits.expires->PassedAt(now.local)) refusal = UserRefusal::kExpired;
  account.refusal_.store(refusal, std::memory_order_relaxed);
  const bool refused = account.refusal() != UserRefusal::kNone;
  const bool was_refused = std::exchange(account.refused_, refused);
  if (refused && !was_refused && account.sessions_ > 0) endings_.fetch_add(1, std::memory_order_release);
}

void Accounts::Watch(milliseconds time_of_day) {
  const Moment now(time_of_day);
  ForAll(*this, {}, [&](const std::string&, Account& account) {
    Look(account, now);
    return true;
  });
}

// --- Sessions ------------------------------------------------------------------------------------------------------

// Makes the account if there is none. Throws std::bad_alloc.
Account& Accounts::Find(std::string_view user, milliseconds time_of_day) {
  const auto found = accounts_.find(user);
  if (found != accounts_.end()) return found->second;
  UserLimits limits = LimitsOf(user);
  Account& account = accounts_.try_emplace(std::string(user)).first->second;
  const Moment now(time_of_day);
  SetLimits(account, std::move(limits), now);
  Look(account, now);
  return account;
}

Accounts::Admitted Accounts::Admit(std::string_view user, std::uint32_t max, const IpAddress& client,
                                   milliseconds time_of_day) try {
  const std::lock_guard lock(mutex_);
  Account& account = Find(user, time_of_day);
  if (const UserRefusal refusal = account.refusal(); refusal != UserRefusal::kNone) return {nullptr, refusal};
  if (max != 0 && account.sessions_ >= max) return {nullptr, UserRefusal::kSessions};
  std::string key = KeyOf(client);
  const std::uint32_t clients_max = account.limits_.clients_max.value_or(0);
  if (clients_max != 0 && account.clients_.size() >= clients_max && !account.clients_.contains(key)) {
    return {nullptr, UserRefusal::kClients};
  }
  ++account.clients_[std::move(key)];
  ++account.sessions_;
  ++account.sessions_begun_;
  if (account.first_seen_ == milliseconds(0)) account.first_seen_ = time_of_day;
  account.last_seen_ = time_of_day;
  NoteChanged();
  return {&account, UserRefusal::kNone};
} catch (const std::bad_alloc&) {
  return {nullptr, UserRefusal::kNoMemory};
}

void Accounts::Release(Account& account, const IpAddress& client, milliseconds time_of_day) {
  const std::lock_guard lock(mutex_);
  const auto found = account.clients_.find(KeyOf(client));
  assert(found != account.clients_.end() && found->second > 0 && account.sessions_ > 0);
  if (--found->second == 0) account.clients_.erase(found);
  --account.sessions_;
  account.last_seen_ = time_of_day;
  NoteChanged();
}

void Accounts::NoteFailedLogin(std::string_view user, milliseconds time_of_day) try {
  const std::lock_guard lock(mutex_);
  Account& account = Find(user, time_of_day);
  ++account.failed_logins_;
  if (account.first_seen_ == milliseconds(0)) account.first_seen_ = time_of_day;
  account.last_seen_ = time_of_day;
  NoteChanged();
} catch (const std::bad_alloc&) {
}

std::vector<UserRow> Accounts::List(std::string_view after, std::size_t limit) const {
  std::vector<UserRow> rows;
  ForAll(*this, after, [&](const std::string& user, const Account& account) {
    if (rows.size() < limit && !user.empty()) rows.push_back(RowOf(user, account));
    return rows.size() < limit;
  });
  return rows;
}

// The table of users never changes, so it is sorted without the mutex.
std::vector<UserRow> Accounts::ListAll(milliseconds time_of_day, std::string_view after, std::size_t limit) const {
  std::vector<UserRow> rows = List(after, limit);
  std::shared_ptr<const Users> users;
  {
    const std::lock_guard lock(mutex_);
    users = users_;
  }
  std::vector<std::string_view> names;
  for (std::size_t i = 0; users != nullptr && i < users->size(); ++i) {
    if (users->at(i).name > after) names.emplace_back(users->at(i).name);
  }
  const auto first = names.begin() + static_cast<std::ptrdiff_t>(std::min(limit, names.size()));
  std::ranges::partial_sort(names, first);
  names.erase(first, names.end());
  const Moment now(time_of_day);
  const std::size_t seen = rows.size();
  std::size_t next = 0;  // of the rows of accounts, which are sorted
  for (const std::string_view name : names) {
    while (next < seen && rows[next].kept.user < name) ++next;
    if (next < seen && rows[next].kept.user == name) continue;
    Account unused;
    {
      const std::lock_guard lock(mutex_);
      SetLimits(unused, LimitsOf(name), now);
    }
    rows.push_back(RowOf(std::string(name), unused));
  }
  std::ranges::sort(rows, {}, [](const UserRow& row) -> const std::string& { return row.kept.user; });
  rows.resize(std::min(limit, rows.size()));
  return rows;
}

void Accounts::Restore(const AccountRecord& record, milliseconds time_of_day) {
  const std::lock_guard lock(mutex_);
  // Without a clock of its own a host may start in the past. A period that ends there would begin anew, with nothing
  // used, once the clock is set.
  const milliseconds now = std::max(time_of_day, record.last_seen);
  Account& account = Find(record.user, now);
  for (const Way way : kWays) {
    account.bytes_.of(way).store(record.usage.bytes.of(way), std::memory_order_relaxed);
    account.datagrams_.of(way).store(record.usage.datagrams.of(way), std::memory_order_relaxed);
  }
  account.sessions_begun_ = record.sessions;
  account.failed_logins_ = record.failed_logins;
  account.first_seen_ = record.first_seen;
  account.last_seen_ = record.last_seen;
  account.quota_.SetUsed(static_cast<std::int64_t>(std::min(record.quota_used, std::uint64_t{QuotaPool::kUsedMax})));
  // A user who is not configured now may be again before the period ends.
  account.quota_ends_ = account.quota_.limited() ? std::min(account.quota_ends_, record.quota_ends) : record.quota_ends;
  Look(account, Moment(time_of_day));
}

UserRow Accounts::RowOf(const std::string& user, const Account& account) {
  UserRow row;
  row.kept.user = user;
  for (const Way way : kWays) {
    row.kept.usage.bytes.of(way) = account.bytes_.of(way).load(std::memory_order_relaxed);
    row.kept.usage.datagrams.of(way) = account.datagrams_.of(way).load(std::memory_order_relaxed);
  }
  row.kept.sessions = account.sessions_begun_;
  row.kept.failed_logins = account.failed_logins_;
  row.kept.first_seen = account.first_seen_;
  row.kept.last_seen = account.last_seen_;
  row.kept.quota_ends = account.quota_ends_;
  if (account.quota_ends_.count() != 0) row.kept.quota_used = static_cast<std::uint64_t>(account.quota_.used());
  row.limits = account.limits_;
  row.sessions = account.sessions_;
  row.clients = account.clients_.size();
  return row;
}

}  // namespace penstock
