#include "penstock/server/bookkeeper.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/clock.h"
#include "penstock/os/file.h"
#include "penstock/server/account_file.h"
#include "test/support/held_thread.h"
#include "test/support/temp_directory.h"
#include "test/support/wait.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using test::WaitUntil;

constexpr std::size_t kAny = 100'000;
const IpAddress kClient = *IpAddress::Parse("192.0.2.7");

UserRow Row(std::string_view user, std::uint64_t up) {
  UserRow row;
  row.kept = {.user = std::string(user),
              .usage = {.bytes = {up, 2}, .datagrams = {3, 18'446'744'073'709'551'615U}},
              .sessions = 5,
              .failed_logins = 6,
              .first_seen = milliseconds(1'790'000'000'001),
              .last_seen = milliseconds(1'790'000'000'002),
              .quota_used = up,
              .quota_ends = std::chrono::seconds(1'790'000'003)};
  return row;
}

TEST_CASE("account file: what is written is read again, whatever a name is") {
  const std::vector<UserRow> rows = {Row("alice", 1), Row("b ob 1 2", 0), Row("sum 00", 7), Row("\xc3\xa9mile", 1)};
  const auto read = ParseAccountFile(AccountFileText(rows));
  REQUIRE(read.has_value());
  REQUIRE(read->size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) CHECK((*read)[i] == rows[i].kept);
  CHECK(ParseAccountFile(AccountFileText({}))->empty());
}

TEST_CASE("account file: a text that was cut, or changed at any place, is damaged") {
  const std::vector<UserRow> rows = {Row("alice", 1), Row("bob", 2)};
  const std::string good = AccountFileText(rows);
  for (std::size_t size = 0; size < good.size(); ++size) CHECK_FALSE(ParseAccountFile(good.substr(0, size)));
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    CHECK_FALSE(ParseAccountFile(bad));
  }
  CHECK_FALSE(ParseAccountFile(good + "x"));
  CHECK_FALSE(ParseAccountFile(good + good));
}

// The accounts that a gateway has with this directory, from its start to its end.
class Books {
 public:
  explicit Books(const test::TempDirectory& directory) {
    opened_ = bookkeeper_.Open(directory.PathOf("."), &error_);
    if (opened_) bookkeeper_.Start(milliseconds(1), [] {});
  }

  bool opened() const { return opened_; }
  const std::string& error() const { return error_; }
  Accounts& accounts() { return accounts_; }
  void Stop() { bookkeeper_.Stop(); }
  std::uint64_t Up(std::string_view user) {
    for (const UserRow& row : accounts_.List()) {
      if (row.kept.user == user) return row.kept.usage.bytes.up;
    }
    return 0;
  }
  void Use(std::string_view user, std::uint64_t up) {
    Account& account = *accounts_.Admit(user, 0, kClient, milliseconds(1)).account;
    accounts_.Add(account, {.bytes = {up, 0}, .datagrams = {}});
    accounts_.Release(account, kClient, milliseconds(2));
  }

 private:
  Accounts accounts_;
  Fd null_{::memfd_create("log", MFD_CLOEXEC)};
  Log log_{null_.get(), LogLevel::kInfo};
  Bookkeeper bookkeeper_{accounts_, log_};
  bool opened_ = false;
  std::string error_;
};

std::vector<std::string> NamesIn(const test::TempDirectory& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory.PathOf("."))) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

bool HasDamaged(const test::TempDirectory& directory, std::string_view of) {
  for (const std::string& name : NamesIn(directory)) {
    if (name.starts_with(std::string(of) + ".damaged-")) return true;
  }
  return false;
}

TEST_CASE("bookkeeper: accounts are saved while they change, and at the end, and go on at the next start") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("accounts");
  {
    Books books(directory);
    REQUIRE_MESSAGE(books.opened(), books.error());
    books.Use("alice", 10);
    CHECK(WaitUntil([&] {  // before the end
      const auto text = ReadFile(path, kAny);
      const auto kept = text ? ParseAccountFile(*text) : std::nullopt;
      return kept && kept->size() == 1 && kept->front().usage.bytes.up == 10;
    }));
    books.Use("alice", 5);
  }
  Books again(directory);
  REQUIRE(again.opened());
  CHECK(again.Up("alice") == 15);
  const FileStamp unchanged = StampOf(path);
  again.Stop();
  CHECK(StampOf(path) == unchanged);
}

TEST_CASE("bookkeeper: a damaged file is put aside, and the one before is used") {
  for (const bool both : {false, true}) {
    CAPTURE(both);
    const test::TempDirectory directory;
    for (const std::uint64_t up : {1U, 2U}) {
      Books books(directory);
      books.Use("alice", up);
      books.Stop();
    }
    // Each stop has saved at least once, so the backup has some of it.
    const auto before = ParseAccountFile(ReadFile(directory.PathOf("accounts.old"), kAny).value());
    REQUIRE(before.has_value());
    directory.Write("accounts", "penstock-accounts 1\naccount 99");
    if (both) directory.Write("accounts.old", "");
    {
      Books books(directory);
      REQUIRE(books.opened());
      CHECK(books.Up("alice") == (both ? 0 : before->front().usage.bytes.up));
      CHECK(HasDamaged(directory, "accounts"));
      CHECK(HasDamaged(directory, "accounts.old") == both);
      books.Use("bob", 7);
    }
    CHECK(Books(directory).Up("bob") == 7);
  }
}

TEST_CASE("bookkeeper: without the file the one before is used, for a crash may have been between two renames") {
  const test::TempDirectory directory;
  const std::vector<UserRow> rows = {Row("alice", 3)};
  directory.Write("accounts.old", AccountFileText(rows));
  CHECK(Books(directory).Up("alice") == 3);
}

TEST_CASE("bookkeeper: a directory that is missing or in use, or a file that cannot be read, is an error") {
  const test::TempDirectory directory;
  {
    const Books first(directory);
    Books second(directory);
    CHECK_FALSE(second.opened());
    CHECK(second.error() == "state-dir: another process uses " + directory.PathOf("."));
  }
  REQUIRE(std::filesystem::create_directory(directory.PathOf("accounts")));
  Books unreadable(directory);
  CHECK_FALSE(unreadable.opened());
  CHECK(unreadable.error().starts_with("state-dir: cannot read " + directory.PathOf("./accounts")));
}

TEST_CASE("bookkeeper: while a slow disk delays saving, the limits of users are watched") {
  const test::TempDirectory directory;
  Accounts accounts;
  const Fd null(::memfd_create("log", MFD_CLOEXEC));
  Log log(null.get(), LogLevel::kInfo);
  Bookkeeper bookkeeper(accounts, log);
  std::string error;
  REQUIRE_MESSAGE(bookkeeper.Open(directory.PathOf("."), &error), error);
  UserLimits limits;
  REQUIRE_FALSE(limits.Set("quota", "1k per month").has_value());
  accounts.Configure(nullptr, limits, TimeOfDay());
  Account& alice = *accounts.Admit("alice", 0, kClient, TimeOfDay()).account;
  std::atomic<bool> woken{false};
  bookkeeper.Start(std::chrono::hours(1), [&] { woken = true; });
  const test::HeldThread saving("accounts");
  QuotaLease lease(alice.quota());
  REQUIRE(lease.Available() == 1'000);
  lease.Charge(1'000);
  lease.Settle();
  bookkeeper.Wake();
  CHECK(WaitUntil([&] { return woken.load(); }));
}

}  // namespace
}  // namespace penstock
