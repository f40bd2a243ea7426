#include "penstock/udp/address_set.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

namespace penstock {
namespace {

constexpr AddressKey kKey{0x0123456789abcdef, 0xfedcba9876543210};

IpAddress V4(std::uint32_t bits) {
  return IpAddress::FromV4(
      std::array<std::uint8_t, 4>{static_cast<std::uint8_t>(bits >> 24), static_cast<std::uint8_t>(bits >> 16),
                                  static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits)});
}

IpAddress V6(std::uint32_t number) { return IpAddress::Parse("2001:db8::" + std::to_string(number % 9999)).value(); }

TEST_CASE("address_set: it contains the inserted addresses and no others") {
  Slab<AddressPage> pages(4);
  AddressSet set;
  CHECK_FALSE(set.Contains(V4(1), kKey));
  for (std::uint32_t i = 0; i < kAddressesInline / 2; ++i) {
    set.Insert(V4(i), kKey, pages);
    set.Insert(V6(i), kKey, pages);
    set.Insert(V4(i), kKey, pages);  // again
  }
  for (std::uint32_t i = 0; i < kAddressesInline / 2; ++i) {
    CHECK(set.Contains(V4(i), kKey));
    CHECK(set.Contains(V6(i), kKey));
  }
  for (std::uint32_t i = 1'000; i < 101'000; ++i) CHECK_FALSE(set.Contains(V4(i), kKey));
  CHECK(pages.live() == 0);
}

TEST_CASE("address_set: an address with a port, without one and with another port are three entries") {
  Slab<AddressPage> pages(1);
  AddressSet set;
  set.Insert(V4(1), kKey, pages, 53);
  set.Insert(V6(2), kKey, pages);
  CHECK(set.Contains(V4(1), kKey, 53));
  CHECK_FALSE(set.Contains(V4(1), kKey));
  CHECK_FALSE(set.Contains(V4(1), kKey, 54));
  CHECK_FALSE(set.Contains(V6(2), kKey, 53));
}

TEST_CASE("address_set: more addresses take one page, which Release returns") {
  Slab<AddressPage> pages(1);
  AddressSet set;
  for (std::uint32_t i = 0; i < 500; ++i) set.Insert(V4(i * 7919), kKey, pages);
  CHECK(pages.live() == 1);
  for (std::uint32_t i = 0; i < 500; ++i) CHECK(set.Contains(V4(i * 7919), kKey));
  set.Release(pages);
  CHECK(pages.live() == 0);
  CHECK_FALSE(set.Contains(V4(0), kKey));
  set.Insert(V4(1), kKey, pages);
  CHECK(set.Contains(V4(1), kKey));
}

TEST_CASE("address_set: without a page it contains the latest addresses and evicts the oldest") {
  Slab<AddressPage> pages(0);
  AddressSet set;
  for (std::uint32_t i = 0; i < 1'000; ++i) set.Insert(V4(i), kKey, pages);
  for (std::uint32_t i = 1'000 - kAddressesInline; i < 1'000; ++i) CHECK(set.Contains(V4(i), kKey));
  for (std::uint32_t i = 0; i < 1'000 - kAddressesInline; ++i) CHECK_FALSE(set.Contains(V4(i), kKey));
}

TEST_CASE("address_set: an address that is inserted again counts as the latest") {
  for (const std::size_t pages_max : {std::size_t{0}, std::size_t{1}}) {
    Slab<AddressPage> pages(pages_max);
    AddressSet set;
    set.Insert(V4(0), kKey, pages);
    for (std::uint32_t i = 1; i < 100'000; ++i) {
      set.Insert(V4(0), kKey, pages);
      set.Insert(V4(i), kKey, pages);
      if (!set.Contains(V4(0), kKey)) FAIL("evicted after ", i, " others, with ", pages_max, " pages");
    }
  }
}

TEST_CASE("address_set: a full page contains the latest addresses of each bucket") {
  Slab<AddressPage> pages(1);
  AddressSet set;
  std::size_t evicted = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    set.Insert(V4(i), kKey, pages);
    CHECK(set.Contains(V4(i), kKey));
    // With a thousand entries, nearly all of the last three hundred are there.
    if (i >= 300) evicted += set.Contains(V4(i - 300), kKey) ? 0U : 1U;
  }
  CHECK(evicted < 1'000);
}

TEST_CASE("address_set: after SuspectAll each address is suspect until it is inserted again") {
  for (const std::uint32_t count : {3U, 100U}) {
    Slab<AddressPage> pages(1);
    AddressSet set;
    for (std::uint32_t i = 0; i < count; ++i) set.Insert(V4(i), kKey, pages);
    CHECK_FALSE(set.IsSuspect(V4(0), kKey));
    set.SuspectAll();
    set.SuspectAll();
    for (std::uint32_t i = 0; i < count; ++i) {
      CHECK_FALSE(set.Contains(V4(i), kKey));
      CHECK(set.IsSuspect(V4(i), kKey));
      set.Insert(V4(i), kKey, pages);
      CHECK(set.Contains(V4(i), kKey));
      CHECK_FALSE(set.IsSuspect(V4(i), kKey));
    }
    CHECK_FALSE(set.IsSuspect(V4(count), kKey));
  }
}

TEST_CASE("address_set: with another key it contains none of the addresses") {
  Slab<AddressPage> pages(1);
  AddressSet set;
  for (std::uint32_t i = 0; i < 20; ++i) set.Insert(V4(i), kKey, pages);
  for (std::uint32_t i = 0; i < 20; ++i) CHECK_FALSE(set.Contains(V4(i), {kKey.first + 1, kKey.second}));
}

}  // namespace
}  // namespace penstock
