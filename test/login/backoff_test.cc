#include "penstock/login/backoff.h"

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Verdict = Backoff::Verdict;

const TimePoint kStart = TimePoint{} + 1h;

IpAddress Ip(std::string_view text) { return IpAddress::Parse(text).value(); }

IpAddress Numbered(std::uint32_t number) {
  const std::array<std::uint8_t, 4> bytes = {10, static_cast<std::uint8_t>(number >> 16),
                                             static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
  return IpAddress::FromV4(bytes);
}

// A back-off that is told about clients and names.
struct Told {
  Backoff backoff{DigestKey{}};

  Backoff::Attempt As(std::string_view client, std::string_view name) const {
    return backoff.AttemptOf(Ip(client), name);
  }
  bool Waits(std::string_view client, std::string_view name, TimePoint now) {
    return backoff.Judge(As(client, name), now) != Verdict::kJudge;
  }
  void Fail(std::string_view client, std::string_view name, TimePoint now, int times = 1) {
    for (int i = 0; i < times; ++i) backoff.Failed(As(client, name), now);
  }
  // A login that is not remembered, another one for each number.
  void Guess(std::string_view client, std::string_view name, TimePoint now, std::uint32_t number) {
    backoff.Unrecognised(As(client, name), As(client, std::to_string(number)).name, now);
  }
  // At a name of their own each.
  void FailAtNames(std::string_view client, TimePoint now, int times) {
    for (int i = 0; i < times; ++i) Fail(client, "nobody-" + std::to_string(i), now);
  }
};

}  // namespace

TEST_CASE("the third failure in a row costs a second, each further one twice as much, up to a minute") {
  Told told;
  TimePoint now = kStart;
  for (const auto wait : {0s, 0s, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
    CAPTURE(wait.count());
    CHECK_FALSE(told.Waits("192.0.2.1", "alice", now));
    told.Fail("192.0.2.1", "alice", now);
    CHECK(told.Waits("192.0.2.1", "alice", now) == (wait > 0s));
    now += wait;
    if (wait > 0s) CHECK(told.Waits("192.0.2.1", "alice", now - 1ns));
    CHECK_FALSE(told.Waits("192.0.2.1", "alice", now));
  }
  CHECK_FALSE(told.Waits("192.0.2.2", "alice", kStart));
}

TEST_CASE("who fails at one name, however often, keeps out nobody else behind the same address") {
  Told told;
  TimePoint now = kStart;
  for (int i = 0; i < 1000; ++i) told.Fail("192.0.2.1", "mallory", now += 1s);
  CHECK(told.Waits("192.0.2.1", "mallory", now));
  CHECK_FALSE(told.Waits("192.0.2.1", "alice", now));
}

TEST_CASE("a client that fails at many names waits, whatever the name") {
  Told told;
  TimePoint now = kStart;
  for (int i = 0; i < kFailuresFreePerClient; ++i) {
    CHECK_FALSE(told.Waits("192.0.2.1", "alice", now));
    told.Fail("192.0.2.1", "name-" + std::to_string(i), now);
  }
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    CAPTURE(wait.count());
    CHECK_FALSE(told.Waits("192.0.2.1", "alice", now));
    told.Fail("192.0.2.1", "after " + std::to_string(now.time_since_epoch().count()), now);
    CHECK(told.Waits("192.0.2.1", "alice", now));
    CHECK_FALSE(told.Waits("192.0.2.2", "alice", now));
    now += wait;
  }
}

TEST_CASE("a success forgets the failures at its own name, and no others") {
  Told told;
  told.Fail("192.0.2.1", "alice", kStart, 3);
  told.Fail("192.0.2.1", "bob", kStart, 3);
  told.backoff.Succeeded(told.As("192.0.2.1", "mallory"), kStart);
  CHECK(told.Waits("192.0.2.1", "alice", kStart));
  told.backoff.Succeeded(told.As("192.0.2.1", "alice"), kStart);
  CHECK_FALSE(told.Waits("192.0.2.1", "alice", kStart));
  CHECK(told.Waits("192.0.2.1", "bob", kStart));
  told.Fail("192.0.2.1", "alice", kStart, 2);
  CHECK_FALSE(told.Waits("192.0.2.1", "alice", kStart));
  for (const std::string_view name : {"alice", "bob"}) told.backoff.Succeeded(told.As("192.0.2.1", name), kStart);
  CHECK(told.backoff.entries() == 0);
  told.backoff.Succeeded(told.As("192.0.2.9", "alice"), kStart);  // of whom nothing is known
}

TEST_CASE("one's own right logins between wrong guesses at many names do not help") {
  Told told;
  for (int i = 0; i <= kFailuresFreePerClient; ++i) {
    told.Fail("192.0.2.1", "name-" + std::to_string(i), kStart);
    told.Fail("192.0.2.1", "mallory", kStart);
    told.backoff.Succeeded(told.As("192.0.2.1", "mallory"), kStart);
  }
  CHECK(told.Waits("192.0.2.1", "alice", kStart));
}

TEST_CASE("ten minutes without a failure forget all failures") {
  Told told;
  told.Fail("192.0.2.1", "alice", kStart, 20);
  CHECK(told.Waits("192.0.2.1", "alice", kStart + 59s));
  told.Fail("192.0.2.1", "alice", kStart + 10min);
  CHECK_FALSE(told.Waits("192.0.2.1", "alice", kStart + 10min));
  told.Fail("192.0.2.1", "alice", kStart + 20min - 1ns);  // the second in a row
  told.Fail("192.0.2.1", "alice", kStart + 20min);
  CHECK(told.Waits("192.0.2.1", "alice", kStart + 20min));
}

TEST_CASE("during a wait remembered logins come in until sixteen others have been tried") {
  Told told;
  const Backoff::Attempt alice = told.As("192.0.2.1", "alice");
  told.Fail("192.0.2.1", "alice", kStart, 3);
  for (int i = 0; i < kUnrecognisedMax; ++i) {
    CHECK(told.backoff.Judge(alice, kStart) == Verdict::kRecognise);
    told.Guess("192.0.2.1", "alice", kStart, static_cast<std::uint32_t>(i));
  }
  CHECK(told.backoff.Judge(alice, kStart) == Verdict::kRefuse);
  CHECK(told.backoff.Judge(alice, kStart + 1s) == Verdict::kJudge);
  told.Fail("192.0.2.1", "alice", kStart + 1s);
  CHECK(told.backoff.Judge(alice, kStart + 1s) == Verdict::kRefuse);
}

TEST_CASE("guesses at more names than a shard holds do not push out the wait of the client that makes them") {
  Told told;
  told.FailAtNames("192.0.2.1", kStart, kFailuresFreePerClient + 10);
  for (std::uint32_t i = 0; i < 2 * kBackoffEntriesPerShard; ++i) {
    told.Guess("192.0.2.1", "user-" + std::to_string(i), kStart, i);
  }
  CHECK(told.Waits("192.0.2.1", "alice", kStart + 59s));
}

TEST_CASE("failures at one name, more than count towards the client, keep the client's wait from being pushed out") {
  Told told;
  constexpr std::uint32_t kMax = kBackoffShards * kBackoffEntriesPerShard;
  told.FailAtNames("192.0.2.1", kStart, kFailuresFreePerClient + 10);
  for (std::uint32_t i = 0; i < 2 * kMax; ++i) {
    told.backoff.Failed(told.backoff.AttemptOf(Numbered(i), "alice"), kStart);
    if (i % 1000 == 0) told.Fail("192.0.2.1", "mallory", kStart);
  }
  CHECK(told.Waits("192.0.2.1", "alice", kStart + 59s));
}

TEST_CASE("the addresses of an IPv6 /64 are one client") {
  Told told;
  told.Fail("2001:db8::1", "alice", kStart);
  told.Fail("2001:db8::2", "alice", kStart);
  told.Fail("2001:db8::ffff:ffff:ffff:ffff", "alice", kStart);
  CHECK(told.Waits("2001:db8::3", "alice", kStart));
  CHECK_FALSE(told.Waits("2001:db8:0:1::1", "alice", kStart));
  CHECK(told.backoff.entries() == 2);  // the client, and the client at that name
}

TEST_CASE("clients and names beyond the bound push out those whose last attempt is oldest") {
  Told told;
  constexpr std::size_t kMax = kBackoffShards * kBackoffEntriesPerShard;
  told.Fail("192.0.2.1", "alice", kStart, 3);
  const auto numbered = [&](std::uint32_t number) { return told.backoff.AttemptOf(Numbered(number), "alice"); };
  for (std::uint32_t i = 0; i < 2 * kMax; ++i) {
    told.backoff.Failed(numbered(i), kStart + 1s);
    if (i % 1000 == 0) told.Fail("192.0.2.1", "alice", kStart + 1s);
  }
  CHECK(told.backoff.entries() == kMax);
  CHECK(told.Waits("192.0.2.1", "alice", kStart + 2s));
  for (int i = 0; i < 2; ++i) told.backoff.Failed(numbered(0), kStart + 2s);
  CHECK(told.backoff.Judge(numbered(0), kStart + 2s) == Verdict::kJudge);  // its first failure was forgotten
}

}  // namespace penstock
