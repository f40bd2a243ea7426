#include "penstock/ctl/json_value.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "test/support/json.h"

namespace penstock {
namespace {

using Kind = JsonValue::Kind;
using test::ReadJson;

std::string Repeated(std::string_view part, std::size_t count) {
  std::string text;
  while (count-- > 0) text += part;
  return text;
}

TEST_CASE("json value: each kind is read, with blanks around it") {
  CHECK(ReadJson("null").is_null());
  CHECK(ReadJson(" true\r\n").is_true());
  CHECK(ReadJson("false").kind() == Kind::kFalse);
  CHECK(ReadJson("\"x\"").text() == "x");
  CHECK(ReadJson("[]").kind() == Kind::kArray);
  CHECK(ReadJson("{ }").kind() == Kind::kObject);
  const JsonValue value = ReadJson(R"({"a":[1, 2 ,{"b":null}],"c":{"d":"e"}, "c":7})");
  CHECK(value["a"].items().size() == 3);
  CHECK(value["a"].items()[2]["b"].is_null());
  CHECK(value["c"]["d"].text() == "e");  // the first of two
  CHECK(value.names().size() == 3);
}

TEST_CASE("json value: what is missing reads as nothing") {
  const JsonValue value = ReadJson(R"({"a":"x","n":3})");
  CHECK(value["b"].is_null());
  CHECK(value["b"]["c"]["d"].text().empty());
  CHECK(value["a"].items().empty());
  CHECK(value["a"].whole() == 0);
  CHECK_FALSE(value["n"].is_true());
}

TEST_CASE("json value: numbers are exact up to 64 bits") {
  CHECK(ReadJson("18446744073709551615").whole() == std::numeric_limits<std::uint64_t>::max());
  CHECK(ReadJson("18446744073709551616").whole() == std::numeric_limits<std::uint64_t>::max());
  CHECK(ReadJson("12.345").whole() == 12);
  CHECK(ReadJson("12.345").number() == doctest::Approx(12.345));
  CHECK(ReadJson("-0.5").number() == doctest::Approx(-0.5));
  CHECK(ReadJson("-1").whole() == 0);
  CHECK(ReadJson("1e3").number() == 1000);
  CHECK(ReadJson("1e300").number() == JsonValue::kNumberMax);
  CHECK(ReadJson("-1e18").number() == -JsonValue::kNumberMax);
  CHECK(ReadJson("1e999").number() == 0);
  CHECK(ReadJson("-12.50E+1").text() == "-12.50E+1");
}

TEST_CASE("json value: escapes become the characters that they mean") {
  CHECK(ReadJson(R"("\"\\\/\b\f\n\r\t")").text() == "\"\\/\b\f\n\r\t");
  CHECK(ReadJson(R"("\u0041\u00e9\u20AC\ud83d\udEB0")").text() == "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xb0");
  CHECK(ReadJson(R"("\u0000x")").text() == std::string("\0x", 2));
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
