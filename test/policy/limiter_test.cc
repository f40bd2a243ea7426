#include "penstock/policy/limiter.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/address.h"
#include "test/support/start.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

using test::Ip;
using test::kStart;

constexpr DigestKey kKey{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

const IpAddress kClient = Ip("192.0.2.1");
const IpAddress kOther = Ip("192.0.2.2");

constexpr Limits kThree{.connections_per_client_max = 3};
constexpr Limits kFourPerSecond{.connect_rate = 4};

TEST_CASE("limiter: without limits on clients no client is stored") {
  Limiter limiter(kKey);
  for (const Limits& limits : {Limits{}, Limits{.connections_per_user_max = 1, .bandwidth = 1, .user_bandwidth = 1}}) {
    for (int i = 0; i < 100; ++i) CHECK(limiter.Admit(kClient, limits, kStart) == Admission::kUncounted);
    CHECK(limiter.clients() == 0);
    for (int i = 0; i < 100; ++i) limiter.Release(kClient, Admission::kUncounted, kStart);
  }
}

TEST_CASE("limiter: a client has as many sessions as the limit and as many refusals, and no more") {
  Limiter limiter(kKey);
  for (int i = 0; i < 3; ++i) CHECK(limiter.Admit(kClient, kThree, kStart) == Admission::kAdmitted);
  for (int i = 0; i < 3; ++i) CHECK(limiter.Admit(kClient, kThree, kStart) == Admission::kOverConnections);
  for (int i = 0; i < 3; ++i) CHECK(limiter.Admit(kClient, kThree, kStart) == Admission::kFlood);
  CHECK(limiter.Admit(kOther, kThree, kStart) == Admission::kAdmitted);
  CHECK(limiter.clients() == 2);

  // A served session that ends makes room for another, although refused ones have not ended.
  limiter.Release(kClient, Admission::kFlood, kStart);
  CHECK(limiter.Admit(kClient, kThree, kStart) == Admission::kFlood);
  limiter.Release(kClient, Admission::kAdmitted, kStart);
  CHECK(limiter.Admit(kClient, kThree, kStart) == Admission::kAdmitted);
  limiter.Release(kClient, Admission::kOverConnections, kStart);
  CHECK(limiter.Admit(kClient, kThree, kStart) == Admission::kOverConnections);

  for (int i = 0; i < 3; ++i) limiter.Release(kClient, Admission::kAdmitted, kStart);
  for (int i = 0; i < 3; ++i) limiter.Release(kClient, Admission::kOverConnections, kStart);
  limiter.Release(kOther, Admission::kAdmitted, kStart);
  CHECK(limiter.clients() == 0);
}

TEST_CASE("limiter: with half_refusals a client has half as many refusals as sessions") {
  Limiter limiter(kKey);
  const Limits half{.connections_per_client_max = 4, .half_refusals = true};
  for (int i = 0; i < 4; ++i) CHECK(limiter.Admit(kClient, half, kStart) == Admission::kAdmitted);
  for (int i = 0; i < 2; ++i) CHECK(limiter.Admit(kClient, half, kStart) == Admission::kOverConnections);
  CHECK(limiter.Admit(kClient, half, kStart) == Admission::kFlood);
  CHECK(limiter.Admit(kOther, half, kStart) == Admission::kAdmitted);
}

TEST_CASE("limiter: the smallest and the largest limit") {
  Limiter limiter(kKey);
  const Limits one{.connections_per_client_max = 1};
  CHECK(limiter.Admit(kClient, one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(kClient, one, kStart) == Admission::kOverConnections);
  CHECK(limiter.Admit(kClient, one, kStart) == Admission::kFlood);
  Limiter large(kKey);
  const Limits most{.connections_per_client_max = 0xffffffff};
  CHECK(large.Admit(kClient, most, kStart) == Admission::kAdmitted);
  CHECK(large.Admit(kClient, most, kStart) == Admission::kAdmitted);
}

TEST_CASE("limiter: connections are admitted at the rate, with a burst of one second") {
  Limiter limiter(kKey);
  const auto admit = [&](TimePoint now) {
    const Admission admission = limiter.Admit(kClient, kFourPerSecond, now);
    limiter.Release(kClient, admission, now);
    return admission;
  };
  for (int i = 0; i < 4; ++i) CHECK(admit(kStart) == Admission::kAdmitted);
  for (int i = 0; i < 4; ++i) CHECK(admit(kStart) == Admission::kOverRate);
  for (int i = 0; i < 9; ++i) CHECK(admit(kStart) == Admission::kFlood);
  // Floods do not count against the rate.
  CHECK(admit(kStart + 125ms) == Admission::kOverRate);
  CHECK(admit(kStart + 125ms) == Admission::kFlood);
  CHECK(admit(kStart + 250ms) == Admission::kAdmitted);
  CHECK(admit(kStart + 250ms) == Admission::kFlood);
  CHECK(admit(kStart + 5s) == Admission::kAdmitted);
}

TEST_CASE("limiter: over a long time a client is admitted at the rate, however often it connects") {
  for (const std::uint32_t rate : {1U, 3U, 7U, 1000U}) {
    for (const auto gap : {100us, 1'000us, 50'000us}) {
      Limiter limiter(kKey);
      const Limits limits{.connect_rate = rate};
      std::uint64_t in = 0, over = 0, attempts = 0;
      for (TimePoint now = kStart; now < kStart + 20s; now += gap) {
        const Admission admission = limiter.Admit(kClient, limits, now);
        in += admission == Admission::kAdmitted;
        over += admission == Admission::kOverRate;
        ++attempts;
        limiter.Release(kClient, admission, now);
      }
      CAPTURE(rate);
      CAPTURE(attempts);
      CHECK(in <= 21 * rate);
      CHECK(in >= std::min<std::uint64_t>(attempts, 19 * rate));
      CHECK(in + over <= 42 * rate);
    }
  }
}

TEST_CASE("limiter: both limits apply together, and a refusal over one does not count against the other") {
  Limiter limiter(kKey);
  const Limits both{.connections_per_client_max = 1, .connect_rate = 2};
  CHECK(limiter.Admit(kClient, both, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(kClient, both, kStart) == Admission::kOverConnections);
  CHECK(limiter.Admit(kClient, both, kStart) == Admission::kFlood);
  limiter.Release(kClient, Admission::kOverConnections, kStart);
  limiter.Release(kClient, Admission::kAdmitted, kStart);
  CHECK(limiter.Admit(kClient, both, kStart) == Admission::kAdmitted);
  limiter.Release(kClient, Admission::kAdmitted, kStart);
  CHECK(limiter.Admit(kClient, both, kStart) == Admission::kOverRate);
}

TEST_CASE("limiter: a client without sessions is evicted once its connections no longer count") {
  Limiter limiter(kKey);
  REQUIRE(limiter.Admit(kClient, kFourPerSecond, kStart) == Admission::kAdmitted);
  limiter.Release(kClient, Admission::kAdmitted, kStart + 249ms);
  CHECK(limiter.clients() == 1);
  REQUIRE(limiter.Admit(kClient, kFourPerSecond, kStart + 1s) == Admission::kAdmitted);
  limiter.Release(kClient, Admission::kAdmitted, kStart + 1s + 250ms);
  CHECK(limiter.clients() == 0);
}

TEST_CASE("limiter: clients that connected once are evicted") {
  Limiter limiter(kKey);
  for (int second = 0; second < 20; ++second) {
    for (int i = 0; i < 10'000; ++i) {
      const auto number = static_cast<std::uint32_t>(second * 10'000 + i);
      const std::array<std::uint8_t, 4> bytes{10, static_cast<std::uint8_t>(number >> 16),
                                              static_cast<std::uint8_t>(number >> 8),
                                              static_cast<std::uint8_t>(number)};
      const IpAddress client = IpAddress::FromV4(bytes);
      const TimePoint now = kStart + second * 1s + i * 100us;
      limiter.Release(client, limiter.Admit(client, kFourPerSecond, now), now);
    }
    CHECK(limiter.clients() <= 30'000);
  }
}

TEST_CASE("limiter: an IPv6 client is its /64, an IPv4 client its address") {
  Limiter limiter(kKey);
  const Limits one{.connections_per_client_max = 1};
  CHECK(limiter.Admit(Ip("2001:db8:0:1::1"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("2001:db8:0:1:ffff:ffff:ffff:ffff"), one, kStart) == Admission::kOverConnections);
  CHECK(limiter.Admit(Ip("2001:db8:0:2::1"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("2001:db8:1:1::1"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("::1"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("0.0.0.0"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("10.0.0.1"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("10.0.0.2"), one, kStart) == Admission::kAdmitted);
  CHECK(limiter.Admit(Ip("::ffff:10.0.0.2"), one, kStart) == Admission::kOverConnections);
  CHECK(limiter.clients() == 7);
}

TEST_CASE("limiter: counts stay right when limits are set and removed while sessions live") {
  Limiter limiter(kKey);
  std::vector<Admission> entries;
  const Limits all[] = {{}, kThree, kFourPerSecond, {.connections_per_client_max = 1, .connect_rate = 1}, {}, kThree};
  for (const Limits& limits : all) {
    for (int i = 0; i < 5; ++i) entries.push_back(limiter.Admit(kClient, limits, kStart));
  }
  for (const Admission admission : entries) limiter.Release(kClient, admission, kStart + 10s);
  CHECK(limiter.clients() == 0);
  CHECK(limiter.Admit(kClient, kThree, kStart + 10s) == Admission::kAdmitted);
}

TEST_CASE("limiter: many threads at once never admit too many and leave no count behind") {
  Limiter limiter(kKey);
  constexpr int kThreads = 4;
  const Limits limits{.connections_per_client_max = 2};
  std::array<std::atomic<int>, 3> in{};
  std::atomic<bool> too_many{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5'000; ++i) {
        const auto which = static_cast<std::size_t>(i + t) % in.size();
        const IpAddress client = Ip("10.0.0." + std::to_string(which));
        const Admission admission = limiter.Admit(client, limits, kStart);
        if (admission == Admission::kAdmitted) {
          if (in[which].fetch_add(1) >= 2) too_many = true;
          in[which].fetch_sub(1);
        }
        limiter.Release(client, admission, kStart);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(too_many);
  CHECK(limiter.clients() == 0);
}

TEST_CASE("limits: on_clients and rates follow from the limits that are set") {
  CHECK_FALSE(Limits{}.on_clients());
  CHECK_FALSE(Limits{}.rates().limited());
  CHECK(kThree.on_clients());
  CHECK(kFourPerSecond.on_clients());
  CHECK(Limits{.bandwidth = 1'000}.rates() == Rates{Rate(1'000), Rate()});
}

}  // namespace
}  // namespace penstock
