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

#include "test/support/dns_server.h"
#include "test/support/wait.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Behaviour = test::DnsServer::Behaviour;
using Strings = std::vector<std::string>;

constexpr auto kA = DnsType::kA;
constexpr auto kAaaa = DnsType::kAaaa;

Cookie WaiterOf(std::uint32_t number) { return {1, {number, 1}}; }

// What came of a name: "no name", "no answer", or its addresses.
Strings Texts(const std::optional<NameAnswer>& answer) {
  if (!answer) return {"nothing"};
  if (answer->status == NameStatus::kNoName) return {"no name"};
  if (answer->status == NameStatus::kNoAnswer) return {"no answer"};
  Strings texts;
  for (const IpAddress& address : answer->list()) texts.push_back(address.ToString());
  return texts;
}

// Lookups that ask test servers. Sockets are real; the time stands still but for Advance, so that no test waits for it.
struct Bench {
  explicit Bench(const std::string& resolv_conf, std::size_t tries_max = kNameTriesMax)
      : lookups(ParseResolvConf(resolv_conf), poller, clock, counters, 1, tries_max) {}

  void Advance(std::chrono::milliseconds duration) {
    clock.Set(clock.now() + duration);
    lookups.OnTime();
  }

  // Handles events until `condition` is true; false when it does not become so.
  template <class Condition>
  [[nodiscard]] bool Pump(Condition condition) {
    const test::Stopwatch watch;
    while (!condition()) {
      if (watch.elapsed() > test::kPatience) return false;
      const int count = poller.Wait(1ms);
      for (int index = 0; index < count; ++index) {
        const Poller::Event event = poller.At(index);
        CHECK(event.cookie.tag == 1);
        lookups.OnEvent(event.cookie.handle, event.events);
      }
    }
    return true;
  }

  // The next answer.
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

  // Makes waiters 1 to `count` wait for one name each, of a zone that nobody answers for.
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

TEST_CASE("both families are asked for at once, and come in one answer") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Add("www.example", "2001:db8::1");
  server.Alias("alias.example", "www.example");
  Bench bench(server.ResolvConf());
  const long descriptors = Descriptors();
  CHECK(bench.Ask("www.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(bench.Ask("alias.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(server.Queries("www.example", kA) == 1);
  CHECK(server.Queries("www.example", kAaaa) == 1);
  CHECK(bench.counters.names_asked.value() == 2);
  CHECK(bench.Due() == -1);
  CHECK(Descriptors() == descriptors);
}

TEST_CASE("a family that the host does not have is not asked for") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Add("www.example", "2001:db8::1");
  Bench bench(server.ResolvConf());
  bench.lookups.SetFamilies({.v4 = true, .v6 = false});
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  CHECK(server.Queries() == 1);
  // What is known of one family is not asked for again when the other one comes up.
  bench.lookups.SetFamilies({.v4 = true, .v6 = true});
  CHECK(bench.Ask("www.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(server.Queries() == 2);
}

TEST_CASE("a name is asked for once, for all who wait for it") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  Bench bench(server.ResolvConf());
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

TEST_CASE("a family that takes too long is not waited for, and its answer is kept") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Add("www.example", "2001:db8::1");
  server.Behave("www.example", kAaaa, Behaviour::kHold);
  Bench bench(server.ResolvConf());
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

TEST_CASE("a family without addresses is no reason to hurry the other one") {
  test::DnsServer server;
  server.Add("www.example", "2001:db8::1");
  server.Behave("www.example", kAaaa, Behaviour::kHold);
  Bench bench(server.ResolvConf());
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(server.AwaitQueries("www.example", kA, 1));
  REQUIRE(server.AwaitQueries("www.example", kAaaa, 1));
  bench.Advance(kFamilyGraceDelay);
  CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
  server.Release("www.example");
  CHECK(Texts(bench.Await()) == Strings{"2001:db8::1"});
}

TEST_CASE("a silent server: the next one is asked after a while, and by others at once") {
  test::DnsServer silent;
  test::DnsServer server;
  silent.BehaveAlways(Behaviour::kSilent);
  for (const char* name : {"a.example", "b.example", "c.example"}) server.Add(name, "192.0.2.1");
  Bench bench(silent.ResolvConf("", {server.endpoint()}));
  bench.lookups.SetFamilies({.v4 = true, .v6 = false});
  REQUIRE(bench.lookups.Wait("a.example", WaiterOf(0), 0));
  CHECK(bench.Due() == kNextTryDelay.count());
  bench.Advance(kNextTryDelay);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(silent.AwaitQueries("a.example", kA, 1));

  CHECK(bench.Ask("b.example") == Strings{"192.0.2.1"});
  CHECK(silent.Queries("b.example", kA) == 0);

  // It comes back: one question finds out, and from then on all ask it.
  silent.BehaveAlways(Behaviour::kHold);
  bench.Advance(kServerDoubt);
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

TEST_CASE("a server that is not there, or fails, costs no time") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  SUBCASE("nobody listens") {
    Bench bench("nameserver " + ClosedPort().ToString() + '\n' + server.ResolvConf());
    CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  }
  SUBCASE("it tells a failure, or breaks off") {
    for (const Behaviour behaviour :
         {Behaviour::kServerFailure, Behaviour::kRefused, Behaviour::kRefusedBare, Behaviour::kBreakStream}) {
      CAPTURE(static_cast<int>(behaviour));
      test::DnsServer failing;
      failing.BehaveAlways(behaviour);
      Bench bench(failing.ResolvConf("", {server.endpoint()}));
      CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
      CHECK(failing.Queries("www.example", kA) == (behaviour == Behaviour::kBreakStream ? 2 : 1));
    }
  }
}

TEST_CASE("when all servers fail there is no answer, at once, and for a second") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kServerFailure);
  Bench bench(server.ResolvConf("attempts:5", {ClosedPort()}));
  CHECK(bench.Ask("www.example") == Strings{"no answer"});
  CHECK(server.Queries() == 2);
  CHECK(bench.counters.names_failed.value() == 1);
  server.BehaveAlways(Behaviour::kAnswer);
  server.Add("www.example", "192.0.2.1");
  CHECK(bench.Ask("www.example") == Strings{"no answer"});
  bench.Advance(kNoAnswerTtl);
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
}

TEST_CASE("a family that nobody answers for does not hide the other one") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.Behave("www.example", kAaaa, Behaviour::kServerFailure);
  Bench bench(server.ResolvConf());
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  server.Behave("none.example", kAaaa, Behaviour::kServerFailure);
  CHECK(bench.Ask("none.example") == Strings{"no answer"});
}

TEST_CASE("silence ends after all attempts have had their time") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  Bench bench(server.ResolvConf("timeout:3 attempts:2"));
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

TEST_CASE("a late answer to the first try still counts") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  Bench bench(server.ResolvConf("timeout:3 attempts:1"));
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
  Bench bench(first.ResolvConf("rotate", {second.endpoint()}));
  for (int number = 0; number < 10; ++number) bench.Ask("n" + std::to_string(number) + ".example");
  CHECK(first.Queries() == 10);
  CHECK(second.Queries() == 10);
}

TEST_CASE("addresses are remembered for their time to live") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1", 10s);
  server.SetSoa(100s, 100s);
  Bench bench(server.ResolvConf());
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

TEST_CASE("a name that does not exist is remembered as its SOA says, and not without one") {
  test::DnsServer server;
  server.SetSoa(20s, 10s);
  server.Behave("bare.example", Behaviour::kNoSoa);
  Bench bench(server.ResolvConf());
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
  Bench bench(server.ResolvConf("timeout:1 attempts:1"));
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

TEST_CASE("there is a bound to the lookups, and who has most of them makes room") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  Bench bench(server.ResolvConf("timeout:1 attempts:1"));
  bench.WaitForSilentNames(kLookupsMax, 0);
  CHECK_FALSE(bench.lookups.Wait("one.more.example", WaiterOf(0), 0).has_value());
  CHECK(bench.lookups.Wait("n1.silent.example", WaiterOf(0), 0).has_value());  // to join is still possible
  CHECK(bench.lookups.Wait("one.more.example", WaiterOf(0), 1).has_value());
  CHECK(bench.counters.names_asked.value() == kNameTriesMax / 2 + 1);
  std::size_t answers = 0;
  for (int turns = 0; turns < 10'000 && bench.Due() >= 0; ++turns) {
    bench.Advance(std::chrono::milliseconds(bench.Due()));
    while (bench.lookups.TakeAnswer()) ++answers;
  }
  CHECK(answers == kLookupsMax + 2);
  CHECK(bench.counters.names_asked.value() == kLookupsMax + 1);
  CHECK(bench.Due() == -1);
}

TEST_CASE("1,000 names of silent servers delay another client's name not at all, and the same client's little") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  for (const char* name : {"www.example", "mail.example", "ftp.example"}) {
    server.Add(name, "192.0.2.1");
    server.Behave(name, Behaviour::kAnswer);
  }
  Bench bench(server.ResolvConf());
  const long descriptors = Descriptors();
  bench.WaitForSilentNames(1000, 0);
  CHECK(Descriptors() == descriptors + static_cast<long>(kNameTriesMax));
  CHECK(bench.counters.names_asked.value() == kNameTriesMax / 2);
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

  // For as long as they last, whoever comes next is answered at once.
  while (bench.clock.now() - began < 900ms) {
    bench.Advance(kTryTurn);
    REQUIRE(server.AwaitRead());
  }
  CHECK(bench.lookups.Wait("ftp.example", WaiterOf(0), 0).has_value());
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(Descriptors() <= descriptors + static_cast<long>(kNameTriesMax));

  std::size_t lost = 0;
  for (int turns = 0; turns < 10'000 && bench.Due() >= 0; ++turns) {
    bench.Advance(std::chrono::milliseconds(bench.Due()));
    while (bench.lookups.TakeAnswer()) ++lost;
  }
  CHECK(lost == 1000);
  CHECK(Descriptors() == descriptors);
}

TEST_CASE("a name that somebody asked for behind a thousand others is not late for everybody") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kSilent);
  server.Behave("www.example", Behaviour::kAnswer);
  Bench bench(server.ResolvConf(), 16);
  bench.WaitForSilentNames(1000, 0);
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 1));
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
}

TEST_CASE("a name that comes every other moment is answered for as long as silent ones keep coming") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  Bench bench(server.ResolvConf(), 64);
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
    bench.Advance(kTryTurn);
    REQUIRE(server.AwaitRead());
  }
}

TEST_CASE("no more sockets are open than there may be") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  for (const std::size_t tries_max : {std::size_t{2}, std::size_t{5}, std::size_t{16}}) {
    CAPTURE(tries_max);
    Bench bench(server.ResolvConf("attempts:3"), tries_max);
    const long most = Descriptors() + static_cast<long>(tries_max);
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

TEST_CASE("who has lost its socket to others asks again at its time") {
  test::DnsServer server;
  server.Add("slow.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kSilent);
  Bench bench(server.ResolvConf(), 4);
  REQUIRE(bench.lookups.Wait("slow.example", WaiterOf(0), 0));
  REQUIRE(server.AwaitQueries("slow.example", kA, 1));
  bench.Advance(kTryTurn);
  bench.WaitForSilentNames(2, 0);
  server.Behave("slow.example", Behaviour::kAnswer);
  bench.Advance(kNextTryDelay - kTryTurn);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(server.Queries("slow.example", kA) == 2);
}

TEST_CASE("who has little loses nothing to those who have more") {
  test::DnsServer server;
  server.Add("slow.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  Bench bench(server.ResolvConf(), 16);
  REQUIRE(bench.lookups.Wait("slow.example", WaiterOf(0), 1));
  REQUIRE(server.AwaitQueries("slow.example", kA, 1));
  REQUIRE(server.AwaitQueries("slow.example", kAaaa, 1));
  bench.WaitForSilentNames(100, 0);
  for (int turn = 0; turn < 20; ++turn) bench.Advance(kTryTurn);
  server.Release("slow.example");
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(server.Queries("slow.example", kA) == 1);
}

TEST_CASE("a silent server comes into doubt even when no try lives long enough to see it") {
  test::DnsServer silent;
  test::DnsServer server;
  silent.BehaveAlways(Behaviour::kSilent);
  server.BehaveAlways(Behaviour::kSilent);
  server.Behave("www.example", Behaviour::kAnswer);
  server.Add("www.example", "192.0.2.1");
  Bench bench(silent.ResolvConf("", {server.endpoint()}), 4);
  for (std::uint32_t number = 1; number <= 30; ++number) {
    const std::string name = 'n' + std::to_string(number) + ".silent.example";
    REQUIRE(bench.lookups.Wait(name, WaiterOf(number), 0));
    bench.Advance(kTryTurn);
  }
  bench.Advance(kTryTurn);
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  CHECK(silent.Queries("www.example", kA) == 0);
}

TEST_CASE("a lookup that nobody waits for any more is given up at once") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kHold);
  Bench bench(server.ResolvConf(), 4);
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

TEST_CASE("a waiter that withdraws late is not told") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  SUBCASE("the answer lies ready") {
    Bench bench(server.ResolvConf());
    const auto ticket = bench.lookups.Wait("www.example", WaiterOf(0), 0).value();
    REQUIRE(bench.Pump([&] { return bench.Due() == 0; }));
    bench.lookups.Withdraw(ticket);
    CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
    CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"192.0.2.1"});
  }
  SUBCASE("one family's answer was told, and the other is still asked for") {
    server.Behave("www.example", kAaaa, Behaviour::kHold);
    Bench bench(server.ResolvConf());
    const auto ticket = bench.lookups.Wait("www.example", WaiterOf(0), 0).value();
    REQUIRE(bench.Pump([&] { return bench.Due() == kFamilyGraceDelay.count(); }));
    bench.Advance(kFamilyGraceDelay);
    bench.lookups.Withdraw(ticket);
    CHECK_FALSE(bench.lookups.TakeAnswer().has_value());
    CHECK(Texts(bench.lookups.Find("www.example")) == Strings{"192.0.2.1"});
  }
}

// Whatever comes in whatever order: nobody is forgotten or told twice, and no socket is left or too many.
TEST_CASE("waiting, leaving, answers and time in random order") {
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
    Bench bench(server.ResolvConf("timeout:1"), 6);
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

TEST_CASE("without descriptors questions wait, and fail in the end") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  Bench bench(server.ResolvConf("timeout:1 attempts:2"));
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
  SUBCASE("they come back in time") {
    limit(before.rlim_cur);
    bench.Advance(1s);
    std::size_t found = 0;
    for (int answers = 0; answers < 2; ++answers) found += bench.Await()->count;
    CHECK(found == 1);
  }
  SUBCASE("they do not") {
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

TEST_CASE("other servers take over what is being asked, and what the old ones said is forgotten") {
  test::DnsServer old;
  test::DnsServer fresh;
  old.Add("known.example", "192.0.2.1");
  old.Add("www.example", "192.0.2.1");
  old.Behave("www.example", Behaviour::kHold);
  fresh.Add("known.example", "192.0.2.2");
  fresh.Add("www.example", "192.0.2.2");
  Bench bench(old.ResolvConf());
  CHECK(bench.Ask("known.example") == Strings{"192.0.2.1"});
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(old.AwaitQueries("www.example", kA, 1));
  bench.lookups.Configure(ParseResolvConf(fresh.ResolvConf("timeout:2")));
  bench.Advance(kNextTryDelay);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.2"});
  CHECK(bench.Ask("known.example") == Strings{"192.0.2.2"});
}

TEST_CASE("a late answer of a server of old is given to who waits, and not kept") {
  test::DnsServer old;
  test::DnsServer fresh;
  old.Add("www.example", "192.0.2.1");
  old.BehaveAlways(Behaviour::kHold);
  fresh.Add("www.example", "192.0.2.2");
  Bench bench(old.ResolvConf());
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0), 0));
  REQUIRE(old.AwaitQueries("www.example", kA, 1));
  REQUIRE(old.AwaitQueries("www.example", kAaaa, 1));
  bench.lookups.Configure(ParseResolvConf(fresh.ResolvConf()));
  old.Release("www.example");
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.2"});
}

TEST_CASE("lookups can end in the middle of everything") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kHold);
  const long descriptors = Descriptors();
  {
    Bench bench(server.ResolvConf());
    for (std::uint32_t number = 0; number < 300; ++number) {
      REQUIRE(bench.lookups.Wait('n' + std::to_string(number), WaiterOf(number), 0));
    }
    CHECK(Descriptors() > descriptors + 500);
  }
  CHECK(Descriptors() == descriptors);
}

}  // namespace penstock
