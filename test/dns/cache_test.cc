#include "penstock/dns/cache.h"

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/start.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

using test::kStart;

FamilyAnswer Found(int count, const std::string& prefix) {
  FamilyAnswer answer{NameStatus::kFound, {}};
  for (int last = 1; last <= count; ++last) {
    answer.addresses.push_back(IpAddress::Parse(prefix + std::to_string(last)).value());
  }
  return answer;
}

FamilyAnswer V4(int count) { return Found(count, "192.0.2."); }
FamilyAnswer V6(int count) { return Found(count, "2001:db8::"); }

int CountV4(const NameAnswer& answer) {
  int count = 0;
  for (const IpAddress& address : answer.list()) count += address.is_v4() ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("an answer has IPv6 first; addresses beyond the limit are left out evenly") {
  const struct {
    int sixes, fours, sixes_left, fours_left;
  } cases[] = {{1, 1, 1, 1},   {0, 3, 0, 3},   {3, 0, 3, 0}, {16, 0, 16, 0}, {0, 16, 0, 16}, {16, 16, 8, 8},
               {16, 2, 14, 2}, {2, 16, 2, 14}, {9, 8, 8, 8}, {8, 9, 8, 8},   {12, 4, 12, 4}};
  for (const auto& expected : cases) {
    CAPTURE(expected.sixes);
    CAPTURE(expected.fours);
    const FamilyAnswer six = V6(expected.sixes);
    const FamilyAnswer four = V4(expected.fours);
    const NameAnswer answer = Combine(&six, &four);
    CHECK(answer.status == NameStatus::kFound);
    CHECK(CountV4(answer) == expected.fours_left);
    CHECK(static_cast<int>(answer.count) == expected.sixes_left + expected.fours_left);
    for (std::size_t index = 1; index < answer.count; ++index) {
      CHECK((!answer.addresses[index - 1].is_v4() || answer.addresses[index].is_v4()));
    }
  }
}

TEST_CASE("an answer without addresses tells no name from no answer") {
  const FamilyAnswer none{NameStatus::kNoName, {}};
  const FamilyAnswer silent{NameStatus::kNoAnswer, {}};
  CHECK(Combine(&none, &none).status == NameStatus::kNoName);
  CHECK(Combine(&none, nullptr).status == NameStatus::kNoName);
  CHECK(Combine(nullptr, &silent).status == NameStatus::kNoAnswer);
  CHECK(Combine(&silent, &none).status == NameStatus::kNoAnswer);
  const FamilyAnswer found = V4(1);
  CHECK(Combine(&silent, &found).status == NameStatus::kFound);
}

TEST_CASE("each family expires independently") {
  NameCache cache(10);
  cache.Store("www.example", Family::kIpv4, V4(2), 10s, kStart);
  CHECK(cache.Find("www.example", Family::kIpv6, kStart) == nullptr);
  cache.Store("www.example", Family::kIpv6, V6(1), 20s, kStart);
  REQUIRE(cache.Find("www.example", Family::kIpv4, kStart + 10s - 1ns) != nullptr);
  CHECK(cache.Find("www.example", Family::kIpv4, kStart + 9s)->addresses == V4(2).addresses);
  CHECK(cache.Find("www.example", Family::kIpv4, kStart + 10s) == nullptr);
  CHECK(cache.Find("www.example", Family::kIpv6, kStart + 19s) != nullptr);
  CHECK(cache.Find("www.example", Family::kIpv6, kStart + 20s) == nullptr);
  CHECK(cache.Find("other.example", Family::kIpv4, kStart) == nullptr);
}

TEST_CASE("a TTL of zero removes the entry") {
  NameCache cache(10);
  cache.Store("a.example", Family::kIpv4, V4(1), 0s, kStart);
  CHECK(cache.size() == 0);
  cache.Store("a.example", Family::kIpv4, V4(1), 9s, kStart);
  cache.Store("a.example", Family::kIpv4, V4(1), 0s, kStart);
  CHECK(cache.Find("a.example", Family::kIpv4, kStart) == nullptr);
}

TEST_CASE("the least recently used name is evicted") {
  NameCache cache(3);
  for (const char* name : {"a", "b", "c"}) cache.Store(name, Family::kIpv4, V4(1), 1h, kStart);
  CHECK(cache.Find("a", Family::kIpv4, kStart) != nullptr);
  cache.Store("d", Family::kIpv4, V4(1), 1h, kStart);
  CHECK(cache.size() == 3);
  CHECK(cache.Find("b", Family::kIpv4, kStart) == nullptr);
  for (const char* name : {"a", "c", "d"}) CHECK(cache.Find(name, Family::kIpv4, kStart) != nullptr);
  for (int number = 0; number < 1000; ++number) {
    cache.Store(std::to_string(number), Family::kIpv4, V4(1), 1h, kStart);
    REQUIRE(cache.size() == 3);
  }
  cache.Clear();
  CHECK(cache.size() == 0);
  CHECK(cache.Find("999", Family::kIpv4, kStart) == nullptr);
}

TEST_CASE("one client's many names evict its own, not those of others") {
  NameCache cache(100);
  for (std::size_t share = 1; share <= 5; ++share) {
    for (const char* name : {"a", "b"}) {
      cache.Store(name + std::to_string(share), Family::kIpv4, V4(1), 1h, kStart, share);
    }
  }
  for (int number = 0; number < 1000; ++number) {
    cache.Store("random" + std::to_string(number), Family::kIpv4, V4(1), 1h, kStart, 0);
  }
  CHECK(cache.size() == 100);
  for (std::size_t share = 1; share <= 5; ++share) {
    CHECK(cache.Find('a' + std::to_string(share), Family::kIpv4, kStart, share) != nullptr);
    CHECK(cache.Find('b' + std::to_string(share), Family::kIpv4, kStart, 0) != nullptr);
  }
  CHECK(cache.Find("random999", Family::kIpv4, kStart, 1) != nullptr);  // and now belongs to share 1
  for (int number = 0; number < 1000; ++number) {
    cache.Store("more" + std::to_string(number), Family::kIpv4, V4(1), 1h, kStart, 0);
  }
  CHECK(cache.Find("random999", Family::kIpv4, kStart, 1) != nullptr);
  CHECK(cache.Find("random998", Family::kIpv4, kStart, 1) == nullptr);
}

}  // namespace penstock
