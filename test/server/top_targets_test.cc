#include "penstock/server/top_targets.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/bytes.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using test::NextRandom;
using unit::At;

constexpr DigestKey kKey{1, 2, 3};

using Exact = std::map<std::string, TopTargets::Counter>;

void AddTo(Exact& exact, const TargetKey& target, TopTargets::Weight bytes) {
  TopTargets::Counter& counter = exact[target.ToString()];
  counter.bytes += bytes;
  ++counter.sessions;
}

std::uint64_t SumOf(const Exact& exact) {
  std::uint64_t sum = 0;
  for (const auto& entry : exact) sum += entry.second.bytes.sum();
  return sum;
}

// One of 4,000 targets, of which number i comes with a probability of about 1 / i; and how many bytes.
TargetKey SkewedTarget(std::uint64_t& seed) {
  const double part = static_cast<double>(NextRandom(seed) % 1'000'000) / 1e6;
  return {"host" + std::to_string(static_cast<int>(std::pow(4'000.0, part))) + ".example", 443};
}
TopTargets::Weight SomeBytes(std::uint64_t& seed) {
  if (NextRandom(seed) % 4 == 0) return {};
  return {NextRandom(seed) % 1'000, NextRandom(seed) % 100'000};
}

// Calls `check(target, bytes, error)` with what `targets` says about each target of `exact`; without a counter: none.
template <class Check>
void Compare(const TopTargets& targets, const Exact& exact, Check check) {
  std::map<std::string, TopTargets::Counter> counted;
  targets.ForEach([&](const TargetKey& target, const TopTargets::Counter& counter) {
    CHECK(counted.emplace(target.ToString(), counter).second);
  });
  for (const auto& entry : exact) {
    const auto found = counted.find(entry.first);
    check(entry.second, found == counted.end() ? std::nullopt : std::optional(found->second));
  }
}

TEST_CASE("top targets: on a skewed stream each counter is within its error, and no large target lacks one") {
  constexpr std::size_t kCapacity = 64;
  TopTargets targets(kCapacity, kKey);
  Exact exact;
  std::uint64_t seed = test::RunSeed();
  for (int i = 1; i <= 40'000; ++i) {
    const TargetKey target = SkewedTarget(seed);
    const TopTargets::Weight bytes = SomeBytes(seed);
    targets.Add(target, bytes);
    AddTo(exact, target, bytes);
    if (i % 4'000 != 0 && i > 100) continue;
    const std::uint64_t floor = targets.floor().sum();
    CHECK(floor <= SumOf(exact) / kCapacity);
    std::size_t wrong = 0;
    Compare(targets, exact, [&](const TopTargets::Counter& truth, const std::optional<TopTargets::Counter>& counted) {
      if (!counted) {
        if (truth.bytes.sum() > floor) ++wrong;
        return;
      }
      const std::uint64_t most = counted->bytes.sum();
      if (truth.bytes.sum() > most || most - counted->error > truth.bytes.sum()) ++wrong;
      if (counted->sessions > truth.sessions || counted->error > most) ++wrong;
    });
    CHECK(wrong == 0);
  }
  CHECK(exact.size() > 10 * kCapacity);
}

TEST_CASE("top targets: while there are counters for all targets, everything is exact") {
  TopTargets targets(4'001, kKey);
  Exact exact;
  std::uint64_t seed = test::RunSeed();
  for (int i = 0; i < 20'000; ++i) {
    const TargetKey target = SkewedTarget(seed);
    const TopTargets::Weight bytes = SomeBytes(seed);
    targets.Add(target, bytes);
    AddTo(exact, target, bytes);
  }
  std::size_t wrong = 0;
  Compare(targets, exact, [&](const TopTargets::Counter& truth, const std::optional<TopTargets::Counter>& counted) {
    const bool same = counted && counted->bytes.up == truth.bytes.up && counted->bytes.down == truth.bytes.down &&
                      counted->sessions == truth.sessions && counted->error == 0;
    if (!same) ++wrong;
  });
  CHECK(wrong == 0);
  CHECK(targets.floor().sum() == 0);
}

TEST_CASE("top targets: sessions without bytes take no counter from a target that has some") {
  TopTargets targets(2, kKey);
  targets.Add({"a.example", 1}, {5, 5});
  targets.Add({"b.example", 1}, {1, 0});
  targets.Add({"c.example", 1}, {});
  targets.Add({"b.example", 1}, {});
  std::map<std::string, std::uint64_t> sessions;
  targets.ForEach([&](const TargetKey& target, const TopTargets::Counter& counter) {
    sessions[target.ToString()] = counter.sessions;
  });
  CHECK(sessions == std::map<std::string, std::uint64_t>{{"a.example:1", 1}, {"b.example:1", 2}});
}

TEST_CASE("top targets: merged over parts that have seen different targets, each row is within its error") {
  std::vector<TopTargets> parts;
  Exact exact;
  std::uint64_t seed = test::RunSeed();
  for (int part = 0; part < 3; ++part) {
    parts.emplace_back(64, DigestKey{static_cast<std::uint8_t>(part)});
    for (int i = 0; i < 10'000; ++i) {
      const TargetKey target = SkewedTarget(seed);
      const TopTargets::Weight bytes = SomeBytes(seed);
      parts.back().Add(target, bytes);
      AddTo(exact, target, bytes);
    }
  }
  const std::vector<TargetRow> rows = Merge(parts, 20);
  CHECK(rows.size() == 20);
  std::size_t wrong = 0;
  for (const TargetRow& row : rows) {
    const std::uint64_t most = row.bytes_up + row.bytes_down;
    const TopTargets::Counter& truth = exact[row.target];
    if (truth.bytes.sum() > most || most - row.error > truth.bytes.sum() || row.sessions > truth.sessions) ++wrong;
    if (&row != &rows.front() && most > (&row - 1)->bytes_up + (&row - 1)->bytes_down) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(rows.front().target == "host1.example:443");
  CHECK(Merge({}, 20).empty());
}

TEST_CASE("top targets: a name in any case, with a final dot, or that is an address is one target") {
  const auto text = [](std::string_view name) { return TargetKey(name, 80).ToString(); };
  CHECK(text("Www.Example.COM.") == "www.example.com:80");
  CHECK(text("127.0.0.1") == "127.0.0.1:80");
  CHECK(text("[::1]") == "[::1]:80");
  CHECK(text(std::string(255, 'X')) == std::string(255, 'x') + ":80");
  TopTargets targets(8, kKey);
  targets.Add({"127.0.0.1", 80}, {1, 0});
  targets.Add({At("127.0.0.1:0").ip, 80}, {2, 0});
  targets.Add({"A.example", 80}, {4, 0});
  targets.Add({"a.example.", 80}, {8, 0});
  targets.Add({"a.example", 81}, {16, 0});
  const std::vector<TargetRow> rows = Merge({&targets, 1}, 8);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].target == "a.example:81");
  CHECK(rows[1].bytes_up == 12);
  CHECK(rows[1].sessions == 2);
  CHECK(rows[2].target == "127.0.0.1:80");
  CHECK(rows[2].bytes_up == 3);
}

}  // namespace
}  // namespace penstock
