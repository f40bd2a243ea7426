#include "penstock/base/prefix.h"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/address.h"

namespace penstock {
namespace {

using test::Ip;
Prefix Block(std::string_view text) { return Prefix::Parse(text).value(); }

TEST_CASE("prefix: blocks are parsed, and written in one form") {
  const struct {
    std::string_view text, written;
  } good[] = {
      {"10.0.0.0/8", "10.0.0.0/8"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"10.1.2.3", "10.1.2.3"},
      {"10.1.2.3/32", "10.1.2.3"},
      {"10.1.2.2/31", "10.1.2.2/31"},
      {"255.255.255.255/32", "255.255.255.255"},
      {"2001:db8::/32", "2001:db8::/32"},
      {"2001:DB8:0:0::/64", "2001:db8::/64"},
      {"2001:db8::1", "2001:db8::1"},
      {"2001:db8::1/128", "2001:db8::1"},
      {"::/0", "::/0"},
      {"::/1", "::/1"},
      {"::/128", "::"},
      {"8000::/1", "8000::/1"},
      {"2001:db8:0:0:8000::/65", "2001:db8:0:0:8000::/65"},
      {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
      {"::ffff:10.1.2.3", "10.1.2.3"},
      {"::ffff:0:0/96", "0.0.0.0/0"},
      {"::fffe:0:0/95", "::fffe:0:0/95"},
  };
  for (const auto& row : good) {
    CAPTURE(row.text);
    const auto block = Prefix::Parse(row.text);
    REQUIRE(block);
    CHECK(block->ToString() == row.written);
    CHECK(Prefix::Parse(row.written) == block);
  }
}

TEST_CASE("prefix: other text is rejected with what is accepted instead") {
  const std::string any = "an address such as 192.0.2.1 or 2001:db8::1, or a block such as 10.0.0.0/8 or 2001:db8::/32";
  const struct {
    std::string_view text;
    std::string accepted;
  } bad[] = {
      {"10.1.2.3/8", "10.0.0.0/8, or 10.1.2.3 for that address alone"},
      {"10.1.2.3/0", "0.0.0.0/0, or 10.1.2.3 for that address alone"},
      {"2001:db8::1/32", "2001:db8::/32, or 2001:db8::1 for that address alone"},
      {"2001:db8::1/127", "2001:db8::/127, or 2001:db8::1 for that address alone"},
      {"::ffff:10.1.2.3/104", "10.0.0.0/8, or 10.1.2.3 for that address alone"},
      {"::ffff:10.0.0.0/8", "an IPv4 block as IPv4, such as 10.0.0.0/8"},
      {"::ffff:0:0/95", "an IPv4 block as IPv4, such as 10.0.0.0/8"},
      {"::ffff:0:0/0", "an IPv4 block as IPv4, such as 10.0.0.0/8"},
      {"10.0.0.0/33", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/-1", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/+8", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/8 ", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/4294967304", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/255.0.0.0", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"10.0.0.0/8/8", "a length from 0 to 32, such as 10.0.0.0/8"},
      {"2001:db8::/129", "a length from 0 to 128, such as 2001:db8::/32"},
      {"2001:db8::/x", "a length from 0 to 128, such as 2001:db8::/32"},
      {"", any},
      {"/", any},
      {"/8", any},
      {"10/8", any},
      {"10.0.0/24", any},
      {"[::1]", any},
      {"fe80::1%lo", any},
      {"example.com/8", any},
      {std::string_view("10.0.0.1\0", 9), any},
  };
  for (const auto& row : bad) {
    CAPTURE(row.text);
    std::string accepted;
    CHECK_FALSE(Prefix::Parse(row.text, &accepted));
    CHECK(accepted == row.accepted);
    CHECK_FALSE(Prefix::Parse(row.text));
  }
}

TEST_CASE("prefix: a block contains its first and its last address, and none outside") {
  const struct {
    std::string_view block, before, first, last, after;
  } rows[] = {
      {"10.0.0.0/8", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
      {"192.0.2.128/25", "192.0.2.127", "192.0.2.128", "192.0.2.255", "192.0.3.0"},
      {"192.0.2.7", "192.0.2.6", "192.0.2.7", "192.0.2.7", "192.0.2.8"},
      {"0.0.0.0/0", "::fffe:ffff:ffff", "0.0.0.0", "255.255.255.255", "::1:0:0:0"},
      {"fe80::/10", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "fec0::"},
      {"2001:db8:0:1::/64", "2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8:0:1::", "2001:db8:0:1:ffff:ffff:ffff:ffff",
       "2001:db8:0:2::"},
      {"2001:db8::8000:0:0:0/65", "2001:db8::7fff:ffff:ffff:ffff", "2001:db8::8000:0:0:0",
       "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.block);
    const Prefix block = Block(row.block);
    CHECK_FALSE(block.Contains(Ip(row.before)));
    CHECK(block.Contains(Ip(row.first)));
    CHECK(block.Contains(Ip(row.last)));
    CHECK_FALSE(block.Contains(Ip(row.after)));
    CHECK(block.Contains(block));
  }
}

TEST_CASE("prefix: no IPv4 block contains an IPv6 one, nor the other way round") {
  CHECK_FALSE(Block("::/0").Contains(Ip("10.0.0.1")));
  CHECK_FALSE(Block("::/0").Contains(Ip("::ffff:10.0.0.1")));
  CHECK_FALSE(Block("::/0").Contains(Block("0.0.0.0/0")));
  CHECK_FALSE(Block("0.0.0.0/0").Contains(Ip("::")));
  CHECK_FALSE(Block("0.0.0.0/0").Contains(Block("::/0")));
  CHECK(Block("::ffff:10.0.0.0/104").Contains(Ip("10.9.9.9")));
  CHECK(Block("10.0.0.0/8").Contains(Ip("::ffff:10.9.9.9")));
  CHECK(Block("10.0.0.0/8").Contains(Block("10.1.0.0/16")));
  CHECK_FALSE(Block("10.1.0.0/16").Contains(Block("10.0.0.0/8")));
}

std::vector<std::uint32_t> Find(const PrefixTable& table, std::string_view address) {
  std::vector<std::uint32_t> found;
  table.ForEach(Ip(address), [&](std::uint32_t value) { found.push_back(value); });
  return found;
}

TEST_CASE("prefix table: a lookup finds all blocks around an address, the smallest first") {
  CHECK(PrefixTable().empty());
  CHECK(Find(PrefixTable(), "10.0.0.1").empty());
  const PrefixTable table({{Block("10.1.0.0/16"), 3},
                           {Block("0.0.0.0/0"), 1},
                           {Block("::/0"), 7},
                           {Block("10.1.2.3"), 4},
                           {Block("10.0.0.0/8"), 2},
                           {Block("10.1.2.4"), 5},
                           {Block("2001:db8::/32"), 8},
                           {Block("11.0.0.0/8"), 6}});
  using Values = std::vector<std::uint32_t>;
  CHECK(Find(table, "10.1.2.3") == Values{4, 3, 2, 1});
  CHECK(Find(table, "10.1.2.5") == Values{3, 2, 1});
  CHECK(Find(table, "10.255.0.0") == Values{2, 1});
  CHECK(Find(table, "0.0.0.0") == Values{1});
  CHECK(Find(table, "255.255.255.255") == Values{1});
  CHECK(Find(table, "::") == Values{7});
  CHECK(Find(table, "ffff::") == Values{7});
  CHECK(Find(table, "2001:db8::1") == Values{8, 7});
}

TEST_CASE("prefix table: an address is found in blocks of every length") {
  std::vector<PrefixTable::Entry> entries;
  const IpAddress ones = Ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  std::string text;
  for (unsigned length = 0; length <= 128; ++length) {
    std::array<std::uint8_t, 16> bytes{};
    for (unsigned bit = 0; bit < length; ++bit) bytes[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
    entries.push_back({Block(IpAddress::FromV6(bytes).ToString() + '/' + std::to_string(length)), length});
  }
  CHECK(Find(PrefixTable(entries), ones.ToString()).size() == PrefixTable::kMatchesMax);
}

TEST_CASE("prefix table: random addresses have the same blocks as with a linear search") {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    // Few values of few bits, so that blocks nest and addresses meet them.
    const auto address = [&] {
      std::array<std::uint8_t, 16> bytes{};
      if (random() % 4 == 0) bytes[10] = bytes[11] = 0xff;
      for (const std::size_t i : {0U, 8U, 12U, 13U, 15U}) {
        if (random() % 3 == 0) bytes[i] = static_cast<std::uint8_t>(random() % 3 << random() % 7);
      }
      return random() % 2 == 0 ? IpAddress::FromV6(bytes) : IpAddress::FromV4(std::span(bytes).last<4>());
    };
    std::vector<PrefixTable::Entry> entries;
    for (std::uint32_t i = 0; i < 60; ++i) {
      const IpAddress base = address();
      std::string accepted;
      const std::string length = std::to_string(random() % (base.is_v4() ? 33 : 129));
      auto block = Prefix::Parse(base.ToString() + '/' + length, &accepted);
      if (!block) block = Prefix::Parse(accepted.substr(0, accepted.find(',')));
      if (!block) continue;  // a mapped one
      if (std::ranges::find(entries, *block, &PrefixTable::Entry::block) == entries.end())
        entries.push_back({*block, i});
    }
    const PrefixTable table(entries);
    for (int i = 0; i < 200; ++i) {
      const IpAddress asked = address();
      CAPTURE(asked.ToString());
      std::vector<std::uint32_t> expected;
      for (const auto& [block, value] : entries) {
        if (block.Contains(asked)) expected.push_back(value);
      }
      std::vector<std::uint32_t> found = Find(table, asked.ToString());
      std::ranges::sort(found);
      CHECK(found == expected);
    }
  }
}

// RFC 6052 section 2.4.
TEST_CASE("translators: the embedded IPv4 address is found for each length of prefix") {
  const struct {
    std::string_view prefix, address;
  } rows[] = {
      {"2001:db8::/32", "2001:db8:c000:221::"},
      {"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
      {"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
      {"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
      {"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
      {"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
      {"64:ff9b::/96", "64:ff9b::192.0.2.33"},
      {"64:ff9b:1::/48", "64:ff9b:1:c000:2:2100::"},
      {"64:ff9b:1:5::/96", "64:ff9b:1:5::192.0.2.33"},  // inside another one
  };
  for (const auto& row : rows) {
    CAPTURE(row.prefix);
    const Prefix prefix = Prefix::Parse(row.prefix).value();
    CHECK(Translators::IsPrefix(prefix));
    CHECK(Translators({&prefix, 1}).EmbeddedV4(Ip(row.address)) == Ip("192.0.2.33"));
  }
  for (const std::string_view text : {"10.1.2.3", "64:ff9b:2::10.1.2.3", "64:ff9b::1:10.1.2.3", "::10.1.2.3", "::"}) {
    CAPTURE(text);
    CHECK_FALSE(Translators().EmbeddedV4(Ip(text)));
  }
  for (const std::string_view text : {"10.0.0.0/8", "2001:db8::/33", "2001:db8::1", "::/0", "2001:db8::/104"}) {
    CAPTURE(text);
    CHECK_FALSE(Translators::IsPrefix(Prefix::Parse(text).value()));
  }
}

}  // namespace
}  // namespace penstock
