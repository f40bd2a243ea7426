#include "penstock/backoff.h"

#include <array>
#include <chrono>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart = TimePoint{} + 1h;

IpAddress Ip(std::string_view text) { return IpAddress::Parse(text).value(); }

IpAddress Numbered(std::uint32_t number) {
  const std::array<std::uint8_t, 4> bytes = {10, static_cast<std::uint8_t>(number >> 16),
                                             static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
  return IpAddress::FromV4(bytes);
}

}  // namespace

TEST_CASE("the third failure in a row costs a second, each further one twice as much, up to a minute") {
  Backoff backoff(DigestKey{});
  const IpAddress client = Ip("192.0.2.1");
  TimePoint now = kStart;
  for (const auto wait : {0s, 0s, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
    CAPTURE(wait.count());
    CHECK_FALSE(backoff.Blocks(client, now));
    backoff.Failed(client, now);
    CHECK(backoff.Blocks(client, now) == (wait > 0s));
    now += wait;
    if (wait > 0s) CHECK(backoff.Blocks(client, now - 1ns));
    CHECK_FALSE(backoff.Blocks(client, now));
  }
  CHECK_FALSE(backoff.Blocks(Ip("192.0.2.2"), kStart));
}

TEST_CASE("a success forgets all failures") {
  Backoff backoff(DigestKey{});
  const IpAddress client = Ip("192.0.2.1");
  for (int i = 0; i < 3; ++i) backoff.Failed(client, kStart);
  CHECK(backoff.Blocks(client, kStart));
  backoff.Succeeded(client);
  CHECK_FALSE(backoff.Blocks(client, kStart));
  CHECK(backoff.clients() == 0);
  for (int i = 0; i < 2; ++i) backoff.Failed(client, kStart);
  CHECK_FALSE(backoff.Blocks(client, kStart));
  backoff.Succeeded(Ip("192.0.2.9"));  // of whom nothing is known
}

TEST_CASE("ten minutes without a failure forget all failures") {
  Backoff backoff(DigestKey{});
  const IpAddress client = Ip("192.0.2.1");
  for (int i = 0; i < 20; ++i) backoff.Failed(client, kStart);
  CHECK(backoff.Blocks(client, kStart + 59s));
  backoff.Failed(client, kStart + 10min);
  CHECK_FALSE(backoff.Blocks(client, kStart + 10min));
  backoff.Failed(client, kStart + 20min - 1ns);  // the second in a row
  backoff.Failed(client, kStart + 20min);
  CHECK(backoff.Blocks(client, kStart + 20min));
}

TEST_CASE("the addresses of an IPv6 /64 are one client") {
  Backoff backoff(DigestKey{});
  backoff.Failed(Ip("2001:db8::1"), kStart);
  backoff.Failed(Ip("2001:db8::2"), kStart);
  backoff.Failed(Ip("2001:db8::ffff:ffff:ffff:ffff"), kStart);
  CHECK(backoff.Blocks(Ip("2001:db8::3"), kStart));
  CHECK_FALSE(backoff.Blocks(Ip("2001:db8:0:1::1"), kStart));
  CHECK(backoff.clients() == 1);
}

TEST_CASE("clients beyond the bound push out those whose last failure is oldest") {
  Backoff backoff(DigestKey{});
  constexpr std::size_t kMax = kBackoffShards * kBackoffClientsPerShard;
  const IpAddress stubborn = Ip("192.0.2.1");
  for (int i = 0; i < 3; ++i) backoff.Failed(stubborn, kStart);
  for (std::uint32_t i = 0; i < 2 * kMax; ++i) {
    backoff.Failed(Numbered(i), kStart + 1s);
    if (i % 1000 == 0) backoff.Failed(stubborn, kStart + 1s);
  }
  CHECK(backoff.clients() == kMax);
  CHECK(backoff.Blocks(stubborn, kStart + 2s));
  backoff.Failed(Numbered(0), kStart + 2s);
  backoff.Failed(Numbered(0), kStart + 2s);
  CHECK_FALSE(backoff.Blocks(Numbered(0), kStart + 2s));  // its first failure was forgotten
}

}  // namespace penstock
