#include "penstock/base/quantity.h"

#include <chrono>
#include <cstdint>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST_CASE("quantity: numbers are digits within their limits") {
  CHECK(ParseNumber("0", 0, 10) == 0U);
  CHECK(ParseNumber("10", 0, 10) == 10U);
  CHECK(ParseNumber("007", 0, 10) == 7U);
  CHECK(ParseNumber("18446744073709551615", 0, UINT64_MAX) == UINT64_MAX);
  for (const std::string_view text : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "one", "18446744073709551616"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseNumber(text, 0, UINT64_MAX).has_value());
  }
  CHECK_FALSE(ParseNumber("2", 3, 4).has_value());
  CHECK_FALSE(ParseNumber("5", 3, 4).has_value());
}

TEST_CASE("quantity: a list of numbers has numbers and ranges in ascending order") {
  const struct {
    const char* text;
    std::optional<std::vector<unsigned>> numbers;
  } rows[] = {
      {"0", {{0}}},
      {"0,1", {{0, 1}}},
      {"0-3,8", {{0, 1, 2, 3, 8}}},
      {"2-2", {{2}}},
      {"9", {{9}}},
      {"", std::nullopt},
      {",", std::nullopt},
      {"1,", std::nullopt},
      {",1", std::nullopt},
      {"1,,2", std::nullopt},
      {"1,1", std::nullopt},
      {"2,1", std::nullopt},
      {"3-2", std::nullopt},
      {"1-", std::nullopt},
      {"-1", std::nullopt},
      {"1-2-3", std::nullopt},
      {"0-2,2", std::nullopt},
      {"10", std::nullopt},
      {"5-10", std::nullopt},
      {"a", std::nullopt},
      {"1, 2", std::nullopt},
      {"+1", std::nullopt},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK((ParseNumberList(row.text, 9) == row.numbers));
  }
}

TEST_CASE("quantity: durations are parsed") {
  const struct {
    std::string_view text;
    std::chrono::milliseconds duration;
  } good[] = {
      {"1ms", 1ms},
      {"250ms", 250ms},
      {"10s", 10s},
      {"10", 10s},
      {"5m", 5min},
      {"2h", 2h},
      {"007s", 7s},
      {"8760h", 8760h},
      {"525600m", 8760h},
      {"31536000", 8760h},
      {"31536000000ms", 8760h},
  };
  for (const auto& row : good) {
    CAPTURE(row.text);
    CHECK(ParseDuration(row.text) == row.duration);
  }
  const std::string_view bad[] = {
      "",
      "0",
      "0ms",
      "0h",
      "s",
      "ms",
      "-1s",
      "+1s",
      "1.5s",
      "1,5s",
      "1e3",
      " 1s",
      "1s ",
      "1 s",
      "1S",
      "1H",
      "1d",
      "1w",
      "1us",
      "1min",
      "1m30s",
      "10ss",
      "0x10",
      "ten",
      "8761h",
      "31536001",
      "31536000001ms",
      "18446744073709551615h",
      "99999999999999999999",
      "18446744073709551616ms",
  };
  for (const std::string_view text : bad) {
    CAPTURE(text);
    CHECK_FALSE(ParseDuration(text).has_value());
  }
}

TEST_CASE("quantity: durations are written in their largest whole unit, and parsed back") {
  const struct {
    std::chrono::milliseconds duration;
    std::string_view text;
  } rows[] = {
      {1ms, "1ms"}, {250ms, "250ms"}, {1500ms, "1500ms"}, {1s, "1s"}, {10s, "10s"}, {90s, "90s"},
      {60s, "1m"},  {10min, "10m"},   {90min, "90m"},     {1h, "1h"}, {2h, "2h"},   {8760h, "8760h"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(FormatDuration(row.duration) == row.text);
    CHECK(ParseDuration(row.text) == row.duration);
  }
}

TEST_CASE("quantity: rates are parsed") {
  const struct {
    std::string_view text;
    std::uint64_t rate;
  } good[] = {
      {"1000", 1'000},
      {"65536", 65'536},
      {"1k", 1'000},
      {"64k", 64'000},
      {"10M", 10'000'000},
      {"1G", 1'000'000'000},
      {"100G", 100'000'000'000},
      {"1Ki", 1'024},
      {"64Ki", 65'536},
      {"10Mi", 10'485'760},
      {"1Gi", 1'073'741'824},
      {"93Gi", 99'857'989'632},
      {"0064k", 64'000},
      {"100000000000", 100'000'000'000},
  };
  for (const auto& row : good) {
    CAPTURE(row.text);
    CHECK(ParseRate(row.text) == row.rate);
  }
  const std::string_view bad[] = {
      "",
      "0",
      "0k",
      "1",
      "999",
      "k",
      "M",
      "64K",
      "64ki",
      "64KI",
      "10m",
      "10mi",
      "1g",
      "1T",
      "1Ti",
      "64kB",
      "64kbit",
      "64k/s",
      "64 k",
      " 64k",
      "64k ",
      "1.5G",
      "1,5G",
      "-64k",
      "+64k",
      "1e6",
      "0x64k",
      "ten",
      "18446744073k",
      "101G",
      "94Gi",
      "6k4",
      "64kk",
      "64iK",
      "64i",
      "100001M",
      "100000000001",
      "18446744073709551616",
      "18446744073709551615G",
  };
  for (const std::string_view text : bad) {
    CAPTURE(text);
    CHECK_FALSE(ParseRate(text).has_value());
  }
}

TEST_CASE("quantity: sizes are written like rates, up to a petabyte") {
  CHECK(ParseSize("1") == 1);
  CHECK(ParseSize("100G") == 100'000'000'000);
  CHECK(ParseSize("1Ti") == 1'099'511'627'776);
  CHECK(ParseSize("1000T") == kSizeMax);
  for (const std::string_view bad : {"", "0", "1001T", "1K", "1t", "1 G", "1P", "-1", "G", "18446744073709551616"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseSize(bad).has_value());
  }
}

TEST_CASE("quantity: rates are written in their largest whole unit, and parsed back") {
  const struct {
    std::uint64_t rate;
    std::string_view text;
  } rows[] = {
      {1'000, "1k"},         {1'001, "1001"},        {1'024, "1Ki"},           {64'000, "64k"},
      {65'536, "64Ki"},      {1'500'000, "1500k"},   {10'000'000, "10M"},      {10'485'760, "10Mi"},
      {1'000'000'000, "1G"}, {1'073'741'824, "1Gi"}, {1'500'000'000, "1500M"}, {100'000'000'000, "100G"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(FormatRate(row.rate) == row.text);
    CHECK(ParseRate(row.text) == row.rate);
  }
}

}  // namespace
}  // namespace penstock
