#include "penstock/name_lookups.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
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

Handle WaiterOf(std::uint32_t number) { return {number, 1}; }

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
  explicit Bench(const std::string& resolv_conf) : lookups(ParseResolvConf(resolv_conf), poller, clock, counters, 1) {}

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
    REQUIRE(lookups.Wait(name, WaiterOf(0)));
    return Texts(Await());
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
  for (std::uint32_t number = 0; number < 100; ++number) REQUIRE(bench.lookups.Wait("www.example", WaiterOf(number)));
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
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
  REQUIRE(bench.lookups.Wait("a.example", WaiterOf(0)));
  CHECK(bench.Due() == kNextTryDelay.count());
  bench.Advance(kNextTryDelay);
  CHECK(Texts(bench.Await()) == Strings{"192.0.2.1"});
  CHECK(silent.AwaitQueries("a.example", kA, 1));

  CHECK(bench.Ask("b.example") == Strings{"192.0.2.1"});
  CHECK(silent.Queries("b.example", kA) == 0);

  // It comes back: one question finds out, and from then on all ask it.
  silent.BehaveAlways(Behaviour::kHold);
  bench.Advance(kServerDoubt);
  REQUIRE(bench.lookups.Wait("d.example", WaiterOf(0)));
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
    for (const Behaviour behaviour : {Behaviour::kServerFailure, Behaviour::kRefused, Behaviour::kBreakStream}) {
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
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

TEST_CASE("lookups beyond those in flight wait for their turn, and beyond that there is no room") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kSilent);
  Bench bench(server.ResolvConf("timeout:1 attempts:1"));
  const auto name = [](std::size_t number) { return 'n' + std::to_string(number) + ".example"; };
  for (std::size_t number = 0; number < kLookupsMax; ++number) {
    REQUIRE(bench.lookups.Wait(name(number), WaiterOf(static_cast<std::uint32_t>(number))));
  }
  CHECK_FALSE(bench.lookups.Wait("one.more.example", WaiterOf(0)));
  CHECK(bench.lookups.Wait(name(0), WaiterOf(0)));  // to join is still possible
  CHECK(bench.counters.names_asked.value() == kLookupsInFlight);

  std::size_t answers = 0;
  for (std::size_t turn = 1; turn * kLookupsInFlight < kLookupsMax + kLookupsInFlight; ++turn) {
    bench.Advance(1s);
    while (bench.lookups.TakeAnswer()) ++answers;
    REQUIRE(answers == turn * kLookupsInFlight + 1);
  }
  CHECK(answers == kLookupsMax + 1);
  CHECK(bench.Due() == -1);
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
  REQUIRE(bench.lookups.Wait("lost.example", WaiterOf(1)));
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
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
  REQUIRE(bench.lookups.Wait("www.example", WaiterOf(0)));
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
      REQUIRE(bench.lookups.Wait('n' + std::to_string(number), WaiterOf(number)));
    }
    CHECK(Descriptors() > descriptors + 500);
  }
  CHECK(Descriptors() == descriptors);
}

}  // namespace penstock
