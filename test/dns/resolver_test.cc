#include "penstock/dns/resolver.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_answer.h"
#include "test/support/dns_server.h"
#include "test/support/temp_directory.h"
#include "test/support/wait.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Behaviour = test::DnsServer::Behaviour;
using test::kA;
using test::Strings;
using test::Texts;

// A resolver with its own files and a test server. Time passes only in Advance.
struct ResolverBench {
  // `rest` follows the line with the server in resolv.conf.
  explicit ResolverBench(std::string_view rest = "", std::string_view hosts = "") {
    WriteResolvConf(rest);
    settings.hosts_file = directory.Write("hosts", hosts);
    settings.families = Families{};
    files.emplace(settings.resolv_conf, settings.hosts_file);
    resolver.emplace(settings, *files, poller, clock, counters, std::uint8_t{9});
  }

  void WriteResolvConf(std::string_view rest) {
    settings.resolv_conf = directory.Write("resolv.conf", server.ResolvConf() + std::string(rest));
  }

  void Advance(std::chrono::milliseconds duration) {
    clock.Set(clock.now() + duration);
    resolver->OnTime();
  }

  std::optional<Resolver::Finished> Await() {
    const test::Stopwatch watch;
    while (watch.elapsed() < test::kTestTimeout) {
      if (const auto finished = resolver->TakeAnswer()) return finished;
      const int count = poller.Wait(1ms);
      for (int index = 0; index < count; ++index) {
        const Poller::Event event = poller.At(index);
        CHECK(event.cookie.tag == 9);
        resolver->OnEvent(event.cookie.handle);
      }
    }
    return std::nullopt;
  }

  Strings Ask(std::string_view name) {
    if (const auto known = resolver->Resolve(name, {1, {5, 5}})) return Texts(known);
    const auto finished = Await();
    if (!finished) return {"nothing"};
    CHECK(finished->waiter == Cookie{1, {5, 5}});
    return Texts(finished->answer);
  }

  test::TempDirectory directory;
  test::DnsServer server;
  Poller poller;
  Clock clock;
  Counters counters;
  ResolverSettings settings;
  std::optional<NameFiles> files;
  std::optional<Resolver> resolver;
};

}  // namespace

TEST_CASE("special names are answered without a query") {
  ResolverBench bench("search example\n", "192.0.2.1 localhost www.localhost\n");
  for (const char* name : {"localhost", "LOCALHOST", "localhost.", "www.localhost", "a.b.LocalHost."}) {
    CAPTURE(name);
    CHECK(Texts(bench.resolver->Resolve(name, {})) == Strings{"::1", "127.0.0.1"});
  }
  for (const char* name : {"invalid", "www.INVALID", "a.b.invalid.", "a\\b", "", ".", "a..b", "a b", "\x01"}) {
    CAPTURE(name);
    CHECK(Texts(bench.resolver->Resolve(name, {})) == Strings{"no name"});
  }
  CHECK(bench.server.Queries() == 0);
  CHECK(bench.Ask("notlocalhost") == Strings{"no name"});
  CHECK(bench.Ask("notinvalid") == Strings{"no name"});
  CHECK(bench.server.Queries() == 8);
}

TEST_CASE("the hosts file wins over the name servers") {
  ResolverBench bench("search example\n", "192.0.2.1 www.example WWW\n2001:db8::1 www.example\n");
  bench.server.Add("www.example", "203.0.113.1");
  CHECK(bench.Ask("www.example") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(bench.Ask("WWW.example.") == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK(bench.Ask("www") == Strings{"192.0.2.1"});
  CHECK(bench.server.Queries() == 0);
}

TEST_CASE("a name is queried, then cached") {
  ResolverBench bench;
  bench.server.Add("www.example", "192.0.2.1");
  bench.server.Add("www.example", "2001:db8::1");
  CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {5, 5}}).has_value());
  CHECK(bench.counters.named(NameSource::kCache, NameResult::kFound) == 0);
  const auto finished = bench.Await();
  REQUIRE(finished.has_value());
  CHECK(finished->waiter == Cookie{1, {5, 5}});
  CHECK(Texts(finished->answer) == Strings{"2001:db8::1", "192.0.2.1"});
  CHECK_FALSE(bench.resolver->TakeAnswer().has_value());
  for (const char* name : {"www.example", "WWW.EXAMPLE", "www.example."}) {
    CHECK(Texts(bench.resolver->Resolve(name, {})) == Strings{"2001:db8::1", "192.0.2.1"});
  }
  CHECK(bench.counters.named(NameSource::kCache, NameResult::kFound) == 3);
  CHECK(bench.counters.named(NameSource::kNetwork, NameResult::kFound) == 1);
  CHECK(bench.counters.durations.dns.observations() == 1);
  CHECK(bench.counters.names_asked.value() == 1);
  CHECK(bench.server.Queries() == 2);
}

TEST_CASE("next_deadline is now while an answer is ready") {
  ResolverBench bench;
  bench.server.BehaveAlways(Behaviour::kSilent);
  CHECK_FALSE(bench.resolver->next_deadline().has_value());
  CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {5, 5}}).has_value());
  int turns = 0;
  while (*bench.resolver->next_deadline() > bench.clock.now()) {
    REQUIRE(++turns < 100);
    bench.clock.Set(*bench.resolver->next_deadline());
    bench.resolver->OnTime();
  }
  const auto finished = bench.resolver->TakeAnswer();
  REQUIRE(finished.has_value());
  CHECK(Texts(finished->answer) == Strings{"no answer"});
  CHECK_FALSE(bench.resolver->next_deadline().has_value());
}

TEST_CASE("a name with at least ndots dots is queried as it is first, any other last") {
  SUBCASE("one dot is enough") {
    ResolverBench bench("search a.example b.example\n");
    bench.server.Add("www.b.example", "192.0.2.1");
    bench.server.Add("x.y.b.example", "192.0.2.2");
    CHECK(bench.Ask("www") == Strings{"192.0.2.1"});
    CHECK(bench.server.Queries("www.a.example", kA) == 1);
    CHECK(bench.server.Queries("www", kA) == 0);
    CHECK(bench.Ask("x.y") == Strings{"192.0.2.2"});
    CHECK(bench.server.Queries("x.y", kA) == 1);
    // All of it is cached now, negative answers too.
    const int queries = bench.server.Queries();
    CHECK(Texts(bench.resolver->Resolve("www", {})) == Strings{"192.0.2.1"});
    CHECK(Texts(bench.resolver->Resolve("X.Y", {})) == Strings{"192.0.2.2"});
    CHECK(bench.server.Queries() == queries);
  }
  SUBCASE("ndots is configurable") {
    ResolverBench bench("search example\noptions ndots:2\n");
    bench.server.Add("www.test", "192.0.2.1");
    CHECK(bench.Ask("www.test") == Strings{"192.0.2.1"});
    CHECK(bench.server.Queries("www.test.example", kA) == 1);
    bench.server.Add("a.b.test", "192.0.2.1");
    CHECK(bench.Ask("a.b.test") == Strings{"192.0.2.1"});
    CHECK(bench.server.Queries("a.b.test.example", kA) == 0);
  }
  SUBCASE("a final dot makes it absolute") {
    ResolverBench bench("search example\n");
    bench.server.Add("www.example", "192.0.2.1");
    CHECK(bench.Ask("www.") == Strings{"no name"});
    CHECK(bench.Ask("www") == Strings{"192.0.2.1"});
  }
  SUBCASE("nowhere") {
    ResolverBench bench("search a.example b.example\n");
    CHECK(bench.Ask("www") == Strings{"no name"});
    CHECK(bench.server.Queries("www.a.example", kA) == 1);
    CHECK(bench.server.Queries("www.b.example", kA) == 1);
    CHECK(bench.server.Queries("www", kA) == 1);
  }
  SUBCASE("a candidate that is too long is skipped") {
    ResolverBench bench("search " + std::string(60, 'x') + ".example example\n");
    const std::string label(60, 'a');
    const std::string name = label + '.' + label + '.' + label + ".b";
    bench.server.Add(name + ".example", "192.0.2.1");
    CHECK(bench.Ask(name) == Strings{"192.0.2.1"});
  }
}

TEST_CASE("a broken search domain is skipped, but no wildcard replaces a name whose servers are down") {
  ResolverBench bench("search a.example b.example\n");
  bench.server.Behave("www.a.example", Behaviour::kServerFailure);
  bench.server.Add("www.b.example", "192.0.2.1");
  CHECK(bench.Ask("www") == Strings{"192.0.2.1"});
  bench.server.Behave("mail.a.example", Behaviour::kServerFailure);
  CHECK(bench.Ask("mail") == Strings{"no answer"});
  bench.server.Behave("www.test", Behaviour::kServerFailure);
  bench.server.Add("www.test.a.example", "203.0.113.1");
  CHECK(bench.Ask("www.test") == Strings{"no answer"});
  CHECK(bench.server.Queries("www.test.a.example", kA) == 0);
}

TEST_CASE("waiters for different names share the lookup of a common candidate") {
  ResolverBench bench("search a.example\n");
  bench.server.Add("www.a.example", "192.0.2.1");
  bench.server.BehaveAlways(Behaviour::kHold);
  CHECK_FALSE(bench.resolver->Resolve("www", {1, {1, 1}}).has_value());
  CHECK_FALSE(bench.resolver->Resolve("www.a.example", {1, {2, 2}}).has_value());
  CHECK_FALSE(bench.resolver->Resolve("www.a.example.", {1, {3, 3}}).has_value());
  REQUIRE(bench.server.AwaitQueries("www.a.example", kA, 1));
  REQUIRE(bench.server.AwaitQueries("www.a.example", DnsType::kAaaa, 1));
  bench.server.BehaveAlways(Behaviour::kAnswer);
  bench.server.Release("www.a.example");
  for (std::uint32_t number = 1; number <= 3; ++number) {
    const auto finished = bench.Await();
    REQUIRE(finished.has_value());
    CHECK(finished->waiter == Cookie{1, {number, number}});
    CHECK(Texts(finished->answer) == Strings{"192.0.2.1"});
  }
  CHECK(bench.server.Queries() == 2);
}

TEST_CASE("candidates that a filter denies are not queried") {
  struct Filter final : NameFilter {
    explicit Filter(Strings names) : denied(std::move(names)) {}
    bool Allows(std::string_view name) const override { return std::ranges::find(denied, name) == denied.end(); }
    Strings denied;
  };
  ResolverBench bench("search one two three\n");
  bench.server.Add("www.one", "192.0.2.1");
  bench.server.Add("www.two", "192.0.2.2");
  const auto ask = [&](std::string_view name, const Filter& filter) {
    if (const auto known = bench.resolver->Resolve(name, {1, {5, 5}}, {}, &filter)) return Texts(known);
    const auto finished = bench.Await();
    REQUIRE(finished.has_value());
    CHECK((finished->answer.name.empty() || finished->answer.name.starts_with("www.")));
    return Texts(finished->answer);
  };
  CHECK(ask("www", Filter({"www.one"})) == Strings{"192.0.2.2"});
  CHECK(bench.server.Queries("www.one", kA) == 0);
  CHECK(ask("www", Filter({"www.one", "www.two"})) == Strings{"denied", "www.one"});
  CHECK(ask("www", Filter({"www.one"})) == Strings{"192.0.2.2"});  // remembered
  CHECK(bench.Ask("www") == Strings{"192.0.2.1"});
  const int queries = bench.server.Queries();
  CHECK(ask("www", Filter({"www", "www.one", "www.two", "www.three"})) == Strings{"denied", "www.one"});
  CHECK(ask("localhost.", Filter({"localhost"})) == Strings{"denied", ""});
  CHECK(bench.server.Queries() == queries);
}

TEST_CASE("a search keeps the search list that it began with") {
  ResolverBench bench("search one two\n");
  bench.server.Add("www.two", "192.0.2.2");
  CHECK_FALSE(bench.resolver->Resolve("www", {1, {5, 5}}).has_value());
  bench.WriteResolvConf("search three four five\n");
  bench.files->Refresh();
  CHECK_FALSE(bench.resolver->Resolve("other", {1, {6, 6}}).has_value());
  for (int answers = 0; answers < 2; ++answers) {
    const auto finished = bench.Await();
    REQUIRE(finished.has_value());
    if (finished->waiter == Cookie{1, {5, 5}}) CHECK(Texts(finished->answer) == Strings{"192.0.2.2"});
  }
  CHECK(bench.server.Queries("www.four", kA) == 0);
}

TEST_CASE("changed files take effect while it runs") {
  ResolverBench bench("", "192.0.2.1 www.example\n");
  bench.server.Add("www.example", "192.0.2.2");
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  bench.directory.Write("hosts", "");
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.1"});
  bench.files->Refresh();
  CHECK(bench.Ask("www.example") == Strings{"192.0.2.2"});
  bench.WriteResolvConf("search example\n");
  bench.files->Refresh();
  CHECK(bench.Ask("www") == Strings{"192.0.2.2"});
}

TEST_CASE("any number of waiters for one name are answered") {
  constexpr std::uint32_t kMany = 20'000;
  ResolverBench bench;
  bench.server.BehaveAlways(Behaviour::kSilent);
  for (std::uint32_t number = 0; number < kMany; ++number) {
    REQUIRE_FALSE(bench.resolver->Resolve("www.example", {1, {number, 1}}).has_value());
  }
  bench.resolver->Withdraw({1, {0, 1}});
  for (int turns = 0; turns < 100 && *bench.resolver->next_deadline() > bench.clock.now(); ++turns) {
    bench.clock.Set(*bench.resolver->next_deadline());
    bench.resolver->OnTime();
  }
  for (std::uint32_t number = 1; number < kMany; ++number) {
    const auto finished = bench.resolver->TakeAnswer();
    REQUIRE(finished.has_value());
    REQUIRE(finished->waiter == Cookie{1, {number, 1}});
  }
  CHECK_FALSE(bench.resolver->TakeAnswer().has_value());
}

TEST_CASE("all addresses of an IPv6 prefix are one client, and different clients have different shares") {
  ResolverBench bench;
  const auto share = [&](const std::string& client) { return bench.resolver->ShareOf(*IpAddress::Parse(client)); };
  CHECK(share("2001:db8::1") == share("2001:db8::ffff:1"));
  int others = 0;
  for (int net = 1; net <= 4; ++net) {
    others += share("2001:db8:0:" + std::to_string(net) + "::1") != share("2001:db8::1") ? 1 : 0;
  }
  CHECK(others >= 3);
}

TEST_CASE("a withdrawn waiter is not yielded, and its lookup is dropped if it was the only one") {
  ResolverBench bench("search a.example\n");
  bench.server.Add("www.example", "192.0.2.1");
  bench.server.BehaveAlways(Behaviour::kHold);
  bench.resolver->Withdraw({1, {1, 1}});  // does not wait: nothing
  SUBCASE("it is alone") {
    CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {1, 1}}).has_value());
    bench.resolver->Withdraw({1, {1, 1}});
    CHECK_FALSE(bench.resolver->next_deadline().has_value());
    bench.resolver->Withdraw({1, {1, 1}});
  }
  SUBCASE("others wait, too") {
    CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {1, 1}}).has_value());
    CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {2, 2}}).has_value());
    bench.resolver->Withdraw({1, {1, 1}});
    REQUIRE(bench.server.AwaitQueries("www.example", kA, 1));
    REQUIRE(bench.server.AwaitQueries("www.example", DnsType::kAaaa, 1));
    bench.server.BehaveAlways(Behaviour::kAnswer);
    bench.server.Release("www.example");
    const auto finished = bench.Await();
    REQUIRE(finished.has_value());
    CHECK(finished->waiter == Cookie{1, {2, 2}});
  }
  SUBCASE("its answer is ready") {
    bench.server.BehaveAlways(Behaviour::kAnswer);
    CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {1, 1}}).has_value());
    CHECK_FALSE(bench.resolver->Resolve("gone.example.", {1, {2, 2}}).has_value());
    std::vector<Cookie> told;
    while (told.empty()) {
      if (const auto finished = bench.Await()) told.push_back(finished->waiter);
    }
    bench.resolver->Withdraw({1, {1, 1}});
    bench.resolver->Withdraw({1, {2, 2}});
    CHECK_FALSE(bench.resolver->TakeAnswer().has_value());
  }
  SUBCASE("its answer is ready, and it waits for another name") {
    bench.server.Behave("www.example", Behaviour::kAnswer);
    CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {1, 1}}).has_value());
    CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {2, 2}}).has_value());
    REQUIRE(bench.Await().has_value());
    bench.resolver->Withdraw({1, {2, 2}});
    CHECK_FALSE(bench.resolver->Resolve("mail.example", {1, {2, 2}}).has_value());
    CHECK_FALSE(bench.resolver->TakeAnswer().has_value());
  }
  SUBCASE("it is in the middle of the search list") {
    bench.server.Behave("www.a.example", Behaviour::kAnswer);
    CHECK_FALSE(bench.resolver->Resolve("www", {1, {1, 1}}).has_value());
    const test::Stopwatch watch;
    while (bench.server.Queries("www", kA) == 0 && watch.elapsed() < test::kTestTimeout) {
      CHECK_FALSE(bench.resolver->TakeAnswer().has_value());
      const int count = bench.poller.Wait(1ms);
      for (int index = 0; index < count; ++index) {
        bench.resolver->OnEvent(bench.poller.At(index).cookie.handle);
      }
    }
    bench.resolver->Withdraw({1, {1, 1}});
    CHECK_FALSE(bench.resolver->next_deadline().has_value());
  }
  CHECK_FALSE(bench.resolver->TakeAnswer().has_value());
}

TEST_CASE("waiters whose cookies differ in the tag alone are two") {
  ResolverBench bench;
  bench.server.Add("www.example", "192.0.2.1");
  bench.server.Behave("mail.example", Behaviour::kHold);
  CHECK_FALSE(bench.resolver->Resolve("www.example", {1, {5, 5}}).has_value());
  CHECK_FALSE(bench.resolver->Resolve("mail.example", {2, {5, 5}}).has_value());
  bench.resolver->Withdraw({2, {5, 5}});
  const auto finished = bench.Await();
  REQUIRE(finished.has_value());
  CHECK(finished->waiter == Cookie{1, {5, 5}});
  CHECK(Texts(finished->answer) == Strings{"192.0.2.1"});
}

TEST_CASE("the number of sockets is that of the settings") {
  ResolverBench bench;
  bench.server.BehaveAlways(Behaviour::kSilent);
  bench.settings.attempts_max = 4;
  bench.resolver.emplace(bench.settings, *bench.files, bench.poller, bench.clock, bench.counters, std::uint8_t{9});
  for (std::uint32_t number = 0; number < 5; ++number) {
    CHECK_FALSE(bench.resolver->Resolve('n' + std::to_string(number) + ".example", {1, {number, 1}}).has_value());
  }
  CHECK(bench.counters.names_asked.value() == 2);
}

}  // namespace penstock
