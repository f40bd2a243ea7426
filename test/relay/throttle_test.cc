#include "penstock/relay/throttle.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/relay/relay.h"
#include "test/support/rig.h"
#include "test/support/start.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

using test::kStart;
constexpr std::uint64_t kMegabyte = 1'000'000;
constexpr Rate kNone;

struct Limited {
  explicit Limited(const Rates& rates, UserBuckets* user = nullptr, std::uint32_t slot = 0, QuotaLease* lease = nullptr)
      : throttle({slot, 0}, {9, {slot, 0}}, rates, user, lease, kStart) {}

  // The allowance of one direction that has bytes to move.
  std::size_t Allow(Way way, TimePoint now) {
    EachWay<bool> wants;
    wants.of(way) = true;
    return throttle.Allow(wants, now).of(way);
  }

  // One direction moved `bytes` bytes and has no more.
  void Settle(Way way, std::size_t bytes, TimePoint now) {
    EachWay<std::size_t> taken;
    taken.of(way) = bytes;
    CHECK_FALSE(throttle.Settle(taken, {}, ticks, now));
  }

  // Takes the whole allowance at `now`.
  std::size_t TakeAll(TimePoint now, Way way = Way::kUp) {
    const std::size_t allowed = Allow(way, now);
    Settle(way, allowed, now);
    return allowed;
  }

  ThrottleTicks ticks;
  Throttle throttle;
};

TEST_CASE("rate: TimeFor does not overflow, and no byte takes no time") {
  const struct {
    std::uint64_t rate;
    std::size_t bytes;
    nanoseconds time;
  } rows[] = {
      {1'000, 1, 1ms},
      {1'000, 1'000, 1s},
      {1'000, 2 * kTurnBytes, 2'097'152ms},
      {65'536, 65'536, 1s},
      {kMegabyte, 1, 1us},
      {3, 1, 333'333'334ns},
      {1'000'000'000, 1, 1ns},
      {1'000'000'000, kTurnBytes, 1'048'576ns},
      {100'000'000'000, 1, 1ns},
      {100'000'000'000, kTurnBytes, 10'486ns},
      {1'000, (std::size_t{1} << 34) - 1, 17'179'869'183ms},
      {100'000'000'000, (std::size_t{1} << 34) - 1, 171'798'692ns},
  };
  for (const auto& row : rows) {
    CAPTURE(row.rate);
    CAPTURE(row.bytes);
    CHECK(Rate(row.rate).TimeFor(row.bytes) == row.time);
  }
  CHECK(Rate(kMegabyte).TimeFor(0) == 0ns);
  CHECK_FALSE(kNone.limited());
}

TEST_CASE("rate: a quantum is the bytes of its time, within limits") {
  CHECK(Rate(kMegabyte).QuantumIn(50ms) == 50'000);
  CHECK(Rate(65'536).QuantumIn(50ms) == 3'276);
  CHECK(Rate(1'000).QuantumIn(50ms) == kThrottleQuantumBytesMin);
  CHECK(Rate(100'000'000'000).QuantumIn(50ms) == kTurnBytes);
}

TEST_CASE("throttle: a session takes a quantum and waits for the time that it costs") {
  Limited limited({Rate(kMegabyte), kNone});
  CHECK(limited.throttle.Due(Way::kUp) <= kStart);
  CHECK(limited.TakeAll(kStart) == 50'000);
  CHECK(limited.throttle.Due(Way::kUp) == kStart + 50ms);
  CHECK(limited.TakeAll(kStart) == 0);
  CHECK(limited.TakeAll(kStart + 50ms - 1ns) == 0);
  CHECK(limited.TakeAll(kStart + 50ms) == 50'000);
  CHECK(limited.throttle.Due(Way::kUp) == kStart + 100ms);
}

TEST_CASE("throttle: both ways together take what the lease of the quota has, and then wait for a slow tick") {
  QuotaPool pool;
  pool.SetLimit(100'001);
  QuotaLease lease(pool);
  Limited limited({}, nullptr, 0, &lease);
  const EachWay<bool> both{true, true};
  std::size_t taken = 0;
  for (int turn = 0; turn < 3; ++turn) {
    const Allowance allowed = limited.throttle.Allow(both, kStart);
    CHECK(allowed.up + allowed.down > 0);
    taken += allowed.up + allowed.down;
    const bool last = taken == 100'001;
    CHECK(limited.throttle.Settle(allowed, both, limited.ticks, kStart) == last);
    if (last) break;
  }
  CHECK(taken == 100'001);
  CHECK(pool.over());
  CHECK(limited.throttle.deadline().armed());
  const Allowance none = limited.throttle.Allow(both, kStart + 50ms);
  CHECK(none.up + none.down == 0);
  CHECK(limited.throttle.Settle({}, both, limited.ticks, kStart + 50ms));

  pool.SetLimit(100'011);  // others have returned some, or the limit has been raised
  CHECK(limited.Allow(Way::kDown, kStart + 100ms) == 10);
  limited.Settle(Way::kDown, 10, kStart + 100ms);
}

TEST_CASE("throttle: a datagram passes while anything is left of the quota") {
  QuotaPool pool;
  pool.SetLimit(2'500);
  QuotaLease lease(pool);
  Limited limited({}, nullptr, 0, &lease);
  CHECK(limited.throttle.Pass(Way::kUp, 1'000, kStart));
  CHECK(limited.throttle.Pass(Way::kDown, 1'000, kStart));
  CHECK_FALSE(pool.over());
  CHECK(limited.throttle.Pass(Way::kUp, 1'000, kStart));  // crosses the limit
  CHECK_FALSE(limited.throttle.Pass(Way::kUp, 1, kStart));
  CHECK(pool.over());
  CHECK(pool.used() == 3'000);
}

TEST_CASE("throttle: a session waits for the bytes that it took, not for its allowance") {
  Limited limited({Rate(kMegabyte), kNone});
  REQUIRE(limited.Allow(Way::kUp, kStart) == 50'000);
  limited.Settle(Way::kUp, 1, kStart);
  CHECK(limited.throttle.Due(Way::kUp) == kStart + 1us);
  REQUIRE(limited.Allow(Way::kUp, kStart + 1ms) == 50'000);
  limited.Settle(Way::kUp, 0, kStart + 1ms);
  CHECK(limited.throttle.Due(Way::kUp) == kStart + 1us);
}

TEST_CASE("throttle: a session that wakes late is credited with the delay, up to kThrottleCredit") {
  Limited limited({Rate(kMegabyte), kNone});
  limited.TakeAll(kStart);
  CHECK(limited.TakeAll(kStart + 70ms) == 50'000);  // 20 ms late
  CHECK(limited.throttle.Due(Way::kUp) == kStart + 100ms);
  CHECK(limited.TakeAll(kStart + 10s) == 50'000);
  CHECK(limited.throttle.Due(Way::kUp) == kStart + 10s - kThrottleCredit + 50ms);
}

TEST_CASE("throttle: each direction has its own limit") {
  UserBuckets user;
  Limited limited({Rate(kMegabyte), Rate(kMegabyte)}, &user);
  CHECK(limited.TakeAll(kStart, Way::kUp) > 0);
  CHECK(limited.TakeAll(kStart, Way::kUp) == 0);
  CHECK(limited.TakeAll(kStart, Way::kDown) > 0);
}

TEST_CASE("throttle: without a rate, or without a user for the user's rate, there is no limit") {
  UserBuckets user;
  Limited nothing({}, &user);
  Limited nobody({kNone, Rate(kMegabyte)}, nullptr);
  for (Limited* each : {&nothing, &nobody}) {
    for (int i = 0; i < 3; ++i) {
      CHECK(each->Allow(Way::kUp, kStart) == kNoLimit);
      each->Settle(Way::kUp, kTurnBytes, kStart);
      CHECK(each->throttle.Due(Way::kUp) <= kStart);
      CHECK(each->throttle.Pass(Way::kDown, 65'535, kStart));
    }
  }
}

TEST_CASE("throttle: the sessions of a user take turns in order") {
  UserBuckets user;
  const Rates rates{kNone, Rate(kMegabyte)};  // a quantum is 5,000 bytes in 5 ms
  Limited a(rates, &user), b(rates, &user), c(rates, &user);
  CHECK(a.Allow(Way::kUp, kStart) == 5'000);
  CHECK(b.Allow(Way::kUp, kStart) == 0);
  CHECK(c.Allow(Way::kUp, kStart) == 0);
  a.Settle(Way::kUp, 5'000, kStart);
  CHECK(a.Allow(Way::kUp, kStart) == 0);  // behind the others
  CHECK(b.throttle.Due(Way::kUp) == kStart + 5ms);
  CHECK(c.throttle.Due(Way::kUp) == kStart + 10ms);
  CHECK(a.throttle.Due(Way::kUp) == kStart + 15ms);
  for (int round = 0; round < 3; ++round) {
    CHECK(c.TakeAll(kStart + round * 15ms + 5ms) == 0);
    CHECK(b.TakeAll(kStart + round * 15ms + 5ms) == 5'000);
    CHECK(b.TakeAll(kStart + round * 15ms + 5ms) == 0);
    CHECK(c.TakeAll(kStart + round * 15ms + 10ms) == 5'000);
    CHECK(c.TakeAll(kStart + round * 15ms + 10ms) == 0);
    CHECK(a.TakeAll(kStart + round * 15ms + 15ms) == 5'000);
    CHECK(a.TakeAll(kStart + round * 15ms + 15ms) == 0);
  }
}

TEST_CASE("throttle: the unused part of a quantum is returned to the user's bucket") {
  UserBuckets user;
  const Rates rates{kNone, Rate(kMegabyte)};
  Limited a(rates, &user), b(rates, &user);
  REQUIRE(a.Allow(Way::kUp, kStart) == 5'000);
  a.Settle(Way::kUp, 1'000, kStart);
  CHECK(b.Allow(Way::kUp, kStart) == 0);
  CHECK(b.throttle.Due(Way::kUp) == kStart + 1ms);
  REQUIRE(b.Allow(Way::kUp, kStart + 1ms) == 5'000);
  b.Settle(Way::kUp, 0, kStart + 1ms);
  CHECK(a.Allow(Way::kUp, kStart + 1ms) == 5'000);
}

TEST_CASE("throttle: a session that ends, or whose rates change, leaves the queue") {
  UserBuckets user;
  const Rates rates{kNone, Rate(kMegabyte)};
  Limited a(rates, &user), c(rates, &user);
  a.TakeAll(kStart);
  {
    Limited b(rates, &user);
    CHECK(b.Allow(Way::kUp, kStart) == 0);
  }
  CHECK(c.Allow(Way::kUp, kStart) == 0);
  CHECK(c.throttle.Due(Way::kUp) == kStart + 5ms);
  c.throttle.SetRates({kNone, Rate(2 * kMegabyte)});
  CHECK(a.Allow(Way::kUp, kStart) == 0);
  CHECK(a.throttle.Due(Way::kUp) == kStart + 5ms);
  CHECK(c.Allow(Way::kUp, kStart + 10ms) == 10'000);
  c.throttle.SetRates({});
  CHECK(c.Allow(Way::kUp, kStart + 10ms) == kNoLimit);
}

TEST_CASE("throttle: an idle user has no credit for its first session") {
  UserBuckets user;
  Limited a({kNone, Rate(kMegabyte)}, &user);
  CHECK(a.TakeAll(kStart + 10s) == 5'000);
  CHECK(a.TakeAll(kStart + 10s) == 0);
  CHECK(a.throttle.Due(Way::kUp) == kStart + 10s + 5ms);
  // After it has waited, it is credited with the delay of its wake-up.
  CHECK(a.TakeAll(kStart + 10s + 25ms) == 5'000);
  for (int i = 0; i < 4; ++i) CHECK(a.TakeAll(kStart + 10s + 25ms) == 5'000);
  CHECK(a.TakeAll(kStart + 10s + 25ms) == 0);
}

TEST_CASE("throttle: a session that has used up its own rate does not queue for its user's") {
  UserBuckets user;
  Limited a({Rate(kMegabyte), Rate(2 * kMegabyte)}, &user);
  Limited b({kNone, Rate(2 * kMegabyte)}, &user);
  CHECK(a.TakeAll(kStart) == 10'000);
  CHECK(a.Allow(Way::kUp, kStart) == 0);
  CHECK(b.Allow(Way::kUp, kStart) == 0);
  CHECK(b.throttle.Due(Way::kUp) == kStart + 5ms);
  CHECK(a.throttle.Due(Way::kUp) == kStart + 10ms);
}

TEST_CASE("throttle: a datagram passes whole and costs its time, or is dropped") {
  UserBuckets user;
  const Rates rows[] = {{Rate(100'000), kNone}, {kNone, Rate(100'000)}, {Rate(100'000), Rate(100'000)}};
  for (const Rates& rates : rows) {
    Limited limited(rates, &user);
    TimePoint now = kStart + 1h;
    CHECK(limited.throttle.Pass(Way::kUp, 60'000, now));  // more than a quantum
    CHECK_FALSE(limited.throttle.Pass(Way::kUp, 1, now));
    CHECK_FALSE(limited.throttle.Pass(Way::kUp, 1, now + 540ms));
    CHECK(limited.throttle.Pass(Way::kUp, 1, now + 601ms));
    user.up.GiveBack(2h);
  }
}

TEST_CASE("throttle: after idle time a burst of datagrams passes") {
  UserBuckets user;
  const Rates rows[] = {{Rate(kMegabyte), kNone}, {kNone, Rate(kMegabyte)}, {Rate(kMegabyte), Rate(kMegabyte)}};
  TimePoint now = kStart;
  for (const Rates& rates : rows) {
    Limited limited(rates, &user);
    now += 1s;
    int passed = 0;
    while (limited.throttle.Pass(Way::kUp, 1'000, now)) ++passed;
    CHECK(passed >= 50);
    CHECK(passed <= 55);
  }
}

TEST_CASE("throttle: datagrams pass at the rate, however many arrive") {
  std::mt19937 random(7);
  for (const std::uint64_t rate : {std::uint64_t{65'536}, kMegabyte, 100 * kMegabyte}) {
    for (const bool of_user : {false, true}) {
      CAPTURE(rate);
      CAPTURE(of_user);
      UserBuckets user;
      Limited limited(of_user ? Rates{kNone, Rate(rate)} : Rates{Rate(rate), kNone}, &user);
      std::uint64_t passed = 0;
      const nanoseconds gap = Rate(3 * rate).TimeFor(800);  // three times the rate
      for (TimePoint now = kStart; now < kStart + 5s; now += gap) {
        const std::size_t bytes = random() % 1'600;
        if (limited.throttle.Pass(Way::kDown, bytes, now)) passed += bytes;
      }
      CHECK(static_cast<double>(passed) > 0.97 * 5 * static_cast<double>(rate));
      CHECK(static_cast<double>(passed) < 1.03 * 5 * static_cast<double>(rate));
    }
  }
}

TEST_CASE("throttle: waiting sessions wake at common ticks") {
  ThrottleTicks ticks;
  Deadline first({9, {1, 0}}), second({9, {2, 0}}), far({9, {3, 0}});
  ticks.Arm(first, kStart + 10ms, kStart + 1ms);
  ticks.Arm(second, kStart + 10ms, kStart + 4ms);
  CHECK(first.due() == kStart + kThrottleTick);
  CHECK(second.due() == first.due());
  ticks.Arm(second, kStart + 12ms, kStart + kThrottleTick);  // exactly on a tick: the next one
  CHECK(second.due() == kStart + 2 * kThrottleTick);
  const TimePoint now = kStart + 2 * kThrottleTick + 1ms;
  ticks.Arm(far, kStart + 1h, now);
  CHECK(far.due() == kStart + kThrottleTickSlow);
  ticks.Arm(far, now + kThrottleTickSlow / 2, now);
  CHECK(far.due() == kStart + kThrottleTickSlow);
  ticks.Arm(far, now + kThrottleTickSlow / 2 - 1ns, now);
  CHECK(far.due() == kStart + 3 * kThrottleTick);
}

// --- Simulation ----------------------------------------------------------------------------------------------------

// Sessions of one worker that always have bytes, in simulated time.
struct Simulation {
  Simulation(std::size_t count, const Rates& rates, unsigned seed) : random(seed) {
    for (std::size_t i = 0; i < count; ++i) {
      sessions.push_back(std::make_unique<Limited>(rates, &user, static_cast<std::uint32_t>(i)));
      taken.push_back(0);
      ready.push_back(static_cast<std::uint32_t>(i));
    }
    std::ranges::shuffle(ready, random);
  }

  // A session's turn with a relay that always has bytes, sometimes fewer than the allowance.
  void Turn(std::uint32_t slot) {
    Limited& limited = *sessions[slot];
    const std::size_t allowed = limited.Allow(Way::kUp, now);
    const std::size_t there = random() % 4 == 0 && allowed > 4'096 ? allowed / 2 : allowed;
    taken[slot] += there;
    if (!limited.throttle.Settle({there, 0}, {true, false}, ticks, now)) ready.push_back(slot);
  }

  void Run(nanoseconds duration) {
    const TimePoint end = now + duration;
    while (now < end) {
      std::vector<std::uint32_t> turns;
      turns.swap(ready);
      for (const std::uint32_t slot : turns) Turn(slot);
      for (DeadlineQueue* queue : {&ticks.fast, &ticks.slow}) {
        while (const auto due = queue->Expire(now)) Turn(due->handle.slot);
      }
      now += 20us;
      if (!ready.empty()) continue;
      TimePoint next = TimePoint::max();
      for (const DeadlineQueue* queue : {&ticks.fast, &ticks.slow}) next = std::min(next, queue->next().value_or(next));
      // epoll_wait(2) wakes up to a millisecond late, and sometimes the worker is busy.
      now = std::max(now, next + std::chrono::microseconds(random() % 1'000));
      if (random() % 16 == 0) now += std::chrono::microseconds(random() % 10'000);
    }
  }

  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t each : taken) sum += each;
    return sum;
  }

  std::mt19937 random;
  UserBuckets user;
  ThrottleTicks ticks;
  TimePoint now = kStart;
  std::vector<std::unique_ptr<Limited>> sessions;
  std::vector<std::uint64_t> taken;
  std::vector<std::uint32_t> ready;
};

constexpr std::uint64_t kRates[] = {65'536, 300'000, kMegabyte, 10 * kMegabyte, 100 * kMegabyte, 1'000 * kMegabyte};

TEST_CASE("throttle: over five seconds the rate of a session is within 3 % of its limit") {
  for (const std::uint64_t rate : kRates) {
    for (const std::size_t count : {1U, 100U}) {
      CAPTURE(rate);
      CAPTURE(count);
      Simulation simulation(count, {Rate(rate), kNone}, 11);
      simulation.Run(5s);
      for (const std::uint64_t taken : simulation.taken) {
        CHECK(static_cast<double>(taken) > 0.97 * 5 * static_cast<double>(rate));
        CHECK(static_cast<double>(taken) < 1.03 * 5 * static_cast<double>(rate));
      }
    }
  }
}

TEST_CASE("throttle: over five seconds the rate of a user is within 3 % of its limit, in fair shares") {
  for (const std::uint64_t rate : kRates) {
    for (const std::size_t count : {1U, 2U, 100U}) {
      CAPTURE(rate);
      CAPTURE(count);
      Simulation simulation(count, {kNone, Rate(rate)}, 12);
      simulation.Run(5s);
      CHECK(static_cast<double>(simulation.total()) > 0.97 * 5 * static_cast<double>(rate));
      CHECK(static_cast<double>(simulation.total()) < 1.03 * 5 * static_cast<double>(rate));
      const auto [least, most] = std::ranges::minmax_element(simulation.taken);
      CHECK(*most <= 2 * *least);
    }
  }
}

TEST_CASE("throttle: of both limits the lower one applies") {
  Simulation user_tighter(10, {Rate(kMegabyte), Rate(2 * kMegabyte)}, 13);
  user_tighter.Run(5s);
  CHECK(static_cast<double>(user_tighter.total()) / 1e7 == doctest::Approx(1.0).epsilon(0.03));
  Simulation session_tighter(10, {Rate(kMegabyte), Rate(100 * kMegabyte)}, 14);
  session_tighter.Run(5s);
  CHECK(static_cast<double>(session_tighter.total()) / 5e7 == doctest::Approx(1.0).epsilon(0.03));
}

TEST_CASE("throttle: a bucket that many threads share loses no time") {
  UserBuckets user;
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  std::vector<nanoseconds> kept(kThreads);
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&user, &mine = kept[i], i] {
      std::mt19937 random(static_cast<unsigned>(i));
      for (int round = 0; round < 20'000; ++round) {
        const nanoseconds cost(random() % 1'000);
        user.up.Take(cost, kStart);
        const nanoseconds unused = cost * (random() % 2);
        user.up.GiveBack(unused);
        mine += cost - unused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  nanoseconds all{0};
  for (const nanoseconds each : kept) all += each;
  // The bucket never charges more time than was taken and not given back.
  CHECK(user.up.Take(0ns, kStart) <= kStart + all);
  CHECK(user.up.Take(0ns, kStart) > kStart);
  CHECK(user.down.Take(0ns, kStart) == kStart);
}

// --- With a relay --------------------------------------------------------------------------------------------------

struct LimitedRelayRig {
  explicit LimitedRelayRig(const Rates& rates, UserBuckets* user = nullptr)
      : client(unit::TcpPair(unit::kWide)), target(unit::TcpPair(unit::kWide)), limited(rates, user) {
    tools.clock.Set(kStart);
    REQUIRE(poller.Add(client.near.get(), {0, {}}));
    REQUIRE(poller.Add(target.near.get(), {1, {}}));
    REQUIRE(relay.Begin({.writable = true}, {.writable = true}, target.near.get(), {}, tools.All()));
  }
  ~LimitedRelayRig() { relay.Release(tools.All()); }

  void Look() {
    const int count = poller.Wait(0ns);
    for (int i = 0; i < count; ++i) {
      const Poller::Event event = poller.At(i);
      event.cookie.tag == 0 ? relay.OnClient(event.events) : relay.OnTarget(event.events);
    }
  }
  // The same as a session's step.
  Relay::Progress Step() {
    Look();
    const TimePoint now = tools.clock.now();
    const Allowance allowed = limited.throttle.Allow(relay.wants_read(), now);
    Allowance left = allowed;
    const Relay::Progress progress = relay.Step(client.near.get(), target.near.get(), left, tools.All());
    const Allowance taken{allowed.up - left.up, allowed.down - left.down};
    return limited.throttle.Settle(taken, relay.unfinished(), ticks, now) ? Relay::Progress::kWaiting : progress;
  }
  void SendUp(std::string_view text) {
    REQUIRE(unit::SendSome(client.far.get(), text) == text.size());
    unit::WaitUntilArrived(client.far);
  }
  void Sleep(nanoseconds time) { tools.clock.Set(tools.clock.now() + time); }

  unit::Tools tools;
  unit::Pair client, target;
  Poller poller;
  Relay relay;
  ThrottleTicks ticks;
  Limited limited;
};

TEST_CASE("throttle: a relay that has used up its allowance needs nothing but a tick to continue") {
  UserBuckets user;
  const Rates rows[] = {{Rate(kMegabyte), kNone}, {kNone, Rate(10 * kMegabyte)}};  // quanta of 50,000 bytes
  for (const Rates& rates : rows) {
    LimitedRelayRig rig(rates, &user);
    const std::string much = unit::Pattern(120'000);
    rig.SendUp(much);
    CHECK(rig.Step() == Relay::Progress::kWaiting);
    CHECK(rig.relay.bytes_up() == 50'000);
    CHECK(unit::Readable(rig.client.near.get()) == 70'000);
    CHECK(rig.limited.throttle.deadline().armed());

    std::string got;
    for (int turns = 0; got.size() < much.size(); ++turns) {
      REQUIRE(turns < 1'000);
      REQUIRE(rig.limited.throttle.deadline().armed());
      rig.tools.clock.Set(rig.limited.throttle.deadline().due());
      for (DeadlineQueue* queue : {&rig.ticks.fast, &rig.ticks.slow}) {
        while (const auto due = queue->Expire(rig.tools.clock.now())) CHECK(due->tag == 9);
      }
      while (rig.Step() == Relay::Progress::kUnfinished) {
      }
      unit::WaitUntilArrived(rig.target.near);
      got += unit::ReceiveSome(rig.target.far.get());
      const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(rig.tools.clock.now() - kStart);
      CHECK(got.size() <=
            50'000 + static_cast<std::size_t>(passed.count()) * (rates.session.limited() ? 1'000 : 10'000));
    }
    CHECK((got == much));
  }
}

TEST_CASE("throttle: a relay below its rate does not wait") {
  LimitedRelayRig rig({Rate(kMegabyte), kNone});
  for (int i = 0; i < 10; ++i) {
    rig.SendUp("a message");
    CHECK(rig.Step() == Relay::Progress::kWaiting);
    CHECK(rig.relay.bytes_up() == static_cast<std::uint64_t>(9 * (i + 1)));
    CHECK_FALSE(rig.limited.throttle.deadline().armed());
    rig.Sleep(1ms);
  }
}

TEST_CASE("throttle: a relay with nothing to move does not queue") {
  UserBuckets user;
  LimitedRelayRig idle({kNone, Rate(kMegabyte)}, &user);
  Limited other({kNone, Rate(kMegabyte)}, &user);
  for (int i = 0; i < 10; ++i) CHECK(idle.Step() == Relay::Progress::kWaiting);
  CHECK(other.Allow(Way::kUp, kStart) > 0);
}

TEST_CASE("throttle: a direction that waits does not delay the other") {
  LimitedRelayRig rig({Rate(kMegabyte), kNone});
  rig.SendUp(unit::Pattern(120'000));
  CHECK(rig.Step() == Relay::Progress::kWaiting);
  REQUIRE(unit::SendSome(rig.target.far.get(), "answer") == 6);
  unit::WaitUntilArrived(rig.target.far);
  CHECK(rig.Step() == Relay::Progress::kWaiting);
  CHECK(rig.relay.bytes_down() == 6);
  CHECK(rig.limited.throttle.deadline().armed());
}

TEST_CASE("throttle: a relay that had to wait ends after its last bytes") {
  LimitedRelayRig rig({Rate(kMegabyte), kNone});
  rig.SendUp(unit::Pattern(60'000));
  ShutdownSend(rig.client.far.get());
  ShutdownSend(rig.target.far.get());
  REQUIRE(unit::WaitFor(rig.client.near.get(), POLLRDHUP));
  REQUIRE(unit::WaitFor(rig.target.near.get(), POLLRDHUP));
  CHECK(rig.Step() == Relay::Progress::kWaiting);
  CHECK(rig.Step() == Relay::Progress::kWaiting);
  rig.Sleep(50ms);
  CHECK(rig.Step() == Relay::Progress::kEnded);
  CHECK(rig.relay.bytes_up() == 60'000);
}

}  // namespace
}  // namespace penstock
