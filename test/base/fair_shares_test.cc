#include "penstock/base/fair_shares.h"

#include <array>
#include <set>

#include <doctest/doctest.h>

namespace penstock {
namespace {

std::size_t TakeAll(FairShares& shares, std::size_t share) {
  std::size_t taken = 0;
  for (; shares.MayTake(share); ++taken) shares.Take(share);
  return taken;
}

TEST_CASE("fair shares: one client can hold three quarters, and the next one three quarters of the rest") {
  FairShares shares(64);
  CHECK(TakeAll(shares, 0) == 48);
  CHECK(TakeAll(shares, 1) == 12);
  CHECK(TakeAll(shares, 2) == 3);
  CHECK(TakeAll(shares, 3) == 1);
  CHECK(shares.free() == 0);
  CHECK_FALSE(shares.MayTake(4));
}

TEST_CASE("fair shares: clients that take all they can, and return some, end with equal parts") {
  constexpr std::size_t kThings = 1'000;
  constexpr std::size_t kClients = 10;
  FairShares shares(kThings);
  std::array<std::size_t, kClients> held{};
  for (int turn = 0; turn < 1'000; ++turn) {
    for (std::size_t client = 0; client < kClients; ++client) {
      if (held[client] > 0) {
        shares.Return(client);
        --held[client];
      }
      held[client] += TakeAll(shares, client);
    }
  }
  // Of 31 parts each has three, and one is free.
  CHECK(shares.free() >= kThings / (kFairness * kClients + 1));
  for (const std::size_t its : held) CHECK(its == doctest::Approx(3 * kThings / 31).epsilon(0.05));
}

TEST_CASE("fair shares: of no object nobody gets one, and of one object the first client") {
  FairShares none(0);
  CHECK_FALSE(none.MayTake(0));
  FairShares one(1);
  CHECK(TakeAll(one, 5) == 1);
  CHECK_FALSE(one.MayTake(6));
  one.Return(5);
  CHECK(one.MayTake(6));
}

TEST_CASE("fair shares: neighbours in a network have different shares, whatever the key") {
  for (std::uint64_t bit = 1; bit != 0; bit <<= 1) {
    for (const std::uint64_t key : {bit, bit - 1, ~bit}) {
      CAPTURE(key);
      std::set<std::size_t> shares;
      for (std::uint8_t i = 1; i <= 8; ++i) {
        shares.insert(ShareOf(IpAddress::FromV4(std::array<std::uint8_t, 4>{127, 0, 0, i}), key));
      }
      CHECK(shares.size() > 4);
    }
  }
}

}  // namespace
}  // namespace penstock
