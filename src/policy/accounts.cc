#include "penstock/policy/accounts.h"

#include <cassert>
#include <new>

namespace penstock {
namespace {

using std::chrono::milliseconds;

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

Account& Accounts::Find(std::string_view user) {
  const auto found = accounts_.find(user);
  return found != accounts_.end() ? found->second : accounts_.try_emplace(std::string(user)).first->second;
}

Accounts::Admitted Accounts::Admit(std::string_view user, std::uint32_t max, const IpAddress& client,
                                   milliseconds time_of_day) try {
  const std::lock_guard lock(mutex_);
  Account& account = Find(user);
  if (max != 0 && account.sessions_ >= max) return {nullptr, true};
  ++account.clients_[KeyOf(client)];
  ++account.sessions_;
  ++account.sessions_begun_;
  if (account.first_seen_ == milliseconds(0)) account.first_seen_ = time_of_day;
  account.last_seen_ = time_of_day;
  NoteChanged();
  return {&account, false};
} catch (const std::bad_alloc&) {
  return {};
}

void Accounts::Release(Account& account, const IpAddress& client, milliseconds time_of_day) {
  const auto bytes = ClientBytes(client);
  const std::lock_guard lock(mutex_);
  const auto found = account.clients_.find(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  assert(found != account.clients_.end() && found->second > 0 && account.sessions_ > 0);
  if (--found->second == 0) account.clients_.erase(found);
  --account.sessions_;
  account.last_seen_ = time_of_day;
  NoteChanged();
}

void Accounts::NoteFailedLogin(std::string_view user, milliseconds time_of_day) try {
  const std::lock_guard lock(mutex_);
  Account& account = user.empty() ? others_ : Find(user);
  ++account.failed_logins_;
  if (account.first_seen_ == milliseconds(0)) account.first_seen_ = time_of_day;
  account.last_seen_ = time_of_day;
  NoteChanged();
} catch (const std::bad_alloc&) {
}

std::vector<UserRow> Accounts::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<UserRow> rows;
  rows.reserve(accounts_.size());
  for (const auto& [user, account] : accounts_) rows.push_back(RowOf(user, account));
  return rows;
}

void Accounts::Restore(const AccountRecord& record) {
  const std::lock_guard lock(mutex_);
  Account& account = Find(record.user);
  for (const Way way : kWays) {
    account.bytes_.of(way).store(record.usage.bytes.of(way), std::memory_order_relaxed);
    account.datagrams_.of(way).store(record.usage.datagrams.of(way), std::memory_order_relaxed);
  }
  account.sessions_begun_ = record.sessions;
  account.failed_logins_ = record.failed_logins;
  account.first_seen_ = record.first_seen;
  account.last_seen_ = record.last_seen;
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
  row.sessions = account.sessions_;
  row.clients = account.clients_.size();
  return row;
}

}  // namespace penstock
