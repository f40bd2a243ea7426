#include "penstock/login/users.h"

#include <sys/stat.h>

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "penstock/os/password_hash.h"
#include "penstock/os/random.h"
#include "test/support/temp_directory.h"

namespace penstock {
namespace {

// The hash of "open-sesame".
const std::string kSha512 =
    "$6$sesamesalt$88anmR7RfEVWgDY8RYCX3ebUDHDvelYOtVgQQjVzFTP4HAsHIT.erzFZFwGJCY4RmyxhoO9IizTr.522y4Sz61";
const std::string kYescrypt = "$y$j75$9OYLlxXeEK6sBVotPlSEZ/$K8w0WmUC4LRXM.3RANSg6ao7cGVus8kV2osQYaWnBJ.";
const std::string kBcrypt = "$2b$04$58iUCgdRsqHdCxR3ONb2e.ha7dzucVOuShZIl1UQOgGjT0krL96iC";

std::shared_ptr<const Users> Parse(std::string_view text, std::string* error) {
  Users::Draft draft(RandomKey());
  if (!draft.AddText(text, "users", error)) return nullptr;
  return draft.Finish();
}

std::shared_ptr<const Users> Parse(std::string_view text) {
  std::string error;
  auto users = Parse(text, &error);
  REQUIRE_MESSAGE(users != nullptr, error);
  return users;
}

bool Matches(const Users& users, std::string_view name, std::string_view password) {
  const User* const user = users.Find(name);
  return user != nullptr && user->plain() && users.MatchesPlain(*user, name, SecretView(password));
}

}  // namespace

TEST_CASE("a users file has one user a line, with a hash or a plain-text password") {
  const auto users =
      Parse("# who may use it\n\nalice:" + kSha512 + "\n  \t\n  # more\nbob:{plain}open-sesame\r\ncarol:" + kYescrypt +
            " \t\r\n\xc3\xa9mile:{plain} open-sesame # x: ");
  REQUIRE(users->size() == 4);
  CHECK(users->at(0).name == "alice");
  CHECK(users->at(1).name == "bob");
  CHECK(users->at(3).name == "\xc3\xa9mile");
  for (std::size_t i = 0; i < users->size(); ++i) {
    CHECK(users->at(i).index == i);
    CHECK(users->Find(users->at(i).name) == &users->at(i));
  }
  CHECK(users->at(0).hash.Reveal() == kSha512);
  CHECK(users->at(2).hash.Reveal() == kYescrypt);
  CHECK(users->at(1).plain());

  CHECK(Matches(*users, "bob", "open-sesame"));
  CHECK_FALSE(Matches(*users, "bob", "open-sesame\r"));
  CHECK_FALSE(Matches(*users, "bob", "open-sesam"));
  CHECK_FALSE(Matches(*users, "bob", ""));
  CHECK(Matches(*users, "\xc3\xa9mile", " open-sesame # x: "));
  for (const std::string_view name : {"", "ali", "alice ", "Alice", "alicea", "mallory", "# more"}) {
    CHECK(users->Find(name) == nullptr);
  }
}

TEST_CASE("an error in a users file names the line and quotes nothing of it") {
  const std::string long_name(256, 'n');
  const struct {
    std::string line;
    std::string_view problem;
  } rows[] = {
      {"open-sesame", "missing colon"},
      {":{plain}open-sesame", "a user name is 1 to 255 bytes"},
      {long_name + ":{plain}open-sesame", "a user name is 1 to 255 bytes"},
      {"open-sesame\x7f:{plain}open-sesame", "a user name is 1 to 255 bytes"},
      {"open-sesame\t:{plain}open-sesame", "a user name is 1 to 255 bytes"},
      {" open-sesame:{plain}open-sesame", "a line that begins with a blank is a limit of the user above it"},
      {std::string("a\0:{plain}open-sesame", 21), "a user name is 1 to 255 bytes"},
      {"open-sesame:", "the text after the name is not a hash"},
      {"open-sesame:*", "the text after the name is not a hash"},
      {"open-sesame:!", "the text after the name is not a hash"},
      {"open-sesame:open-sesame", "the text after the name is not a hash"},
      {"open-sesame:plain:open-sesame", "the text after the name is not a hash"},
      {"open-sesame: {plain}open-sesame", "the text after the name is not a hash"},
      {"open-sesame:abJnggxhB/yWI", "the text after the name is not a hash"},
      {"open-sesame:" + kSha512.substr(0, 80), "the text after the name is not a hash"},
      {"open-sesame:" + kSha512 + ":18000:0:99999:7:::", "the text after the name is not a hash"},
      {"open-sesame:{plain}", "a plain-text password is 1 to 255 bytes"},
      {"open-sesame:{plain}" + std::string(256, 'p'), "a plain-text password is 1 to 255 bytes"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.line.size());
    std::string error;
    CHECK(Parse("good:{plain}open-sesame\n\n" + row.line + "\nlater:*\n", &error) == nullptr);
    CHECK_MESSAGE(error.starts_with("users:3: " + std::string(row.problem)), error);
    CHECK(error.find("sesame") == std::string::npos);
    CHECK(error.find("$6$") == std::string::npos);
  }
}

TEST_CASE("valid and invalid user names") {
  for (const std::string& name : {std::string("a"), std::string("a b"), std::string("a#"), std::string("\xff\x80"),
                                  std::string("user@example.org"), std::string(255, 'n')}) {
    CHECK(IsUserName(name));
  }
  for (const std::string& name :
       {std::string(), std::string("a:b"), std::string("#a"), std::string(" a"), std::string("a\t"),
        std::string("a\nb"), std::string("a\0b", 3), std::string("\x1f"), std::string("\x7f"), std::string(256, 'n')}) {
    CHECK_FALSE(IsUserName(name));
  }
}

TEST_CASE("a duplicate name is an error that names both places") {
  std::string error;
  CHECK(Parse("alice:" + kSha512 + "\nbob:{plain}open-sesame\n#\nalice:{plain}open-sesame", &error) == nullptr);
  CHECK(error == "users:4: duplicate name; first given in users:1");

  Users::Draft draft(RandomKey());
  REQUIRE(draft.AddPair(SecretView("alice:open-sesame"), "--user", &error));
  REQUIRE(draft.AddText("bob:{plain}open-sesame", "first", &error));
  CHECK_FALSE(draft.AddText("\nalice:{plain}open-sesame", "second", &error));
  CHECK(error == "second:2: duplicate name; first given in --user");
  CHECK_FALSE(draft.AddPair(SecretView("bob:open-sesame"), "--user", &error));
  CHECK(error == "--user: duplicate name; first given in first:1");
}

TEST_CASE("a line that begins with a blank is a limit of the user above it") {
  const auto users = Parse("alice:" + kSha512 +
                           "\n  quota 10Gi per week from Sun\n\texpires 2027-01-31 \n\n# why\n"
                           " hours Mon-Fri 08:00-18:00, Sat 08:00-12:00\r\nbob:{plain}open-sesame\n max-clients 3");
  REQUIRE(users->size() == 2);
  const UserLimits* const alice = users->at(0).limits.get();
  REQUIRE(alice != nullptr);
  CHECK(alice->quota == Quota{10'737'418'240, Quota::Period::kWeek, 6});
  CHECK(alice->expires == ExpiryDate{2027, 1, 31});
  CHECK(alice->hours->ranges.size() == 2);
  CHECK_FALSE(alice->clients_max.has_value());
  CHECK(users->at(1).limits->clients_max == 3);
  CHECK(Parse("alice:" + kSha512)->at(0).limits == nullptr);
}

TEST_CASE("a bad limit is an error with file and line that quotes nothing of it") {
  const std::string user = "alice:{plain}open-sesame\n";
  constexpr std::string_view kRule =
      "a line that begins with a blank is a limit of the user above it: quota, expires, hours or max-clients";
  const std::pair<std::string, std::string> rows[] = {
      {" quota 1G per day\n" + user, "users:1: " + std::string(kRule)},
      {user + " open-sesame", "users:2: " + std::string(kRule)},
      {user + " bob:{plain}open-sesame", "users:2: " + std::string(kRule)},
      {user + "\n quota open-sesame",
       "users:3: quota: give a size and a period such as 100G per month, 100G per month "
       "from 15, 10Gi per week from Mon or 1G per day; or none"},
      {user + " expires sesame", "users:2: expires: give a date such as 2027-01-31; or never"},
      {user + " hours sesame",
       "users:2: hours: give days and times such as Mon-Fri 08:00-18:00, with a comma between "
       "two of them; or any"},
      {user + " max-clients sesame", "users:2: max-clients: give a number from 0 to 1000000"},
      {user + " max-clients 1\n max-clients 2", "users:3: max-clients is given a second time for this user"},
  };
  for (const auto& row : rows) {
    std::string error;
    CHECK(Parse(row.first, &error) == nullptr);
    CHECK(error == row.second);
  }
  Users::Draft draft(RandomKey());
  std::string error;
  REQUIRE(draft.AddText(user, "first", &error));
  CHECK_FALSE(draft.AddText(" quota 1G per day\n", "second", &error));  // not of a user in another file
  CHECK(error == "second:1: " + std::string(kRule));
}

TEST_CASE("a pair is a name and a plain-text password, which may contain colons") {
  Users::Draft draft(RandomKey());
  std::string error;
  REQUIRE(draft.AddPair(SecretView("alice:open-sesame:{plain} "), "--user", &error));
  REQUIRE(draft.AddPair(SecretView("bob:" + kSha512), "--user", &error));
  for (const std::string_view bad : {"", "open-sesame", ":open-sesame", "open-sesame:", " open-sesame:open-sesame"}) {
    CAPTURE(bad.size());
    CHECK_FALSE(draft.AddPair(SecretView(bad), "--user", &error));
    CHECK(error.starts_with("--user: "));
    CHECK(error.find("sesame") == std::string::npos);
  }
  const auto users = draft.Finish();
  REQUIRE(users->size() == 2);
  CHECK(Matches(*users, "alice", "open-sesame:{plain} "));
  CHECK(Matches(*users, "bob", kSha512));
}

TEST_CASE("a users file must be private to its owner and must not be empty") {
  const test::TempDirectory directory;
  const auto load = [&](const std::string& path, std::string* error) {
    return Users::Draft(RandomKey()).AddFile(path, error);
  };
  std::string error;
  const std::string path = directory.Write("users", "alice:" + kBcrypt + "\n");
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  CHECK_FALSE(load(path, &error));
  CHECK(error.find("chmod 600 " + path) != std::string::npos);
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(load(path, &error));

  const std::string empty = directory.Write("empty", "# nobody\n");
  REQUIRE(::chmod(empty.c_str(), 0600) == 0);
  CHECK_FALSE(load(empty, &error));
  CHECK(error == empty + ": the file has no users");
  CHECK_FALSE(load(directory.PathOf("missing"), &error));
  CHECK(error.ends_with("missing: No such file or directory"));
}

TEST_CASE("an unknown name is verified against the most common kind of hash and never matches") {
  const auto plain = Parse("a:{plain}open-sesame\nb:{plain}open-sesame");
  CHECK(plain->stand_in().plain());
  for (const std::string_view password : {"", "open-sesame"}) {
    CHECK_FALSE(plain->MatchesPlain(plain->stand_in(), "", SecretView(password)));
    CHECK_FALSE(plain->MatchesPlain(plain->stand_in(), "a", SecretView(password)));
  }

  // With one hash among plain-text passwords, an unknown name is verified against that hash.
  CHECK(Parse("a:{plain}open-sesame\nb:{plain}open-sesame\nc:" + kBcrypt)->stand_in().hash.Reveal() == kBcrypt);
  const auto mixed = Parse("a:" + kBcrypt + "\nb:" + kSha512 + "\nc:" + kYescrypt + "\nd:" + kSha512);
  CHECK(HashKind(mixed->stand_in().hash) == "$6$");
}

TEST_CASE("a table of 100,000 users takes little CPU time to build") {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "user-" + std::to_string(i) + ':' + kSha512 + '\n';
  // CPU time, with a wide margin for sanitizers: without them it takes about 0.1 s.
  const std::clock_t begun = std::clock();
  const auto users = Parse(text);
  CHECK((std::clock() - begun) / CLOCKS_PER_SEC < 10);
  CHECK(users->size() == 100'000);
  CHECK(users->Find("user-99999")->index == 99'999);
  CHECK(users->Find("user-100000") == nullptr);
}

}  // namespace penstock
