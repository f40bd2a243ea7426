#include "penstock/dns/lookups.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_answer.h"
#include "test/support/dns_server.h"
#include "test/support/wait.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Behaviour = test::DnsServer::Behaviour;
using test::kA;
using test::kAaaa;
using test::Strings;
using test::Texts;

Cookie WaiterOf(std::uint32_t number) { return {1, {number, 1}}; }

// Lookups at test servers. Sockets are real; time passes only in Advance, so that no test waits for it.
struct LookupsBench {
  explicit LookupsBench(const std::string& resolv_conf, std::size_t attempts_max = kNameAttemptsMax)
      : lookups(ParseResolvConf(resolv_conf), poller, clock, counters, 1, attempts_max) {}

  void Advance(std::chrono::milliseconds duration) {
    clock.Set(clock.now() + duration);
    lookups.OnTime();
  }

  // Handles events until `condition` is true; false if it does not become true in time.
  template <class Condition>
  [[nodiscard]] bool Pump(Condition condition) {
    const test::Stopwatch watch;
    while (!condition()) {
      if (watch.elapsed() > test::kTestTimeout) return false;
      const int count = poller.Wait(1ms);
      for (int index = 0; index < count; ++index) {
        const Poller::Event event = poller.At(index);
        CHECK(event.cookie.tag == 1);
        lookups.OnEvent(event.cookie.handle);
      }
    }
    return true;
  }

  // Waits for the next answer.
  std::optional<NameAnswer> Await() {
    std::optional<NameLookups::Finished> finished;
    if (!Pump([&] { return (finished = lookups.TakeAnswer()).has_value(); })) return std::nullopt;
    return finished->answer;
  }

  Strings Ask(std::string_view name) {
    if (const auto known = lookups.Find(name)) return Texts(known);
    REQUIRE(lookups.Wait(name, WaiterOf(0), 0));
    return Texts(Await());
  }

  // Makes waiters 1 to `count` wait for one name each, in a zone whose servers are silent.
  void WaitForSilentNames(std::uint32_t count, std::size_t share) {
    for (std::uint32_t number = 1; number <= count; ++number) {
      REQUIRE(lookups.Wait('n' + std::to_string(number) + ".silent.example", WaiterOf(number), share));
    }
  }

  // Milliseconds until the next deadline; -1 without one.
  long long Due() const {
    const auto due = lookups.next_deadline();
    return due ? std::chrono::duration_cast<std::chrono::milliseconds>(*due - clock.now()).count() : -1;
  }

  Poller poller;
  Clock clock;
  Counters counters;
  NameLookups lookups;
};

long Descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

Endpoint ClosedPort() { return test::DnsServer().endpoint(); }

}  // namespace

TEST_CASE("both families are queried together and come in one answer") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Add("www.example", "2001:db8::1");
  server.Alias("alias.example", "www.example");
  LookupsBench bench(server.ResolvConf());
  const long descriptors = Descriptors();
  CHECK(bench.Ask("www.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(bench.Ask("alias.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(server.Queries("www.example", kA) == 1);
  CHECK(server.Queries("www.example", kAaaa) == 1);
  CHECK(bench.counters.names_asked.value() == 2);
  CHECK(bench.Due() == -1);
  CHECK(Descriptors() == descriptors);
}

TEST_CASE("a family that the host does not have is not queried") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Add("www.example", "2001:db8::1");
  LookupsBench bench(server.ResolvConf());
  bench.lookups.SetFamilies({.v4 = true, .v6 = false});
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  CHECK(server.Queries() == 1);
  // A cached family is not queried again when the other one appears.
  bench.lookups.SetFamilies({.v4 = true, .v6 = true});
  CHECK(bench.Ask("www.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(server.Queries() == 2);
}

TEST_CASE("a name is queried once for all its waiters") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  LookupsBench bench(server.ResolvConf());
  for (std::uint32_t number = 0; number < 100; ++number)
    REQUIRE(bench.lookups.Wait("www.example", WaiterOf(number), 0));
  REQUIRE(server.AwaitQueries("www.example", kA, 1));
  REQUIRE(server.AwaitQueries("www.example", kAaaa, 1));
  server.BehaveAlways(Behaviour::kAnswer);
  server.Release("www.example");
  REQUIRE(bench.Pump([&] { return bench.Due() == 0; }));
  for (std::uint32_t number = 0; number < 100; ++number) {
    const auto finished = bench.lookups.TakeAnswer();
    REQUIRE(finished.has_value());
    CHECK(finished->waiter == WaiterOf(number));
    CHECK(Texts(finished->answer) == Strings{"192.0.2.1"});
  }
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
  CHECK(server.Queries() == 2);
}

TEST_CASE("a late family is not waited for, and its answer is cached") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Add("www.example", "2001:db8::1");
  server.Behave("www.example", kAaaa, Behaviour::kHold);
  LookupsBench bench(server.ResolvConf());
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(bench.Pump([&] { return bench.Due() == kFamilyGraceDelay.count(); }));
  bench.Advance(kFamilyGraceDelay - 1ms);
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
  CHECK_FALSE(bench.lookups.Find("www.example").has_value());
  bench.Advance(1ms);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"192.0.2.1"});

  REQUIRE(server.AwaitQueries("www.example", kAaaa, 1));
  server.Release("www.example");
  REQUIRE(bench.Pump([&] { return Texts(bench.lookups.Find("www.example")).size() == 2; }));
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
  CHECK(server.Queries() == 2);
  CHECK(bench.Due() == -1);
}

TEST_CASE("a family without addresses does not start the grace delay of the other one") {
  test::DnsServer server;
  server.Add("www.example", "2001:db8::1");
  server.Behave("www.example", kAaaa, Behaviour::kHold);
  LookupsBench bench(server.ResolvConf());
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(server.AwaitQueries("www.example", kA, 1));
  REQUIRE(server.AwaitQueries("www.example", kAaaa, 1));
  bench.Advance(kFamilyGraceDelay);
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
  server.Release("www.example");
  CHECK(Texts(bench.Await()) == Strings{"2001:db8::1"});
}

TEST_CASE("after a silent server the next one is asked; other questions skip it at once") {
  test::DnsServer silent;
  test::DnsServer server;
  silent.BehaveAlways(Behaviour::kSilent);
  for (const char* name : {"a.example", "b.example", "c.example"}) server.Add(name, "192.0.2.1");
  LookupsBench bench(silent.ResolvConf("", {server.endpoint()}));
  bench.lookups.SetFamilies({.v4 = true, .v6 = false});
  REQUIRE(bench.lookups.Wait("a.example", WaiterOf(0), 0));
  CHECK(bench.Due() == kNextNameAttemptDelay.count());
  bench.Advance(kNextNameAttemptDelay);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(silent.AwaitQueries("a.example", kA, 1));

  CHECK(bench.Ask("b.example") == Strings{"192.0.2.1"});
  CHECK(silent.Queries("b.example", kA) == 0);

  // It comes back: one question probes it, and from then on all ask it.
  silent.BehaveAlways(Behaviour::kHold);
  bench.Advance(kServerSuspectTime);
  REQUIRE(bench.lookups.Wait("d.example", WaiterOf(0), 0));
  REQUIRE(silent.AwaitQueries("d.example", kA, 1));
  CHECK(bench.Ask("c.example") == Strings{"192.0.2.1"});
  silent.Add("d.example", "192.0.2.2");
  silent.Add("e.example", "192.0.2.2");
  silent.BehaveAlways(Behaviour::kAnswer);
  silent.Release("d.example");
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.2"});
  CHECK(bench.Ask("e.example") == Strings{"192.0.2.2"});
  CHECK(server.Queries("d.example", kA) + server.Queries("e.example", kA) == 0);
}

TEST_CASE("an unreachable or failing server costs no time") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  SUBCASE("nobody listens") {
    LookupsBench bench("nameserver " + ClosedPort().ToString() + '\n' + server.ResolvConf());
    CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  }
  SUBCASE("it reports a failure, or the stream ends early") {
    for (const Behaviour behaviour :
         {Behaviour::kServerFailure, Behaviour::kRefused, Behaviour::kRefusedBare, Behaviour::kBreakStream}) {
      CAPTURE(static_cast<int>(behaviour));
      test::DnsServer failing;
      failing.BehaveAlways(behaviour);
      LookupsBench bench(failing.ResolvConf("", {server.endpoint()}));
      CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
      CHECK(failing.Queries("www.example", kA) == (behaviour == Behaviour::kBreakStream ? 2 : 1));
    }
  }
}

TEST_CASE("if all servers fail, there is no answer at once, and for a second") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kServerFailure);
  LookupsBench bench(server.ResolvConf("attempts:5", {ClosedPort()}));
  CHECK(bench.Ask("www.example") == Strings{"no answer"});
  CHECK(server.Queries() == 2);
  server.BehaveAlways(Behaviour::kAnswer);
  server.Add("www.example", "192.0.2.1");
  CHECK(bench.Ask("www.example") == Strings{"no answer"});
  bench.Advance(kNoAnswerTtl);
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
}

TEST_CASE("a family without an answer does not hide the other one") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Behave("www.example", kAaaa, Behaviour::kServerFailure);
  LookupsBench bench(server.ResolvConf());
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  server.Behave("none.example", kAaaa, Behaviour::kServerFailure);
  CHECK(bench.Ask("none.example") == Strings{"no answer"});
}

TEST_CASE("a silent name ends after all attempts have timed out") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  LookupsBench bench(server.ResolvConf("timeout:3 attempts:2"));
  const long descriptors = Descriptors();
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(server.AwaitQueries("www.example", kA, 1));
  bench.Advance(1s);
  REQUIRE(server.AwaitQueries("www.example", kA, 2));
  bench.Advance(1s);
  bench.Advance(1s);  // the first try ends
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
  CHECK(bench.Due() == 1000);
  bench.Advance(1s);  // the second
  CHECK(Texts(bench.Await()) == Strings{"no answer"});
  CHECK(server.Queries("www.example", kA) == 2);
  CHECK(bench.Due() == -1);
  CHECK(Descriptors() == descriptors);
}

TEST_CASE("a late answer to the first attempt still counts") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  LookupsBench bench(server.ResolvConf("timeout:3 attempts:1"));
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(server.AwaitQueries("www.example", kA, 1));
  REQUIRE(server.AwaitQueries("www.example", kAaaa, 1));
  bench.Advance(1s);
  bench.Advance(1s);
  server.Release("www.example");
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
}

TEST_CASE("rotate spreads questions over the servers") {
  test::DnsServer first;
  test::DnsServer second;
  LookupsBench bench(first.ResolvConf("rotate", {second.endpoint()}));
  for (int number = 0; number < 10; ++number) bench.Ask("n" + std::to_string(number) + ".example");
  CHECK(first.Queries() == 10);
  CHECK(second.Queries() == 10);
}

TEST_CASE("addresses are cached for their TTL") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1", 10s);
  server.SetSoa(100s, 100s);
  LookupsBench bench(server.ResolvConf());
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  server.Remove("www.example");
  server.Add("www.example", "192.0.2.2", 0s);
  bench.Advance(10s - 1ms);
  CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"192.0.2.1"});
  bench.Advance(1ms);
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.2"});
  CHECK(server.Queries("www.example", kA) == 2);
  CHECK(server.Queries("www.example", kAaaa) == 1);  // its negative answer still holds
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.2"});
  CHECK(server.Queries("www.example", kA) == 3);  // a time to live of zero
}

TEST_CASE("NXDOMAIN is cached as its SOA says, and not without an SOA") {
  test::DnsServer server;
  server.SetSoa(20s, 10s);
  server.Behave("bare.example", Behaviour::kNoSoa);
  LookupsBench bench(server.ResolvConf());
  CHECK(bench.Ask("www.example") == Strings{"no name"});
  bench.Advance(10s - 1ms);
  CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"no name"});
  bench.Advance(1ms);
  CHECK(bench.Ask("www.example") == Strings{"no name"});
  CHECK(server.Queries("www.example", kA) == 2);
  CHECK(bench.Ask("bare.example") == Strings{"no name"});
  CHECK(bench.Ask("bare.example") == Strings{"no name"});
  CHECK(server.Queries("bare.example", kA) == 2);
}

TEST_CASE("five clients with slow names do not starve a sixth") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  LookupsBench bench(server.ResolvConf("timeout:1 attempts:1"));
  std::vector<std::size_t> answered(6);  // lookups that were given up
  const auto ask = [&](std::size_t share, std::size_t number) {
    const std::string name = 'n' + std::to_string(number) + ".of" + std::to_string(share) + ".example";
    const bool waits = bench.lookups.Wait(name, WaiterOf(static_cast<std::uint32_t>(share)), share).has_value();
    while (const auto finished = bench.lookups.TakeAnswer()) {
      CHECK(finished->answer.status == NameStatus::kNoAnswer);
      ++answered[finished->waiter.handle.slot];
    }
    return waits;
  };
  for (std::size_t share = 0; share < 5; ++share) {
    for (std::size_t number = 0; number < kLookupsMax; ++number) ask(share, number);
  }
  std::size_t sixth = 0;
  while (ask(5, sixth)) ++sixth;
  CHECK(sixth >= kLookupsMax / 6);
  CHECK(answered[5] == 0);
  CHECK(std::ranges::all_of(std::span(answered).first(5), [](std::size_t given_up) { return given_up > 0; }));
}

TEST_CASE("the number of lookups is bounded, and the share with the most makes room") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  LookupsBench bench(server.ResolvConf("timeout:1 attempts:1"));
  bench.WaitForSilentNames(kLookupsMax, 0);
  CHECK_FALSE(bench.lookups.Wait("one.more.example", WaiterOf(0), 0).has_value());
  CHECK(bench.lookups.Wait("n1.silent.example", WaiterOf(0), 0).has_value());  // to join is still possible
  CHECK(bench.lookups.Wait("one.more.example", WaiterOf(0), 1).has_value());
  CHECK(bench.counters.names_asked.value() == kNameAttemptsMax / 2 + 1);
  std::size_t answers = 0;
  for (int turns = 0; turns < 10'000 && bench.Due() >= 0; ++turns) {
    bench.Advance(std::chrono::milliseconds(bench.Due()));
    while (bench.lookups.TakeAnswer()) ++answers;
  }
  CHECK(answers == kLookupsMax + 2);
  CHECK(bench.counters.names_asked.value() == kLookupsMax + 1);
  CHECK(bench.Due() == -1);
}

TEST_CASE("1,000 names of silent servers do not delay another client's name, and the same client's little") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  for (const char* name : {"www.example", "mail.example", "ftp.example"}) {
    server.Add(name, "192.0.2.1");
    server.Behave(name, Behaviour::kAnswer);
  }
  LookupsBench bench(server.ResolvConf());
  const long descriptors = Descriptors();
  bench.WaitForSilentNames(1000, 0);
  CHECK(Descriptors() == descriptors + static_cast<long>(kNameAttemptsMax));
  CHECK(bench.counters.names_asked.value() == kNameAttemptsMax / 2);
  REQUIRE(server.AwaitRead());

  const TimePoint began = bench.clock.now();
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 1));
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(bench.clock.now() == began);

  REQUIRE(bench.lookups.Wait("mail.example", WaiterOf(0), 0));
  while (bench.counters.names_asked.value() < 1002) {
    REQUIRE(bench.Due() > 0);
    bench.Advance(std::chrono::milliseconds(bench.Due()));
    REQUIRE(server.AwaitRead());
  }
  CHECK(bench.clock.now() - began < 100ms);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});

  // As long as they last, another client is answered at once.
  while (bench.clock.now() - began < 900ms) {
    bench.Advance(kNameAttemptTurn);
    REQUIRE(server.AwaitRead());
  }
  CHECK(bench.lookups.Wait("ftp.example", WaiterOf(0), 0).has_value());
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(Descriptors() <= descriptors + static_cast<long>(kNameAttemptsMax));

  std::size_t lost = 0;
  for (int turns = 0; turns < 10'000 && bench.Due() >= 0; ++turns) {
    bench.Advance(std::chrono::milliseconds(bench.Due()));
    while (bench.lookups.TakeAnswer()) ++lost;
  }
  CHECK(lost == 1000);
  CHECK(Descriptors() == descriptors);
}

TEST_CASE("a name that one client asked for behind a thousand others is not delayed for other clients") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kSilent);
  server.Behave("www.example", Behaviour::kAnswer);
  LookupsBench bench(server.ResolvConf(), 16);
  bench.WaitForSilentNames(1000, 0);
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 1));
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
}

TEST_CASE("names are answered while names of silent servers keep coming") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  LookupsBench bench(server.ResolvConf(), 64);
  std::uint32_t number = 0;
  for (int round = 0; round < 150; ++round) {  // 6 s, with 250 silent names a second, which would hold 3,000 sockets
    for (int silent = 0; silent < 10; ++silent) {
      ++number;
      REQUIRE(bench.lookups.Wait('n' + std::to_string(number) + ".silent.example", WaiterOf(number), 0));
    }
    if (round % 10 == 0) {
      const std::string name = "good" + std::to_string(round) + ".example";
      server.Add(name, "192.0.2.1");
      server.Behave(name, Behaviour::kAnswer);
      REQUIRE(bench.lookups.Wait(name, WaiterOf(0), static_cast<std::size_t>(round / 10) % 2));
      std::optional<NameLookups::Finished> finished;
      while (!finished || finished->waiter != WaiterOf(0)) {
        REQUIRE(bench.Pump([&] { return (finished = bench.lookups.TakeAnswer()).has_value(); }));
      }
      REQUIRE(Texts(finished->answer) == Strings{"192.0.2.1"});
    }
    bench.Advance(kNameAttemptTurn);
    REQUIRE(server.AwaitRead());
  }
}

TEST_CASE("the number of open sockets is bounded") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  for (const std::size_t attempts_max : {std::size_t{2}, std::size_t{5}, std::size_t{16}}) {
    CAPTURE(attempts_max);
    LookupsBench bench(server.ResolvConf("attempts:3"), attempts_max);
    const long most = Descriptors() + static_cast<long>(attempts_max);
    for (std::uint32_t number = 1; number <= 20; ++number) {
      const std::string name = 'n' + std::to_string(number) + ".silent.example";
      REQUIRE(bench.lookups.Wait(name, WaiterOf(number), number % 3));
      REQUIRE(Descriptors() <= most);
    }
    CHECK(Descriptors() >= most - 1);  // a lookup begins with two
    std::size_t answers = 0;
    for (int turns = 0; turns < 1000 && answers < 20; ++turns) {
      REQUIRE(bench.Due() >= 0);
      bench.Advance(std::chrono::milliseconds(bench.Due()));
      REQUIRE(bench.Pump([polls = 0]() mutable { return ++polls > 2; }));
      REQUIRE(Descriptors() <= most);
      while (bench.lookups.TakeAnswer()) ++answers;
    }
    CHECK(answers == 20);
  }
}

TEST_CASE("a question that lost its socket asks again after the usual delay") {
  test::DnsServer server;
  server.Add("slow.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kSilent);
  LookupsBench bench(server.ResolvConf(), 4);
  REQUIRE(bench.lookups.Wait("slow.example", WaiterOf(0), 0));
  REQUIRE(server.AwaitQueries("slow.example", kA, 1));
  bench.Advance(kNameAttemptTurn);
  bench.WaitForSilentNames(2, 0);
  server.Behave("slow.example", Behaviour::kAnswer);
  bench.Advance(kNextNameAttemptDelay - kNameAttemptTurn);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(server.Queries("slow.example", kA) == 2);
}

TEST_CASE("a share with few attempts loses none to shares with more") {
  test::DnsServer server;
  server.Add("slow.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  LookupsBench bench(server.ResolvConf(), 16);
  REQUIRE(bench.lookups.Wait("slow.example", WaiterOf(0), 1));
  REQUIRE(server.AwaitQueries("slow.example", kA, 1));
  REQUIRE(server.AwaitQueries("slow.example", kAaaa, 1));
  bench.WaitForSilentNames(100, 0);
  for (int turn = 0; turn < 20; ++turn) bench.Advance(kNameAttemptTurn);
  server.Release("slow.example");
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(server.Queries("slow.example", kA) == 1);
}

TEST_CASE("a silent server becomes suspect even if no attempt lives until its timeout") {
  test::DnsServer silent;
  test::DnsServer server;
  silent.BehaveAlways(Behaviour::kSilent);
  server.BehaveAlways(Behaviour::kSilent);
  server.Behave("www.example", Behaviour::kAnswer);
  server.Add("www.example", "192.0.2.1");
  LookupsBench bench(silent.ResolvConf("", {server.endpoint()}), 4);
  for (std::uint32_t number = 1; number <= 30; ++number) {
    const std::string name = 'n' + std::to_string(number) + ".silent.example";
    REQUIRE(bench.lookups.Wait(name, WaiterOf(number), 0));
    bench.Advance(kNameAttemptTurn);
  }
  bench.Advance(kNameAttemptTurn);
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  CHECK(silent.Queries("www.example", kA) == 0);
}

TEST_CASE("a lookup without waiters is dropped at once") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  LookupsBench bench(server.ResolvConf(), 4);
  const long descriptors = Descriptors();
  std::vector<NameLookups::Ticket> tickets;
  for (std::uint32_t number = 0; number < 5; ++number) {
    const std::string name = number == 1 ? "n0.example" : 'n' + std::to_string(number) + ".example";
    tickets.push_back(bench.lookups.Wait(name, WaiterOf(number), 0).value());
  }
  CHECK(bench.counters.names_asked.value() == 2);  // n0 and n2; n3 and n4 wait for their turn
  bench.lookups.Withdraw(tickets[3]);              // never asked for
  bench.lookups.Withdraw(tickets[0]);
  CHECK(bench.counters.names_asked.value() == 2);  // somebody else waits for n0
  bench.lookups.Withdraw(tickets[1]);
  CHECK(bench.counters.names_asked.value() == 3);  // n4 takes its place
  REQUIRE(server.AwaitQueries("n4.example", kA, 1));
  CHECK(server.Queries("n3.example", kA) == 0);
  bench.lookups.Withdraw(tickets[4]);
  bench.lookups.Withdraw(tickets[2]);
  CHECK(Descriptors() == descriptors);
  CHECK(bench.Due() == -1);
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());

  server.BehaveAlways(Behaviour::kAnswer);
  CHECK(bench.Ask("n0.example") == Strings{"no name"});
}

TEST_CASE("a waiter that withdraws late is not yielded") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  SUBCASE("the answer is ready") {
    LookupsBench bench(server.ResolvConf());
    const auto ticket = bench.lookups.Wait("www.example", WaiterOf(0), 0).value();
    REQUIRE(bench.Pump([&] { return bench.Due() == 0; }));
    bench.lookups.Withdraw(ticket);
    CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
    CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"192.0.2.1"});
  }
  SUBCASE("one family was answered, and the other is still being queried") {
    server.Behave("www.example", kAaaa, Behaviour::kHold);
    LookupsBench bench(server.ResolvConf());
    const auto ticket = bench.lookups.Wait("www.example", WaiterOf(0), 0).value();
    REQUIRE(bench.Pump([&] { return bench.Due() == kFamilyGraceDelay.count(); }));
    bench.Advance(kFamilyGraceDelay);
    bench.lookups.Withdraw(ticket);
    CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
    CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"192.0.2.1"});
  }
}

// Random order of everything: every waiter is yielded once, and no socket is left over or beyond the limit.
TEST_CASE("waiting, withdrawing, answers and time in random order") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  for (int name = 0; name < 20; name += 2) {
    server.Add("n" + std::to_string(name) + ".example", "192.0.2.1", 1s);
    server.Behave("n" + std::to_string(name) + ".example", name % 4 == 0 ? Behaviour::kAnswer : Behaviour::kTruncated);
  }
  for (unsigned seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::size_t bound) { return static_cast<int>(random() % bound); };
    LookupsBench bench(server.ResolvConf("timeout:1"), 6);
    const long before = Descriptors();
    std::map<std::uint32_t, NameLookups::Ticket> waiting;
    const auto take = [&] {
      while (const auto finished = bench.lookups.TakeAnswer()) {
        const std::uint32_t number = finished->waiter.handle.slot;
        REQUIRE(waiting.erase(number) == 1);
      }
    };
    for (std::uint32_t step = 0; step < 600; ++step) {
      const std::string name = "n" + std::to_string(below(20)) + ".example";
      const int what = below(10);
      if (what < 5) {
        if (!bench.lookups.Find(name))
          waiting.emplace(step, bench.lookups.Wait(name, WaiterOf(step), step % 3).value());
      } else if (what < 7 && !waiting.empty()) {
        const auto leaves = std::next(waiting.begin(), below(waiting.size()));
        bench.lookups.Withdraw(leaves->second);
        waiting.erase(leaves);
      } else if (what < 9) {
        bench.Advance(std::chrono::milliseconds(below(60)));
      } else {
        REQUIRE(bench.Pump([polls = 0]() mutable { return ++polls > 1; }));
      }
      if (below(2) == 0) take();                 // else answers lie ready when somebody leaves
      REQUIRE(Descriptors() <= before + 6 + 1);  // the server is in this process, and may have a stream open
    }
    for (int turns = 0; turns < 10'000 && bench.Due() >= 0; ++turns) {
      bench.Advance(std::chrono::milliseconds(bench.Due()));
      take();
    }
    CHECK(waiting.empty());
    CHECK(test::WaitUntil([&] { return Descriptors() == before; }));
  }
}

TEST_CASE("without descriptors questions wait, then fail") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  LookupsBench bench(server.ResolvConf("timeout:1 attempts:2"));
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const auto limit = [&](rlim_t descriptors) {
    const rlimit changed{descriptors, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &changed) == 0);
  };
  limit(0);
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(bench.lookups.Wait("lost.example", WaiterOf(1), 0));
  CHECK(bench.Due() == 1000);
  SUBCASE("descriptors are available again in time") {
    limit(before.rlim_cur);
    bench.Advance(1s);
    std::size_t found = 0;
    for (int answers = 0; answers < 2; ++answers) found += bench.Await()->count;
    CHECK(found == 1);
  }
  SUBCASE("descriptors stay exhausted") {
    bench.Advance(1s);
    CHECK(bench.Due() == 1000);
    bench.Advance(1s);
    limit(before.rlim_cur);
    CHECK(Texts(bench.Await()) == Strings{"no answer"});
    CHECK(Texts(bench.Await()) == Strings{"no answer"});
    CHECK(server.Queries() == 0);
  }
  limit(before.rlim_cur);
}

TEST_CASE("new servers take over questions under way, and the cache is cleared") {
  test::DnsServer old;
  test::DnsServer fresh;
  old.Add("known.example", "192.0.2.1");
  old.Add("www.example", "192.0.2.1");
  old.Behave("www.example", Behaviour::kHold);
  fresh.Add("known.example", "192.0.2.2");
  fresh.Add("www.example", "192.0.2.2");
  LookupsBench bench(old.ResolvConf());
  CHECK(bench.Ask("known.example") == Strings{"192.0.2.1"});
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(old.AwaitQueries("www.example", kA, 1));
  bench.lookups.Configure(ParseResolvConf(fresh.ResolvConf("timeout:2")));
  bench.Advance(kNextNameAttemptDelay);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.2"});
  CHECK(bench.Ask("known.example") == Strings{"192.0.2.2"});
}

TEST_CASE("a late answer of a former server goes to its waiters and is not cached") {
  test::DnsServer old;
  test::DnsServer fresh;
  old.Add("www.example", "192.0.2.1");
  old.BehaveAlways(Behaviour::kHold);
  fresh.Add("www.example", "192.0.2.2");
  LookupsBench bench(old.ResolvConf());
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(old.AwaitQueries("www.example", kA, 1));
  REQUIRE(old.AwaitQueries("www.example", kAaaa, 1));
  bench.lookups.Configure(ParseResolvConf(fresh.ResolvConf()));
  old.Release("www.example");
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.2"});
}

TEST_CASE("destruction with lookups under way") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kHold);
  const long descriptors = Descriptors();
  {
    LookupsBench bench(server.ResolvConf());
    for (std::uint32_t number = 0; number < 300; ++number) {
      REQUIRE(bench.lookups.Wait('n' + std::to_string(number), WaiterOf(number), 0));
    }
    CHECK(Descriptors() > descriptors + 500);
  }
  CHECK(Descriptors() == descriptors);
}

}  // namespace penstock
