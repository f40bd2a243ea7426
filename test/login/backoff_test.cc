#include "penstock/login/backoff.h"

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "test/support/address.h"
#include "test/support/start.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Verdict = Backoff::Verdict;

using test::kStart;

using test::Ip;

IpAddress Numbered(std::uint32_t number) {
  const std::array<std::uint8_t, 4> bytes = {10, static_cast<std::uint8_t>(number >> 16),
                                             static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
  return IpAddress::FromV4(bytes);
}

// A Backoff, called with addresses and names as text.
struct Fixture {
  Backoff backoff{DigestKey{}};

  Backoff::Attempt As(std::string_view client, std::string_view name) const {
    return backoff.AttemptOf(Ip(client), name);
  }
  bool Waits(std::string_view client, std::string_view name, TimePoint now) {
    return backoff.Evaluate(As(client, name), now) != Verdict::kVerify;
  }
  void Fail(std::string_view client, std::string_view name, TimePoint now, int times = 1) {
    for (int i = 0; i < times; ++i) backoff.Failed(As(client, name), now);
  }
  // A login that is not cached; a different one for each number.
  void Miss(std::string_view client, std::string_view name, TimePoint now, std::uint32_t number) {
    backoff.Missed(As(client, name), As(client, std::to_string(number)).name, now);
  }
  // Each failure at a name of its own.
  void FailAtNames(std::string_view client, TimePoint now, int times) {
    for (int i = 0; i < times; ++i) Fail(client, "nobody-" + std::to_string(i), now);
  }
};

}  // namespace

TEST_CASE("the third failure in a row starts a wait of 1 s, which doubles with each further failure up to 60 s") {
  Fixture fixture;
  TimePoint now = kStart;
  for (const auto wait : {0s, 0s, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
    CAPTURE(wait.count());
    CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", now));
    fixture.Fail("192.0.2.1", "alice", now);
    CHECK(fixture.Waits("192.0.2.1", "alice", now) == (wait > 0s));
    now += wait;
    if (wait > 0s) CHECK(fixture.Waits("192.0.2.1", "alice", now - 1ns));
    CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", now));
  }
  CHECK_FALSE(fixture.Waits("192.0.2.2", "alice", kStart));
}

TEST_CASE("repeated failures at one name do not lock out others behind the same address") {
  Fixture fixture;
  TimePoint now = kStart;
  for (int i = 0; i < 1000; ++i) fixture.Fail("192.0.2.1", "mallory", now += 1s);
  CHECK(fixture.Waits("192.0.2.1", "mallory", now));
  CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", now));
}

TEST_CASE("a client that fails at many names waits at every name") {
  Fixture fixture;
  TimePoint now = kStart;
  for (int i = 0; i < kFailuresFreePerClient; ++i) {
    CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", now));
    fixture.Fail("192.0.2.1", "name-" + std::to_string(i), now);
  }
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    CAPTURE(wait.count());
    CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", now));
    fixture.Fail("192.0.2.1", "after " + std::to_string(now.time_since_epoch().count()), now);
    CHECK(fixture.Waits("192.0.2.1", "alice", now));
    CHECK_FALSE(fixture.Waits("192.0.2.2", "alice", now));
    now += wait;
  }
}

TEST_CASE("a success clears the failures at its own name and at no other") {
  Fixture fixture;
  fixture.Fail("192.0.2.1", "alice", kStart, 3);
  fixture.Fail("192.0.2.1", "bob", kStart, 3);
  fixture.backoff.Succeeded(fixture.As("192.0.2.1", "mallory"), kStart);
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart));
  fixture.backoff.Succeeded(fixture.As("192.0.2.1", "alice"), kStart);
  CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", kStart));
  CHECK(fixture.Waits("192.0.2.1", "bob", kStart));
  fixture.Fail("192.0.2.1", "alice", kStart, 2);
  CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", kStart));
  for (const std::string_view name : {"alice", "bob"}) fixture.backoff.Succeeded(fixture.As("192.0.2.1", name), kStart);
  CHECK(fixture.backoff.entries() == 0);
  fixture.backoff.Succeeded(fixture.As("192.0.2.9", "alice"), kStart);  // of whom nothing is known
}

TEST_CASE("successful logins at one name do not clear failures at other names") {
  Fixture fixture;
  for (int i = 0; i <= kFailuresFreePerClient; ++i) {
    fixture.Fail("192.0.2.1", "name-" + std::to_string(i), kStart);
    fixture.Fail("192.0.2.1", "mallory", kStart);
    fixture.backoff.Succeeded(fixture.As("192.0.2.1", "mallory"), kStart);
  }
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart));
}

TEST_CASE("ten minutes without a failure clear all failures") {
  Fixture fixture;
  fixture.Fail("192.0.2.1", "alice", kStart, 20);
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart + 59s));
  fixture.Fail("192.0.2.1", "alice", kStart + 10min);
  CHECK_FALSE(fixture.Waits("192.0.2.1", "alice", kStart + 10min));
  fixture.Fail("192.0.2.1", "alice", kStart + 20min - 1ns);  // the second in a row
  fixture.Fail("192.0.2.1", "alice", kStart + 20min);
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart + 20min));
}

TEST_CASE("during a wait cached logins are accepted until the sixteenth miss") {
  Fixture fixture;
  const Backoff::Attempt alice = fixture.As("192.0.2.1", "alice");
  fixture.Fail("192.0.2.1", "alice", kStart, 3);
  for (int i = 0; i < kLoginMissesMax; ++i) {
    CHECK(fixture.backoff.Evaluate(alice, kStart) == Verdict::kCachedOnly);
    fixture.Miss("192.0.2.1", "alice", kStart, static_cast<std::uint32_t>(i));
  }
  CHECK(fixture.backoff.Evaluate(alice, kStart) == Verdict::kRefuse);
  CHECK(fixture.backoff.Evaluate(alice, kStart + 1s) == Verdict::kVerify);
  fixture.Fail("192.0.2.1", "alice", kStart + 1s);
  CHECK(fixture.backoff.Evaluate(alice, kStart + 1s) == Verdict::kRefuse);
}

TEST_CASE("misses at more names than a shard holds do not evict the wait of their client") {
  Fixture fixture;
  fixture.FailAtNames("192.0.2.1", kStart, kFailuresFreePerClient + 10);
  for (std::uint32_t i = 0; i < 2 * kBackoffEntriesPerShard; ++i) {
    fixture.Miss("192.0.2.1", "user-" + std::to_string(i), kStart, i);
  }
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart + 59s));
}

TEST_CASE("failures that no longer count towards the client still keep its wait from eviction") {
  Fixture fixture;
  constexpr std::uint32_t kMax = kBackoffShards * kBackoffEntriesPerShard;
  fixture.FailAtNames("192.0.2.1", kStart, kFailuresFreePerClient + 10);
  for (std::uint32_t i = 0; i < 2 * kMax; ++i) {
    fixture.backoff.Failed(fixture.backoff.AttemptOf(Numbered(i), "alice"), kStart);
    if (i % 1000 == 0) fixture.Fail("192.0.2.1", "mallory", kStart);
  }
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart + 59s));
}

TEST_CASE("the addresses of an IPv6 /64 are one client") {
  Fixture fixture;
  fixture.Fail("2001:db8::1", "alice", kStart);
  fixture.Fail("2001:db8::2", "alice", kStart);
  fixture.Fail("2001:db8::ffff:ffff:ffff:ffff", "alice", kStart);
  CHECK(fixture.Waits("2001:db8::3", "alice", kStart));
  CHECK_FALSE(fixture.Waits("2001:db8:0:1::1", "alice", kStart));
  CHECK(fixture.backoff.entries() == 2);  // the client, and the client at that name
}

TEST_CASE("a full shard evicts the entry whose last attempt is the oldest") {
  Fixture fixture;
  constexpr std::size_t kMax = kBackoffShards * kBackoffEntriesPerShard;
  fixture.Fail("192.0.2.1", "alice", kStart, 3);
  const auto numbered = [&](std::uint32_t number) { return fixture.backoff.AttemptOf(Numbered(number), "alice"); };
  for (std::uint32_t i = 0; i < 2 * kMax; ++i) {
    fixture.backoff.Failed(numbered(i), kStart + 1s);
    if (i % 1000 == 0) fixture.Fail("192.0.2.1", "alice", kStart + 1s);
  }
  CHECK(fixture.backoff.entries() == kMax);
  CHECK(fixture.Waits("192.0.2.1", "alice", kStart + 2s));
  for (int i = 0; i < 2; ++i) fixture.backoff.Failed(numbered(0), kStart + 2s);
  CHECK(fixture.backoff.Evaluate(numbered(0), kStart + 2s) == Verdict::kVerify);  // its first failure was forgotten
}

}  // namespace penstock
