#include "penstock/login/logins.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/digest.h"
#include "penstock/base/limits.h"
#include "penstock/os/random.h"
#include "test/support/address.h"
#include "test/support/start.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

using test::kStart;

// The hash of "open-sesame", at low cost.
const std::string kHash = "$y$j75$9OYLlxXeEK6sBVotPlSEZ/$K8w0WmUC4LRXM.3RANSg6ao7cGVus8kV2osQYaWnBJ.";
const std::string kOtherHash = "$2b$04$58iUCgdRsqHdCxR3ONb2e.ha7dzucVOuShZIl1UQOgGjT0krL96iC";
// The hash of "open-sesame", at the usual cost.
const std::string kSlowHash = "$y$j9T$as3cP3NJxFYs2SoMt26Ks1$Y3LR8shBDVYegOngQ73nywcoItP4c6RnZ.CdLLlXD5.";

using test::Ip;

std::shared_ptr<const Users> Table(std::string_view text) {
  static const DigestKey kKey = RandomKey();  // one for all tables, as the program has it
  Users::Draft draft(kKey);
  std::string error;
  REQUIRE_MESSAGE(draft.AddText(text, "users", &error), error);
  return draft.Finish();
}

// The part of a worker that Logins use.
struct TestWorker {
  WakeUp wake;
  LoginMailbox mailbox{wake};
  std::vector<LoginAnswer> answers;  // all that have come
  std::uint32_t sessions = 0;

  LoginWaiter NewSession() { return {&mailbox, {sessions++, 7}}; }

  // Waits until this many answers have arrived in all.
  void Expect(std::size_t count) {
    std::vector<LoginAnswer> taken;
    while (answers.size() < count) {
      pollfd waiting{wake.fd(), POLLIN, 0};
      REQUIRE(::poll(&waiting, 1, 20'000) == 1);
      wake.Clear();
      mailbox.TakeAll(taken);
      answers.insert(answers.end(), taken.begin(), taken.end());
    }
    CHECK(answers.size() == count);
  }

  std::size_t Count(LoginOutcome outcome) const {
    return static_cast<std::size_t>(std::ranges::count(answers, outcome, &LoginAnswer::outcome));
  }
};

struct Asker {
  Logins& logins;
  std::shared_ptr<const Users> users;
  TestWorker& worker;
  std::string client = "192.0.2.1";
  TimePoint now = kStart;

  LoginCheck Check(std::string_view name, std::string_view password) const {
    return logins.Check(users, {name, SecretView(password), Ip(client)}, worker.NewSession(), now);
  }

  // The outcome; waits for the answer if a hash has to be computed.
  LoginOutcome Outcome(std::string_view name, std::string_view password) const {
    const LoginCheck check = Check(name, password);
    if (check.outcome != LoginOutcome::kPending) return check.outcome;
    worker.Expect(worker.answers.size() + 1);
    CHECK(worker.answers.back().session == Handle{worker.sessions - 1, 7});
    return worker.answers.back().outcome;
  }
};

}  // namespace

TEST_CASE("a plain-text password is verified at once") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, Table("alice:{plain}open-sesame\nbob:{plain}open-sesame-2"), worker};
  const LoginCheck right = asker.Check("bob", "open-sesame-2");
  CHECK(right.outcome == LoginOutcome::kAccepted);
  REQUIRE(right.user != nullptr);
  CHECK(right.user->name == "bob");
  CHECK(right.user->index == 1);
  for (const auto& [name, password] : {std::pair("alice", "open-sesame-2"),
                                       {"alice", ""},
                                       {"mallory", "open-sesame"},
                                       {"", ""},
                                       {"alic", "open-sesame"},
                                       {"alice", "open-sesam"}}) {
    const Asker fresh{logins, asker.users, worker, "198.51.100.1", kStart + worker.sessions * 10min};
    const LoginCheck wrong = fresh.Check(name, password);
    CHECK(wrong.outcome == LoginOutcome::kWrong);
    CHECK(wrong.user == nullptr);
  }
  CHECK(logins.hashes() == 0);
}

TEST_CASE("a hash is computed once, then the verified login is cached") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, Table("alice:" + kHash), worker};
  const LoginCheck first = asker.Check("alice", "open-sesame");
  CHECK(first.outcome == LoginOutcome::kPending);
  worker.Expect(1);
  const LoginAnswer& answer = worker.answers[0];
  CHECK(answer.outcome == LoginOutcome::kAccepted);
  CHECK(answer.session == Handle{0, 7});
  CHECK(answer.users == asker.users);
  CHECK(answer.user == &asker.users->at(0));
  for (int i = 0; i < 10; ++i) {
    const LoginCheck again = asker.Check("alice", "open-sesame");
    CHECK(again.outcome == LoginOutcome::kAccepted);
    CHECK(again.user == &asker.users->at(0));
  }
  CHECK(logins.hashes() == 1);
}

TEST_CASE("a wrong name costs one hash, like a wrong password, every time") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, Table("alice:" + kHash + "\nbob:{plain}open-sesame"), worker};
  std::uint64_t hashes = 0;
  for (const auto& [name, password] : {std::pair("alice", "open-sesamE"),
                                       {"mallory", "open-sesame"},
                                       {"", "open-sesame"},
                                       {"alice", ""},
                                       {"mallory", ""},
                                       {"mallory", "open-sesame"}}) {
    CHECK(asker.Outcome(name, password) == LoginOutcome::kWrong);
    CHECK(worker.answers.back().user == nullptr);
    CHECK(logins.hashes() == ++hashes);
    asker.now += 10min;
  }
}

TEST_CASE("sixty-four equal logins at once cost one hash") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, Table("alice:" + kSlowHash), worker};
  std::size_t at_once = 0;
  SUBCASE("of one client") {
    for (int i = 0; i < 64; ++i) at_once += asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted;
  }
  SUBCASE("of as many clients") {
    for (int i = 0; i < 64; ++i) {
      asker.client = "192.0.2." + std::to_string(i);
      at_once += asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted;
    }
  }
  worker.Expect(64 - at_once);
  CHECK(worker.Count(LoginOutcome::kAccepted) == 64 - at_once);
  std::vector<std::uint32_t> slots;
  for (const LoginAnswer& answer : worker.answers) slots.push_back(answer.session.slot);
  std::ranges::sort(slots);
  CHECK(std::ranges::adjacent_find(slots) == slots.end());
  CHECK(logins.hashes() == 1);
}

TEST_CASE("equal wrong logins at once are one failure") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, Table("alice:" + kSlowHash), worker};
  for (int i = 0; i < 8; ++i) asker.Check("alice", "open-sesamE");
  worker.Expect(8);
  CHECK(worker.Count(LoginOutcome::kWrong) == 8);
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
}

TEST_CASE("a changed hash or a removed user misses the cache") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, Table("alice:" + kHash + "\nbob:" + kHash), worker};
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  CHECK(asker.Outcome("bob", "open-sesame") == LoginOutcome::kAccepted);
  CHECK(logins.hashes() == 2);

  asker.users = Table("alice:" + kOtherHash);
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  CHECK(logins.hashes() == 3);
  CHECK(asker.Outcome("bob", "open-sesame") == LoginOutcome::kWrong);
  CHECK(logins.hashes() == 4);

  // With the old table again, what was verified against it is still cached.
  asker.users = Table("alice:" + kHash);
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted);
  CHECK(logins.hashes() == 4);
}

TEST_CASE("another thread sees how many logins wait for a helper") {
  TestWorker worker;
  const std::shared_ptr<const Users> users = Table("alice:" + kHash);
  Logins logins(0);
  CHECK(logins.waiting() == 0);
  CHECK(Asker{logins, users, worker, "192.0.2.1"}.Check("alice", "open-sesame").outcome == LoginOutcome::kPending);
  CHECK(Asker{logins, users, worker, "192.0.2.2"}.Check("alice", "open-sesame").outcome == LoginOutcome::kPending);
  CHECK(logins.waiting() == 2);
}

TEST_CASE("a table that is replaced lives until its last login has been answered") {
  TestWorker worker;
  Logins logins(1);
  std::weak_ptr<const Users> table;
  {
    const Asker asker{logins, Table("alice:" + kSlowHash), worker};
    table = asker.users;
    CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kPending);
  }
  worker.Expect(1);
  REQUIRE(worker.answers[0].user != nullptr);
  CHECK(worker.answers[0].user->name == "alice");
  worker.answers.clear();
  while (!table.expired()) std::this_thread::yield();  // the helper may have to let go of it yet
}

// Runs a test with both kinds of users.
std::shared_ptr<const Users> EitherTable() {
  std::string kind;
  SUBCASE("plain") { kind = "{plain}open-sesame"; }
  SUBCASE("hashed") { kind = kHash; }
  return Table("alice:" + kind + "\nbob:" + kind + "\nmallory:" + kind);
}

TEST_CASE("after the third failure in a row the client cannot log in at that name, even with the right password") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, EitherTable(), worker};
  for (int i = 0; i < 3; ++i) CHECK(asker.Outcome("alice", "open-sesamE") == LoginOutcome::kWrong);
  const std::uint64_t hashes = logins.hashes();
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kThrottled);
  CHECK(logins.hashes() == hashes);
  const Asker other{logins, asker.users, worker, "192.0.2.2"};
  CHECK(other.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kThrottled);  // which was not for this client
  asker.now += 1s;
  for (int i = 0; i < 2; ++i) CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
}

TEST_CASE("guesses at one name do not lock out another name behind the same address") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, EitherTable(), worker};
  for (int i = 0; i < 100; ++i) {
    asker.Outcome("mallory", "open-sesamE");
    asker.now += 20s;
  }
  for (int i = 0; i < 3; ++i) asker.Outcome("mallory", "open-sesamE");
  CHECK(asker.Check("mallory", "open-sesame").outcome == LoginOutcome::kThrottled);
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
}

TEST_CASE("a successful login does not clear failures at other names") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, EitherTable(), worker};
  for (int i = 0; i < 3; ++i) {
    CHECK(asker.Outcome("alice", "open-sesamE") == LoginOutcome::kWrong);
    CHECK(asker.Outcome("mallory", "open-sesame") == LoginOutcome::kAccepted);
  }
  CHECK(asker.Outcome("mallory", "open-sesame") == LoginOutcome::kAccepted);
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kThrottled);
}

TEST_CASE("a cached login is accepted during a wait and does not shorten it") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, EitherTable(), worker};
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  for (int i = 0; i <= kFailuresFreePerClient; ++i) {
    CHECK(asker.Outcome("nobody-" + std::to_string(i), "open-sesame") == LoginOutcome::kWrong);
  }
  for (const std::string_view name : {"alice", "bob", "alice", "bob"}) {
    CHECK(asker.Check(name, "open-sesame").outcome ==
          (name == "alice" ? LoginOutcome::kAccepted : LoginOutcome::kThrottled));
  }
  asker.now += 1s;
  CHECK(asker.Outcome("bob", "open-sesame") == LoginOutcome::kAccepted);
  // The failures still count: the next one starts the next wait.
  CHECK(asker.Outcome("nobody", "open-sesame") == LoginOutcome::kWrong);
  CHECK(asker.Check("mallory", "open-sesame").outcome == LoginOutcome::kThrottled);
}

TEST_CASE("guesses during a wait cannot find a cached login") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, EitherTable(), worker};
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  for (int i = 0; i < 3; ++i) CHECK(asker.Outcome("alice", "open-sesamE") == LoginOutcome::kWrong);
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted);
  for (int i = 0; i < kLoginMissesMax; ++i) {
    CHECK(asker.Check("alice", "guess-" + std::to_string(i)).outcome == LoginOutcome::kThrottled);
  }
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kThrottled);
}

TEST_CASE("an old password repeated during a wait does not lock out a cached login") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, EitherTable(), worker};
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  for (int i = 0; i < 3; ++i) CHECK(asker.Outcome("alice", "old-sesame") == LoginOutcome::kWrong);
  for (int i = 0; i < 10 * kLoginMissesMax; ++i) {
    CHECK(asker.Check("alice", "old-sesame").outcome == LoginOutcome::kThrottled);
  }
  CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted);
}

TEST_CASE("a client's wait for failures at unknown names does not lock out a cached login") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, EitherTable(), worker};
  CHECK(asker.Outcome("alice", "open-sesame") == LoginOutcome::kAccepted);
  for (int i = 0; i < kFailuresFreePerClient + 7; ++i) {
    if (i > kFailuresFreePerClient) asker.now += kBackoffMax;
    CHECK(asker.Outcome("nobody-" + std::to_string(i), "open-sesame") == LoginOutcome::kWrong);
  }
  // The client waits for a minute, alice only for guesses at her own name.
  int guesses = 0;
  while (guesses < kLoginMissesMax) {
    CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted);
    CHECK(asker.Check("alice", "guess-" + std::to_string(guesses++)).outcome == LoginOutcome::kThrottled);
  }
  for (const auto wait : {1s, 2s, 4s, 8s}) {
    CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kThrottled);
    asker.now += wait;
    CHECK(asker.Check("alice", "open-sesame").outcome == LoginOutcome::kAccepted);
    CHECK(asker.Check("bob", "open-sesame").outcome == LoginOutcome::kThrottled);
    CHECK(asker.Check("alice", "guess-" + std::to_string(guesses++)).outcome == LoginOutcome::kThrottled);
  }
}

TEST_CASE("a cached login is refused once its password has changed") {
  TestWorker worker;
  Logins logins(1);
  Asker asker{logins, Table("alice:{plain}open-sesame\nbob:" + kHash), worker};
  for (const std::string_view name : {"alice", "bob", "alice", "bob"}) {
    CHECK(asker.Outcome(name, "open-sesame") == LoginOutcome::kAccepted);
  }
  asker.users = Table("alice:{plain}open-sesame-2\nbob:{plain}open-sesame-2");
  for (const std::string_view name : {"alice", "bob"}) {
    CHECK(asker.Outcome(name, "open-sesame") == LoginOutcome::kWrong);
    CHECK(asker.Outcome(name, "open-sesame-2") == LoginOutcome::kAccepted);
  }
}

TEST_CASE("of many guesses at once three are verified") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, Table("alice:" + kHash), worker};
  std::size_t throttled = 0;
  for (int i = 0; i < 100; ++i) {
    throttled += asker.Check("alice", "open-sesame-" + std::to_string(i)).outcome == LoginOutcome::kThrottled;
  }
  worker.Expect(100 - throttled);
  CHECK(worker.Count(LoginOutcome::kWrong) == 3);
  CHECK(worker.Count(LoginOutcome::kThrottled) + throttled == 97);
  CHECK(logins.hashes() == 3);
}

TEST_CASE("another client's guesses delay a login by one hash") {
  TestWorker worker;
  Logins logins(1);
  const Asker guesser{logins, Table("alice:" + kSlowHash), worker};
  const Asker other{logins, guesser.users, worker, "192.0.2.2"};
  CHECK(guesser.Check("alice", "open-sesame-1").outcome == LoginOutcome::kPending);
  while (logins.hashes() == 0) std::this_thread::yield();
  const std::uint32_t own = worker.sessions + 2;
  for (int i = 0; i < 2; ++i) guesser.Check("alice", "open-sesame-2" + std::to_string(i));
  CHECK(other.Check("alice", "open-sesame").outcome == LoginOutcome::kPending);
  const bool in_time = logins.hashes() == 1;  // or the machine was so busy that the first one has ended
  worker.Expect(4);
  if (in_time) CHECK((worker.answers[0].session.slot == own || worker.answers[1].session.slot == own));
}

TEST_CASE("a withdrawn check gets no answer") {
  TestWorker worker;
  Logins logins(1);
  const Asker asker{logins, Table("alice:" + kSlowHash), worker};
  asker.Check("alice", "open-sesame");
  const LoginCheck gone = asker.Check("alice", "open-sesamE");
  CHECK(gone.outcome == LoginOutcome::kPending);
  logins.Withdraw(gone.ticket, {&worker.mailbox, {1, 7}});
  std::vector<LoginAnswer> before;
  worker.mailbox.TakeAll(before);  // what had come by then
  const Asker last{logins, asker.users, worker, "192.0.2.2"};
  last.Check("mallory", "open-sesame");
  worker.Expect(2 - std::min<std::size_t>(before.size(), 1));
  CHECK(std::ranges::none_of(worker.answers, [](const LoginAnswer& answer) { return answer.session.slot == 1; }));
}

TEST_CASE("destruction does not wait for queued logins") {
  TestWorker worker;
  const auto users = Table("alice:" + kSlowHash);
  {
    Logins logins(1);
    for (int i = 0; i < 200; ++i) {
      const Asker asker{logins, users, worker, "192.0.2." + std::to_string(i)};
      CHECK(asker.Check("alice", "open-sesamE").outcome == LoginOutcome::kPending);
    }
  }
  std::vector<LoginAnswer> answers;
  worker.mailbox.TakeAll(answers);
  CHECK(answers.size() < 200);
}

TEST_CASE("no hash accepts an empty password") {
  TestWorker worker;
  Logins logins(1);
  // The crypt(3) hash of the empty password.
  const Asker asker{
      logins,
      Table(
          "alice:$6$othersalt$DvzPiHQSuSfWHB34iTgsJwszs9RaheuvQL3tVRhnvgKGXmN0QHjoj4RKjndbxQ34jROj5fTO0oWz/yWARhaXT/"),
      worker};
  CHECK(asker.Outcome("alice", "") == LoginOutcome::kWrong);
  CHECK(asker.Outcome("alice", std::string_view("\0", 1)) == LoginOutcome::kWrong);
}

TEST_CASE("one client's guesses are verified one at a time, whatever the number of threads") {
  TestWorker worker;
  Logins logins(4);
  const Asker asker{logins, Table("alice:" + kSlowHash), worker};
  std::size_t throttled = 0;
  for (int i = 0; i < 20; ++i) {
    throttled += asker.Check("alice", "open-sesame-" + std::to_string(i)).outcome == LoginOutcome::kThrottled;
  }
  worker.Expect(20 - throttled);
  CHECK(worker.Count(LoginOutcome::kWrong) == 3);
  CHECK(logins.hashes() == 3);
}

TEST_CASE("several threads verify logins of several clients at the same time") {
  TestWorker worker;
  const auto users = Table("alice:" + kSlowHash);
  Logins logins(2);
  for (const char* const client : {"192.0.2.1", "192.0.2.2"}) {
    CHECK(Asker{logins, users, worker, client}.Check("alice", client).outcome == LoginOutcome::kPending);
  }
  const auto begun = std::chrono::steady_clock::now();
  while (logins.hashes() < 2) std::this_thread::yield();
  std::vector<LoginAnswer> answers;
  worker.mailbox.TakeAll(answers);
  const bool too_slow = std::chrono::steady_clock::now() - begun > 40ms;  // to tell: the first may have ended
  if (!too_slow) CHECK(answers.empty());
}

TEST_CASE("many callers share several threads") {
  Logins logins(4);
  const auto users = Table("alice:" + kHash + "\nbob:" + kOtherHash + "\ncarol:{plain}open-sesame");
  std::vector<std::thread> threads;
  std::array<TestWorker, 4> workers;  // outlives the threads
  std::atomic<int> accepted{0};
  for (TestWorker& worker : workers) {
    threads.emplace_back([&] {
      std::size_t pending = 0;
      for (int round = 0; round < 50; ++round) {
        const std::string client = "192.0.2." + std::to_string(round % 8);
        const std::string_view name =
            std::array{"alice", "bob", "carol", "mallory"}[static_cast<std::size_t>(round % 4)];
        const LoginWaiter waiter = worker.NewSession();
        const auto check =
            logins.Check(users, {name, SecretView("open-sesame"), Ip(client)}, waiter, kStart + round * 10min);
        accepted += check.outcome == LoginOutcome::kAccepted ? 1 : 0;
        pending += check.outcome == LoginOutcome::kPending ? 1 : 0;
        if (round % 7 == 0) logins.Withdraw(Digest{}, waiter);
      }
      worker.Expect(pending);
      accepted += static_cast<int>(worker.Count(LoginOutcome::kAccepted));
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(accepted > 0);
}

}  // namespace penstock
