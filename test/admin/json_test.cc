#include "penstock/admin/json.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using namespace std::string_view_literals;

std::string Quoted(std::string_view foreign) { return Json().String(foreign).Take(); }

TEST_CASE("json: objects and arrays have commas between values, at any depth") {
  Json json;
  json.BeginObject().Key("a").Number(1).Key("b").BeginArray().Number(2).BeginObject().EndObject().BeginArray();
  json.EndArray().String("x").EndArray().Key("c").Bool(true).Key("d").Null().EndObject();
  CHECK(json.Take() == R"({"a":1,"b":[2,{},[],"x"],"c":true,"d":null})");
  CHECK(json.BeginArray().Bool(false).EndArray().Take() == "[false]");
}

TEST_CASE("json: numbers and times are exact") {
  CHECK(Json().Number(0).Take() == "0");
  CHECK(Json().Number(std::numeric_limits<std::uint64_t>::max()).Take() == "18446744073709551615");
  CHECK(Json().Seconds(std::chrono::milliseconds(0)).Take() == "0.000");
  CHECK(Json().Seconds(std::chrono::milliseconds(7)).Take() == "0.007");
  CHECK(Json().Seconds(std::chrono::milliseconds(12'045)).Take() == "12.045");
  CHECK(Json().Seconds(std::chrono::milliseconds(9'007'199'254'740'993)).Take() == "9007199254740.993");
}

TEST_CASE("json: quotes, backslashes and control characters are escaped") {
  CHECK(Quoted("") == R"("")");
  CHECK(Quoted(R"(a"b\c/d)") == R"("a\"b\\c/d")");
  CHECK(Quoted("\0\x1f\n\x7f"sv) == R"("\u0000\u001f\u000a\u007f")");
  CHECK(Quoted("\xc2\x80\xc2\x9f\xc2\xa0") == "\"\\u0080\\u009f\xc2\xa0\"");
  CHECK(Json().BeginObject().Key("a\"\n").Null().EndObject().Take() == R"({"a\"\u000a":null})");
}

TEST_CASE("json: UTF-8 stays, and each maximal part that is none becomes U+FFFD") {
  for (const std::string_view valid : {"\xc3\xa4", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                       "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(Quoted(valid) == '"' + std::string(valid) + '"');
  }
  const struct {
    std::string_view bytes;
    int replaced;
  } bad[] = {
      {"\x80", 1},         {"\xc0\xaf", 2},         {"\xc2", 1},         {"\xe0\x9f\xbf", 3},
      {"\xe2\x82", 1},     {"\xed\xa0\x80", 3},     {"\xf0\x8f\xbf", 3}, {"\xf0\x90\x80", 1},
      {"\xf4\x90\x80", 3}, {"\xf5\x80\x80\x80", 4}, {"\xff", 1},
  };
  for (const auto& [bytes, replaced] : bad) {
    std::string expected = "\"a";
    for (int i = 0; i < replaced; ++i) expected += "\xef\xbf\xbd";
    CHECK(Quoted('a' + std::string(bytes) + 'b') == expected + "b\"");
  }
  CHECK(Quoted("\xc2\"") == "\"\xef\xbf\xbd\\\"\"");  // a cut character does not swallow the quote
}

}  // namespace
}  // namespace penstock
