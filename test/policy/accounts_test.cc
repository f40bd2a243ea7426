#include "penstock/policy/accounts.h"

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/policy/meter.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using unit::Ip;

const TimePoint kStart = TimePoint(std::chrono::hours(1));
constexpr milliseconds kDay{1'790'000'000'000};
const IpAddress kClient = *IpAddress::Parse("192.0.2.7");

UserRow RowOf(const Accounts& accounts, std::string_view user) {
  for (UserRow& row : accounts.List()) {
    if (row.kept.user == user) return row;
  }
  return {};
}

TEST_CASE("accounts: a user has one account, whose address does not change") {
  Accounts accounts;
  Account* const alice = accounts.Admit("alice", 0, kClient, kDay).account;
  REQUIRE(alice != nullptr);
  Account* const nul = accounts.Admit(std::string_view("alice\0", 6), 0, kClient, kDay).account;
  for (int i = 0; i < 1'000; ++i) {
    REQUIRE(accounts.Admit("user" + std::to_string(i), 0, kClient, kDay).account != nullptr);
  }
  CHECK(accounts.Admit("alice", 0, kClient, kDay).account == alice);
  CHECK(accounts.Admit("Alice", 0, kClient, kDay).account != alice);
  CHECK(nul != alice);
}

TEST_CASE("accounts: a user has as many sessions as the limit, and a changed limit applies from the next one on") {
  Accounts accounts;
  Account* account = nullptr;
  const auto admits = [&](std::uint32_t max) {
    const auto admitted = accounts.Admit("alice", max, kClient, kDay);
    CHECK(admitted.full == (admitted.account == nullptr));
    if (admitted.account != nullptr) account = admitted.account;
    return admitted.account != nullptr;
  };
  CHECK(admits(2));
  CHECK(admits(2));
  CHECK_FALSE(admits(2));
  CHECK(admits(0));  // no limit, but counted
  CHECK(admits(4));
  CHECK_FALSE(admits(2));
  for (int i = 0; i < 3; ++i) accounts.Release(*account, kClient, kDay);
  CHECK(admits(2));
  CHECK_FALSE(admits(2));
}

TEST_CASE("accounts: an account stays when its sessions have ended, and remembers who was seen when") {
  Accounts accounts;
  accounts.NoteFailedLogin("alice", kDay);
  accounts.NoteFailedLogin("", kDay);  // somebody who is not configured
  Account& alice = *accounts.Admit("alice", 0, kClient, kDay + milliseconds(1)).account;
  accounts.Admit("alice", 0, Ip("2001:db8::1"), kDay + milliseconds(2));
  accounts.Admit("alice", 0, Ip("2001:db8::2"), kDay + milliseconds(3));  // of the same /64
  CHECK(RowOf(accounts, "alice").clients == 2);
  CHECK(RowOf(accounts, "alice").sessions == 3);
  accounts.Add(alice, {.bytes = {10, 20}, .datagrams = {1, 2}});
  accounts.Add(alice, {.bytes = {1, 2}, .datagrams = {}});
  accounts.Release(alice, kClient, kDay + milliseconds(4));
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
  accounts.Restore(kept);
  CHECK_FALSE(accounts.TakeChanged());
  CHECK(RowOf(accounts, "alice").kept == kept);
  Account& alice = *accounts.Admit("alice", 1, kClient, kDay + milliseconds(8)).account;
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

TEST_CASE("accounts: many threads at once never admit too many") {
  Accounts accounts;
  std::vector<std::thread> threads;
  std::atomic<int> in{0};
  std::atomic<bool> too_many{false};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) {
        Account* const account = accounts.Admit("alice", 2, kClient, kDay).account;
        if (account == nullptr) continue;
        if (++in > 2) too_many = true;
        --in;
        accounts.Release(*account, kClient, kDay);
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
  Meter* const meter = meters.Admit("alice", 0, kClient).meter;
  REQUIRE(meter != nullptr);
  CHECK(meters.Admit("alice", 0, kClient).meter == meter);
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
  meters.Release(*meter, kClient, kStart);
  CHECK(RowOf(accounts, "alice").kept.usage.bytes.up == 6);
  CHECK(RowOf(accounts, "alice").sessions == 1);
  meters.Release(*meter, kClient, kStart);
  meters.SettleDue(kStart + kSettleInterval);
  CHECK_FALSE(meters.next().has_value());
  CHECK(RowOf(accounts, "alice").kept.usage == Usage{.bytes = {6, 7}, .datagrams = {0, 1}});
}

TEST_CASE("meters: a user who comes back before the settling keeps his meter") {
  Accounts accounts;
  Meters meters(accounts);
  Meter* const meter = meters.Admit("alice", 0, kClient).meter;
  meters.Release(*meter, kClient, kStart);
  CHECK(meters.Admit("alice", 0, kClient).meter == meter);
  meters.SettleDue(kStart + kSettleInterval);
  meters.Count(*meter, {.bytes = {3, 0}, .datagrams = {}}, kStart);
  meters.Release(*meter, kClient, kStart);
  CHECK(RowOf(accounts, "alice").kept.usage.bytes.up == 3);
}

}  // namespace
}  // namespace penstock
