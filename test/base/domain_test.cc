#include "penstock/base/domain.h"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

Domain Of(std::string_view text) { return Domain::Parse(text).value(); }

TEST_CASE("domain: valid domains are parsed, and case and the final dot make no difference") {
  const struct {
    std::string_view text, name;
    bool with_below;
  } good[] = {
      {"example.com", "example.com", false},
      {".example.com", "example.com", true},
      {"Example.COM.", "example.com", false},
      {".Example.com.", "example.com", true},
      {".com", "com", true},
      {"foo.", "foo", false},
      {"foo", "foo", false},
      {"_dmarc.example.com", "_dmarc.example.com", false},
      {"1.example", "1.example", false},
      {"xn--bcher-kva.example", "xn--bcher-kva.example", false},
  };
  for (const auto& row : good) {
    CAPTURE(row.text);
    const auto domain = Domain::Parse(row.text);
    REQUIRE(domain);
    CHECK(domain->name == row.name);
    CHECK(domain->with_below == row.with_below);
  }
}

TEST_CASE("domain: other text is rejected with what is accepted instead") {
  const std::string any =
      "a name such as example.com, or .example.com for that name and all names below it; what is not ASCII is written "
      "as "
      "xn--";
  const std::string address = "a whole address such as 192.0.2.1, or a block such as 10.0.0.0/8";
  const struct {
    std::string text, accepted;
  } bad[] = {
      {"", any},
      {".", any},
      {"..", any},
      {"..example.com", any},
      {"example..com", any},
      {"example.com..", any},
      {"b\xc3\xbc"
       "cher.example",
       any},
      {"exa mple.com", any},
      {"*.com*", any},
      {"www.*.com", any},
      {"*", any},
      {"a.com,b.com", any},
      {std::string(64, 'x') + ".com", any},
      {std::string(300, 'x'), any},
      {std::string("a\0b.com", 7), any},
      {"*.example.com", ".example.com, which is that name and all names below it"},
      {"10.0.1", address},
      {"10.0.0.256", address},
      {".10", address},
      {"10", address},
  };
  for (const auto& row : bad) {
    CAPTURE(row.text);
    std::string accepted;
    CHECK_FALSE(Domain::Parse(row.text, &accepted));
    CHECK(accepted == row.accepted);
    CHECK_FALSE(Domain::Parse(row.text));
  }
}

std::vector<std::uint32_t> Find(const DomainTable& table, std::string_view name) {
  std::vector<std::uint32_t> found;
  table.ForEach(name, [&](std::uint32_t value) { found.push_back(value); });
  std::ranges::sort(found);
  return found;
}

TEST_CASE("domain table: a lookup finds every domain of a name") {
  CHECK(DomainTable().empty());
  CHECK(Find(DomainTable(), "example.com").empty());
  const DomainTable table({{Of(".com"), 1},
                           {Of(".example.com"), 2},
                           {Of("example.com"), 3},
                           {Of("www.example.com"), 4},
                           {Of("localhost"), 5},
                           {Of(".a.b.c.d"), 6}});
  using Values = std::vector<std::uint32_t>;
  const struct {
    std::string_view name;
    Values values;
  } rows[] = {
      {"example.com", {1, 2, 3}},
      {"EXAMPLE.com.", {1, 2, 3}},
      {"www.example.com", {1, 2, 4}},
      {"x.www.example.com", {1, 2}},
      {"badexample.com", {1}},
      {"bad-example.com", {1}},
      {"com", {1}},
      {"com.", {1}},
      {"comx", {}},
      {"xcom", {}},
      {"example.co", {}},
      {"example.com.org", {}},
      {"localhost", {5}},
      {"x.localhost", {}},
      {"a.b.c.d", {6}},
      {"b.c.d", {}},
      {"x.y.z.a.b.c.d", {6}},
      {"", {}},
      {".", {}},
      {"..", {}},
      {"...com", {1}},
      {".com", {1}},
      {"com..", {}},
      {std::string_view("example.com\0", 12), {}},
      {std::string_view("\0.com", 5), {1}},
      {"\xff\xfe.example.com", {1, 2}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CHECK(Find(table, row.name) == row.values);
  }
}

TEST_CASE("domain table: a name of the maximum length is found in the maximum number of domains") {
  std::string name = "a";
  std::vector<DomainTable::Entry> entries{{Of(name + '.'), 0}};
  std::uint32_t count = 0;
  for (;; name += ".a") {
    entries.push_back({Of('.' + name), ++count});
    if (name.size() == kNameBytesMax) break;
  }
  entries.push_back({Of(name), ++count});
  const DomainTable table(entries);
  CHECK(Find(table, name).size() == DomainTable::kMatchesMax);
  CHECK(Find(table, name + ".").size() == DomainTable::kMatchesMax);
  CHECK(Find(table, "a." + name).size() == DomainTable::kMatchesMax - 1);
  CHECK(Find(table, std::string(100'000, '.')).empty());
  CHECK(Find(table, std::string(100'000, 'a')).empty());
}

TEST_CASE("domain table: random names have the same domains as with a linear search") {
  for (std::uint32_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto name = [&] {
      static constexpr std::string_view kLabels[] = {"a", "b", "ab", "B", "x-a"};
      std::string text(kLabels[random() % 5]);
      for (auto labels = random() % 4; labels > 0; --labels) text = text + '.' + std::string(kLabels[random() % 5]);
      return text;
    };
    std::vector<DomainTable::Entry> entries;
    for (std::uint32_t i = 0; i < 60; ++i) {
      const Domain domain = Of((random() % 2 == 0 ? "." : "") + name());
      if (std::ranges::find(entries, domain, &DomainTable::Entry::domain) == entries.end())
        entries.push_back({domain, i});
    }
    const DomainTable table(entries);
    for (int i = 0; i < 200; ++i) {
      const std::string asked = name();
      CAPTURE(asked);
      const std::string canonical = Of(asked).name;
      std::vector<std::uint32_t> expected;
      for (const auto& [domain, value] : entries) {
        const bool below = domain.with_below && canonical.ends_with('.' + domain.name);
        if (below || canonical == domain.name) expected.push_back(value);
      }
      CHECK(Find(table, asked) == expected);
    }
  }
}

}  // namespace
}  // namespace penstock
