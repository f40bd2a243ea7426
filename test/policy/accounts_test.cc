#include "penstock/policy/accounts.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/login/users.h"
#include "penstock/os/random.h"
#include "penstock/policy/meter.h"
#include "test/support/sockets.h"
#include "test/support/start.h"
#include "test/support/time_zone.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using unit::Ip;

using test::kStart;
constexpr milliseconds kDay{1'790'000'000'000};
const IpAddress kClientOfUser = *IpAddress::Parse("192.0.2.7");

UserRow RowOf(const Accounts& accounts, std::string_view user) {
  for (UserRow& row : accounts.List()) {
    if (row.kept.user == user) return row;
  }
  return {};
}

TEST_CASE("accounts: a user has one account, whose address does not change") {
  Accounts accounts;
  Account* const alice = accounts.Admit("alice", 0, kClientOfUser, kDay).account;
  REQUIRE(alice != nullptr);
  Account* const nul = accounts.Admit(std::string_view("alice\0", 6), 0, kClientOfUser, kDay).account;
  for (int i = 0; i < 1'000; ++i) {
    REQUIRE(accounts.Admit("user" + std::to_string(i), 0, kClientOfUser, kDay).account != nullptr);
  }
  CHECK(accounts.Admit("alice", 0, kClientOfUser, kDay).account == alice);
  CHECK(accounts.Admit("Alice", 0, kClientOfUser, kDay).account != alice);
  CHECK(nul != alice);
}

TEST_CASE("accounts: a user has as many sessions as the limit, and a changed limit applies from the next one on") {
  Accounts accounts;
  Account* account = nullptr;
  const auto admits = [&](std::uint32_t max) {
    const auto admitted = accounts.Admit("alice", max, kClientOfUser, kDay);
    CHECK((admitted.refusal == UserRefusal::kSessions) == (admitted.account == nullptr));
    if (admitted.account != nullptr) account = admitted.account;
    return admitted.account != nullptr;
  };
  CHECK(admits(2));
  CHECK(admits(2));
  CHECK_FALSE(admits(2));
  CHECK(admits(0));  // no limit, but counted
  CHECK(admits(4));
  CHECK_FALSE(admits(2));
  for (int i = 0; i < 3; ++i) accounts.Release(*account, kClientOfUser, kDay);
  CHECK(admits(2));
  CHECK_FALSE(admits(2));
}

TEST_CASE("accounts: an account stays when its sessions have ended, and remembers who was seen when") {
  Accounts accounts;
  accounts.NoteFailedLogin("alice", kDay);
  accounts.NoteFailedLogin("", kDay);  // somebody who is not configured
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, kDay + milliseconds(1)).account;
  accounts.Admit("alice", 0, Ip("2001:db8::1"), kDay + milliseconds(2));
  accounts.Admit("alice", 0, Ip("2001:db8::2"), kDay + milliseconds(3));  // of the same /64
  CHECK(RowOf(accounts, "alice").clients == 2);
  CHECK(RowOf(accounts, "alice").sessions == 3);
  accounts.Add(alice, {.bytes = {10, 20}, .datagrams = {1, 2}});
  accounts.Add(alice, {.bytes = {1, 2}, .datagrams = {}});
  accounts.Release(alice, kClientOfUser, kDay + milliseconds(4));
  CHECK(RowOf(accounts, "alice").clients == 1);
  accounts.Release(alice, Ip("2001:db8::1"), kDay + milliseconds(5));
  accounts.Release(alice, Ip("2001:db8::1"), kDay + milliseconds(6));

  REQUIRE(accounts.List().size() == 1);
  const UserRow row = RowOf(accounts, "alice");
  CHECK(row.sessions == 0);
  CHECK(row.clients == 0);
  CHECK(row.kept.usage == Usage{.bytes = {11, 22}, .datagrams = {1, 2}});
  CHECK(row.kept.sessions == 3);
  CHECK(row.kept.failed_logins == 1);
  CHECK(row.kept.first_seen == kDay);
  CHECK(row.kept.last_seen == kDay + milliseconds(6));
}

TEST_CASE("accounts: an account that was kept goes on from there") {
  const AccountRecord kept{.user = "alice",
                           .usage = {.bytes = {1, 2}, .datagrams = {3, 4}},
                           .sessions = 5,
                           .failed_logins = 6,
                           .first_seen = kDay,
                           .last_seen = kDay + milliseconds(7)};
  Accounts accounts;
  accounts.Restore(kept, kDay);
  CHECK_FALSE(accounts.TakeChanged());
  CHECK(RowOf(accounts, "alice").kept == kept);
  Account& alice = *accounts.Admit("alice", 1, kClientOfUser, kDay + milliseconds(8)).account;
  CHECK(accounts.TakeChanged());
  CHECK_FALSE(accounts.TakeChanged());
  accounts.Add(alice, {});
  CHECK_FALSE(accounts.TakeChanged());
  accounts.Add(alice, {.bytes = {0, 1}, .datagrams = {}});
  CHECK(accounts.TakeChanged());
  const UserRow row = RowOf(accounts, "alice");
  CHECK(row.kept.usage.bytes.down == 3);
  CHECK(row.kept.sessions == 6);
  CHECK(row.kept.first_seen == kDay);
}

std::shared_ptr<const Users> UsersOf(std::string_view text) {
  Users::Draft draft(RandomKey());
  std::string error;
  REQUIRE_MESSAGE(draft.AddText(text, "users", &error), error);
  return draft.Finish();
}

UserLimits Limit(std::string_view name, std::string_view value) {
  UserLimits limits;
  REQUIRE_FALSE(limits.Set(name, value).has_value());
  return limits;
}

// Of a day: Monday, the 21st of September 2026, in UTC.
milliseconds Monday(int hours, int minutes = 0) {
  return milliseconds(1'789'948'800'000) + std::chrono::hours(hours) + std::chrono::minutes(minutes);
}

UserRefusal RefusalOf(Accounts& accounts, std::string_view user, milliseconds at) {
  const auto admitted = accounts.Admit(user, 0, kClientOfUser, at);
  if (admitted.account != nullptr) accounts.Release(*admitted.account, kClientOfUser, at);
  return admitted.refusal;
}

TEST_CASE("accounts: a quota refuses its user until the period ends, and ends what runs") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  accounts.Configure(UsersOf("alice:{plain}x\nbob:{plain}x\n  quota none\n"), Limit("quota", "1k per day"), Monday(12));
  CHECK(accounts.watched());
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, Monday(12)).account;
  QuotaLease lease(alice.quota());
  REQUIRE(lease.Available() == 1'000);
  lease.Charge(999);
  lease.Settle();
  accounts.Watch(Monday(13));
  CHECK(accounts.endings() == 0);
  CHECK(RefusalOf(accounts, "alice", Monday(13)) == UserRefusal::kNone);
  REQUIRE(lease.Available() == 1);
  lease.Charge(1);
  CHECK(lease.Available() == 0);
  CHECK(RefusalOf(accounts, "alice", Monday(13)) == UserRefusal::kQuota);
  CHECK(RefusalOf(accounts, "bob", Monday(13)) == UserRefusal::kNone);
  accounts.Watch(Monday(13));
  CHECK(accounts.endings() == 1);
  accounts.Watch(Monday(14));
  CHECK(accounts.endings() == 1);
  CHECK(alice.refusal() == UserRefusal::kQuota);
  CHECK(RowOf(accounts, "alice").kept.quota_used == 1'000);
  CHECK(RowOf(accounts, "alice").kept.quota_ends == std::chrono::floor<std::chrono::seconds>(Monday(24)));
  CHECK(RowOf(accounts, "bob").kept.quota_ends.count() == 0);

  accounts.Watch(Monday(24));
  CHECK(RefusalOf(accounts, "alice", Monday(24)) == UserRefusal::kNone);
  CHECK(RowOf(accounts, "alice").kept.quota_used == 0);
  CHECK(lease.Available() == 1'000);
}

TEST_CASE("accounts: a reload raises, lowers or removes a quota, and what is used counts on") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  const auto users = UsersOf("alice:{plain}x\n");
  const auto configure = [&](std::string_view quota) { accounts.Configure(users, Limit("quota", quota), Monday(12)); };
  configure("1k per month");
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, Monday(12)).account;
  QuotaLease lease(alice.quota());
  REQUIRE(lease.Available() == 1'000);
  lease.Charge(600);
  lease.Settle();
  configure("500 per month");
  CHECK(accounts.endings() == 1);
  CHECK(alice.refusal() == UserRefusal::kQuota);
  configure("700 per month");
  CHECK(alice.refusal() == UserRefusal::kNone);
  CHECK(lease.Available() == 100);
  lease.Settle();
  configure("none");
  CHECK_FALSE(accounts.watched());
  CHECK(lease.Available() > 1'000'000);
  lease.Settle();
  CHECK(RowOf(accounts, "alice").kept.quota_used == 0);
  configure("1k per month");
  CHECK(lease.Available() == 1'000);
}

// The account is watched: once all of its quota, 1,000 bytes, is used, its sessions are to end.
void ExpectQuotaEnds(Accounts& accounts, Account& account) {
  CHECK(accounts.watched());
  QuotaLease lease(account.quota());
  REQUIRE(lease.Available() == 1'000);
  lease.Charge(1'000);
  lease.Settle();
  accounts.Watch(Monday(12));
  CHECK(accounts.endings() == 1);
}

TEST_CASE("accounts: the limits of a user whom a reload removes are watched, and end his sessions") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  accounts.Configure(UsersOf("alice:{plain}x\n  quota 1k per day\n"), {}, Monday(12));
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, Monday(12)).account;
  accounts.Configure(UsersOf("bob:{plain}x\n"), {}, Monday(12));
  ExpectQuotaEnds(accounts, alice);
}

TEST_CASE("accounts: a removed user whom a worker with the policy before still admits is watched") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  accounts.Configure(UsersOf("alice:{plain}x\n  quota 1k per day\n"), {}, Monday(12));
  accounts.Release(*accounts.Admit("alice", 0, kClientOfUser, Monday(12)).account, kClientOfUser, Monday(12));
  accounts.Configure(UsersOf("bob:{plain}x\n"), {}, Monday(12));
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, Monday(12)).account;
  ExpectQuotaEnds(accounts, alice);
}

TEST_CASE("accounts: what was used of a quota is kept until its period ends") {
  const test::InZone utc("UTC0");
  AccountRecord kept{.user = "alice"};
  kept.quota_used = 900;
  kept.quota_ends = std::chrono::floor<std::chrono::seconds>(Monday(24));
  for (const bool later : {false, true}) {
    Accounts accounts;
    const milliseconds now = later ? Monday(24) : Monday(23, 59);
    accounts.Configure(UsersOf("alice:{plain}x\n"), Limit("quota", "1k per day"), now);
    accounts.Restore(kept, now);
    CHECK(RowOf(accounts, "alice").kept.quota_used == (later ? 0 : 900));
  }
}

TEST_CASE("accounts: a number in a damaged file that no quota can reach neither wraps nor refuses others") {
  const test::InZone utc("UTC0");
  for (const std::uint64_t used : {std::uint64_t{1} << 62, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    CAPTURE(used);
    Accounts accounts;
    accounts.Configure(UsersOf("alice:{plain}x\nbob:{plain}x\n  quota none\n"), Limit("quota", "1k per day"),
                       Monday(12));
    for (const char* const user : {"alice", "bob"}) {
      AccountRecord kept{.user = user};
      kept.quota_used = used;
      kept.quota_ends = std::chrono::floor<std::chrono::seconds>(Monday(24));
      accounts.Restore(kept, Monday(12));
    }
    CHECK(RefusalOf(accounts, "alice", Monday(12)) == UserRefusal::kQuota);
    CHECK(RowOf(accounts, "alice").kept.quota_used > 1'000);
    Account* const bob = accounts.Admit("bob", 0, kClientOfUser, Monday(12)).account;
    REQUIRE(bob != nullptr);
    QuotaLease lease(bob->quota());
    REQUIRE(lease.Available() > 0);
    lease.Charge(1'000);
    lease.Settle();
    CHECK(bob->refusal() == UserRefusal::kNone);
    accounts.Watch(Monday(24));
    CHECK(RefusalOf(accounts, "alice", Monday(24)) == UserRefusal::kNone);
    CHECK(RowOf(accounts, "alice").kept.quota_used == 0);
  }
}

TEST_CASE("accounts: a clock that leaps ahead begins one period, and one that is set back begins none") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  accounts.Configure(UsersOf("alice:{plain}x\n"), Limit("quota", "1k per day"), Monday(12));
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, Monday(12)).account;
  QuotaLease lease(alice.quota());
  const auto use = [&](std::size_t bytes) {
    REQUIRE(lease.Available() >= bytes);
    lease.Charge(bytes);
    lease.Settle();
  };
  const auto used_at = [&](milliseconds now) {
    accounts.Watch(now);
    return RowOf(accounts, "alice").kept.quota_used;
  };
  use(300);
  CHECK(used_at(Monday(24 * 40)) == 0);
  use(200);
  CHECK(used_at(Monday(24 * 40 + 1)) == 200);
  CHECK(used_at(Monday(12)) == 200);
  CHECK(used_at(Monday(-24 * 400)) == 200);
  CHECK(used_at(Monday(24 * 41 - 1)) == 200);
  CHECK(used_at(Monday(24 * 41)) == 0);
  use(100);
  CHECK(used_at(Monday(24 * 41) - milliseconds(1)) == 100);  // set back over the start of the period
  CHECK(used_at(Monday(24 * 41)) == 100);
}

TEST_CASE("accounts: a start with a clock that is behind does not reset what was used of a quota") {
  const test::InZone utc("UTC0");
  AccountRecord kept{.user = "alice", .last_seen = Monday(12)};
  kept.quota_used = 900;
  kept.quota_ends = std::chrono::floor<std::chrono::seconds>(Monday(24));
  Accounts accounts;
  const milliseconds behind = Monday(-24 * 400);
  accounts.Configure(UsersOf("alice:{plain}x\n"), Limit("quota", "1k per day"), behind);
  accounts.Restore(kept, behind);
  CHECK(RowOf(accounts, "alice").kept.quota_used == 900);
  accounts.Watch(Monday(13));  // the clock is set
  CHECK(RowOf(accounts, "alice").kept.quota_used == 900);
  accounts.Watch(Monday(24));
  CHECK(RowOf(accounts, "alice").kept.quota_used == 0);
}

TEST_CASE("accounts: a user who has expired, or is not served at this hour, is refused, and what runs ends") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  const auto users = UsersOf(
      "alice:{plain}x\n  expires 2026-09-22\nbob:{plain}x\n\thours Mon-Fri 08:00-18:00\ncarol:{plain}x\n"
      "  expires 2026-09-22\n  hours Tue 00:00-24:00\n");
  accounts.Configure(users, {}, Monday(8));
  CHECK(RefusalOf(accounts, "alice", Monday(8)) == UserRefusal::kNone);
  CHECK(RefusalOf(accounts, "carol", Monday(8)) == UserRefusal::kHours);
  Account& bob = *accounts.Admit("bob", 0, kClientOfUser, Monday(8)).account;
  accounts.Watch(Monday(17, 59));
  CHECK(bob.refusal() == UserRefusal::kNone);
  CHECK(accounts.endings() == 0);
  accounts.Watch(Monday(18));
  CHECK(bob.refusal() == UserRefusal::kHours);
  CHECK(accounts.endings() == 1);  // alice has no session
  accounts.Watch(Monday(24));
  CHECK(RefusalOf(accounts, "alice", Monday(24)) == UserRefusal::kExpired);
  CHECK(RefusalOf(accounts, "carol", Monday(24)) == UserRefusal::kExpired);
  accounts.Watch(Monday(32));
  CHECK(RefusalOf(accounts, "bob", Monday(32)) == UserRefusal::kNone);
}

TEST_CASE("accounts: max-clients counts clients, not sessions, and one that leaves makes room") {
  Accounts accounts;
  accounts.Configure(UsersOf("alice:{plain}x\n max-clients 2\n"), {}, kDay);
  CHECK_FALSE(accounts.watched());
  Account& alice = *accounts.Admit("alice", 0, kClientOfUser, kDay).account;
  CHECK(accounts.Admit("alice", 0, kClientOfUser, kDay).account == &alice);
  CHECK(accounts.Admit("alice", 0, Ip("2001:db8::1"), kDay).account == &alice);
  CHECK(accounts.Admit("alice", 0, Ip("192.0.2.8"), kDay).refusal == UserRefusal::kClients);
  CHECK(accounts.Admit("alice", 0, Ip("2001:db8::2"), kDay).account == &alice);
  accounts.Release(alice, kClientOfUser, kDay);
  CHECK(accounts.Admit("alice", 0, Ip("192.0.2.8"), kDay).refusal == UserRefusal::kClients);
  accounts.Release(alice, kClientOfUser, kDay);
  CHECK(accounts.Admit("alice", 0, Ip("192.0.2.8"), kDay).account == &alice);
}

TEST_CASE("accounts: the list has the configured users who were never seen, with their limits") {
  const test::InZone utc("UTC0");
  Accounts accounts;
  accounts.Configure(UsersOf("zoe:{plain}x\nbob:{plain}x\n quota 5G per week\n"), Limit("max-clients", "3"),
                     Monday(12));
  accounts.Admit("bob", 0, kClientOfUser, Monday(12));
  accounts.Configure(UsersOf("zoe:{plain}x\namy:{plain}x\n"), {}, Monday(12));
  const auto rows = accounts.ListAll(Monday(12));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].kept.user == "amy");
  CHECK(rows[1].kept.user == "bob");
  CHECK(rows[1].sessions == 1);
  CHECK(rows[1].limits.quota->bytes == 5'000'000'000);  // he is no longer configured, and keeps his limits
  CHECK(rows[2].kept.user == "zoe");
}

TEST_CASE("accounts: the parts of a list are together the list") {
  Accounts accounts;
  std::string text;
  for (int i = 0; i < 700; ++i) text += "user" + std::to_string(i) + ":{plain}x\n";
  accounts.Configure(UsersOf(text), {}, kDay);
  for (int i = 0; i < 700; i += 2) accounts.Admit("user" + std::to_string(i), 0, kClientOfUser, kDay);
  accounts.NoteFailedLogin("", kDay);
  for (const std::size_t limit : {std::size_t{1}, std::size_t{7}, std::size_t{700}, std::size_t{701}}) {
    CAPTURE(limit);
    std::set<std::string> names;
    std::string after;
    std::size_t sessions = 0;
    for (;;) {
      const auto rows = accounts.ListAll(kDay, after, limit);
      for (const UserRow& row : rows) {
        CHECK(row.kept.user > after);
        after = row.kept.user;
        names.insert(after);
        sessions += row.sessions;
      }
      if (rows.size() < limit) break;
    }
    CHECK(names.size() == 700);
    CHECK(sessions == 350);
  }
  CHECK(accounts.List().size() == 350);
  CHECK(accounts.List("user98", 5).empty());
  CHECK(accounts.List({}, 5).size() == 5);
}

TEST_CASE("quota: many workers together lease what is left, and no byte more") {
  QuotaPool pool;
  constexpr std::int64_t kLimit = 50'000'001;
  pool.SetLimit(kLimit);
  std::vector<std::thread> threads;
  std::atomic<std::int64_t> taken{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      QuotaLease lease(pool);
      for (int turn = 0; !pool.over(); ++turn) {
        const std::size_t bytes = std::min(lease.Available(), std::size_t{10'000});
        lease.Charge(bytes);
        taken += static_cast<std::int64_t>(bytes);
        if (turn % 100 == 0) lease.Settle();
      }
      lease.Settle();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(taken == kLimit);
  CHECK(pool.used() == kLimit);
  QuotaLease lease(pool);
  CHECK(lease.Available() == 0);
  pool.SetUsed(0);
  CHECK(lease.Available() > 0);
}

TEST_CASE("quota: an unused lease goes back, and a datagram may exceed what is left") {
  QuotaPool pool;
  pool.SetLimit(100);
  QuotaLease first(pool);
  QuotaLease second(pool);
  CHECK(first.Available() == 100);
  CHECK(second.Available() == 0);
  first.Charge(40);
  first.Settle();
  CHECK(second.Available(1'000) == 1'000);
  second.Charge(1'000);
  CHECK(second.Available() == 0);
  CHECK(pool.used() == 1'040);
  CHECK(first.Available() == 0);
  pool.SetUsed(0);
  CHECK(first.Available() == 100);
}

TEST_CASE("accounts: many threads at once never admit too many") {
  Accounts accounts;
  std::vector<std::thread> threads;
  std::atomic<int> in{0};
  std::atomic<bool> too_many{false};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) {
        Account* const account = accounts.Admit("alice", 2, kClientOfUser, kDay).account;
        if (account == nullptr) continue;
        if (++in > 2) too_many = true;
        --in;
        accounts.Release(*account, kClientOfUser, kDay);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(too_many);
  CHECK(RowOf(accounts, "alice").sessions == 0);
}

TEST_CASE("meters: an account hears of bytes at the next settling, and at once when the session ends") {
  Accounts accounts;
  Meters meters(accounts);
  Meter* const meter = meters.Admit("alice", 0, kClientOfUser).meter;
  REQUIRE(meter != nullptr);
  CHECK(meters.Admit("alice", 0, kClientOfUser).meter == meter);
  CHECK_FALSE(meters.next().has_value());

  meters.Count(*meter, {.bytes = {5, 0}, .datagrams = {}}, kStart);
  meters.Count(*meter, {.bytes = {0, 7}, .datagrams = {0, 1}}, kStart + milliseconds(10));
  CHECK(meters.next() == kStart + kSettleInterval);
  meters.SettleDue(kStart + kSettleInterval - milliseconds(1));
  CHECK(RowOf(accounts, "alice").kept.usage == Usage());
  meters.SettleDue(kStart + kSettleInterval);
  CHECK(RowOf(accounts, "alice").kept.usage == Usage{.bytes = {5, 7}, .datagrams = {0, 1}});
  CHECK_FALSE(meters.next().has_value());

  meters.Count(*meter, {.bytes = {1, 0}, .datagrams = {}}, kStart);
  meters.Release(*meter, kClientOfUser, kStart);
  CHECK(RowOf(accounts, "alice").kept.usage.bytes.up == 6);
  CHECK(RowOf(accounts, "alice").sessions == 1);
  meters.Release(*meter, kClientOfUser, kStart);
  meters.SettleDue(kStart + kSettleInterval);
  CHECK_FALSE(meters.next().has_value());
  CHECK(RowOf(accounts, "alice").kept.usage == Usage{.bytes = {6, 7}, .datagrams = {0, 1}});
}

TEST_CASE("meters: a user who comes back before the settling keeps his meter") {
  Accounts accounts;
  Meters meters(accounts);
  Meter* const meter = meters.Admit("alice", 0, kClientOfUser).meter;
  meters.Release(*meter, kClientOfUser, kStart);
  CHECK(meters.Admit("alice", 0, kClientOfUser).meter == meter);
  meters.SettleDue(kStart + kSettleInterval);
  meters.Count(*meter, {.bytes = {3, 0}, .datagrams = {}}, kStart);
  meters.Release(*meter, kClientOfUser, kStart);
  CHECK(RowOf(accounts, "alice").kept.usage.bytes.up == 3);
}

}  // namespace
}  // namespace penstock
