// JSON as tests write it.
#pragma once

#include <string_view>

#include <doctest/doctest.h>

#include "penstock/ctl/json_value.h"

namespace penstock::test {

inline JsonValue ReadJson(std::string_view text) {
  CAPTURE(text);
  const auto value = JsonValue::Parse(text);
  REQUIRE(value);
  return *value;
}

}  // namespace penstock::test
