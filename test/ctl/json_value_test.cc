#include "penstock/ctl/json_value.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using Kind = JsonValue::Kind;

JsonValue Good(std::string_view text) {
  CAPTURE(text);
  const auto value = JsonValue::Parse(text);
  REQUIRE(value);
  return *value;
}

std::string Repeated(std::string_view part, std::size_t count) {
  std::string text;
  while (count-- > 0) text += part;
  return text;
}

TEST_CASE("json value: each kind is read, with blanks around it") {
  CHECK(Good("null").is_null());
  CHECK(Good(" true\r\n").is_true());
  CHECK(Good("false").kind() == Kind::kFalse);
  CHECK(Good("\"x\"").text() == "x");
  CHECK(Good("[]").kind() == Kind::kArray);
  CHECK(Good("{ }").kind() == Kind::kObject);
  const JsonValue value = Good(R"({"a":[1, 2 ,{"b":null}],"c":{"d":"e"}, "c":7})");
  CHECK(value["a"].items().size() == 3);
  CHECK(value["a"].items()[2]["b"].is_null());
  CHECK(value["c"]["d"].text() == "e");  // the first of two
  CHECK(value.names().size() == 3);
}

TEST_CASE("json value: what is missing reads as nothing") {
  const JsonValue value = Good(R"({"a":"x","n":3})");
  CHECK(value["b"].is_null());
  CHECK(value["b"]["c"]["d"].text().empty());
  CHECK(value["a"].items().empty());
  CHECK(value["a"].whole() == 0);
  CHECK_FALSE(value["n"].is_true());
}

TEST_CASE("json value: numbers are exact up to 64 bits") {
  CHECK(Good("18446744073709551615").whole() == std::numeric_limits<std::uint64_t>::max());
  CHECK(Good("18446744073709551616").whole() == std::numeric_limits<std::uint64_t>::max());
  CHECK(Good("12.345").whole() == 12);
  CHECK(Good("12.345").number() == doctest::Approx(12.345));
  CHECK(Good("-0.5").number() == doctest::Approx(-0.5));
  CHECK(Good("-1").whole() == 0);
  CHECK(Good("1e3").number() == 1000);
  CHECK(Good("1e300").number() == JsonValue::kNumberMax);
  CHECK(Good("-1e18").number() == -JsonValue::kNumberMax);
  CHECK(Good("1e999").number() == 0);
  CHECK(Good("-12.50E+1").text() == "-12.50E+1");
}

TEST_CASE("json value: escapes become the characters that they mean") {
  CHECK(Good(R"("\"\\\/\b\f\n\r\t")").text() == "\"\\/\b\f\n\r\t");
  CHECK(Good(R"("\u0041\u00e9\u20AC\ud83d\udEB0")").text() == "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xb0");
  CHECK(Good(R"("\u0000x")").text() == std::string("\0x", 2));
}

TEST_CASE("json value: anything else is an error") {
  for (const std::string_view text : {"",
                                      " ",
                                      "nul",
                                      "nullx",
                                      "True",
                                      "01",
                                      "1.",
                                      ".5",
                                      "-",
                                      "+1",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "\"",
                                      "\"\\\"",
                                      "\"\\x41\"",
                                      "\"\\u12\"",
                                      "\"\\u+123\"",
                                      "\"\\u 123\"",
                                      R"("\ud83d")",
                                      R"("\ud83dx")",
                                      R"("\ud83d\u0041")",
                                      R"("\udeb0")",
                                      "\"\n\"",
                                      "\"\x1f\"",
                                      "[",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,]",
                                      "[1 2]",
                                      "]",
                                      "{",
                                      "{\"a\"",
                                      "{\"a\":",
                                      "{\"a\":1",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{1:2}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "1 2",
                                      "{}{}",
                                      "\xef\xbb\xbfnull"}) {
    CAPTURE(text);
    CHECK_FALSE(JsonValue::Parse(text));
  }
}

TEST_CASE("json value: depth and the number of values are bounded") {
  CHECK(JsonValue::Parse(Repeated("[", kJsonDepthMax) + Repeated("]", kJsonDepthMax)));
  CHECK_FALSE(JsonValue::Parse(Repeated("[", kJsonDepthMax + 1) + Repeated("]", kJsonDepthMax + 1)));
  CHECK_FALSE(JsonValue::Parse(Repeated("[", 1'000'000)));
  CHECK_FALSE(JsonValue::Parse(Repeated("{\"\":", 1'000'000)));
  CHECK_FALSE(JsonValue::Parse('[' + Repeated("0,", kJsonValuesMax) + "0]"));
}

}  // namespace
}  // namespace penstock
