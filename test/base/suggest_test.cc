#include "penstock/base/suggest.h"

#include <string>

#include <doctest/doctest.h>

namespace penstock {
namespace {

constexpr std::string_view kKnown[] = {"client", "user", "command", "target", "port", "source", "source-interface"};

TEST_CASE("suggest: a word with one or two errors gets a suggestion") {
  const struct {
    std::string_view word, meant;
  } rows[] = {
      {"tagret", "target"},
      {"targt", "target"},
      {"targets", "target"},
      {"TARGET", "target"},
      {"clinet", "client"},
      {"clients", "client"},
      {"prot", "port"},
      {"ports", "port"},
      {"users", "user"},
      {"comand", "command"},
      {"cmmand", "command"},
      {"soucre", "source"},
      {"source", "source"},
      {"sourceinterface", "source-interface"},
      {"source_interface", "source-interface"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.word);
    CHECK(Nearest(row.word, kKnown) == row.meant);
  }
}

TEST_CASE("suggest: a word that is near to no known word gets no suggestion") {
  for (const std::string_view word : {"", "x", "to", "from", "destination", "po", "tttttt"}) {
    CAPTURE(word);
    CHECK_FALSE(Nearest(word, kKnown));
  }
  CHECK_FALSE(Nearest(std::string(100'000, 't'), kKnown));
  CHECK_FALSE(Nearest("target", {}));
}

TEST_CASE("suggest: the nearest word is suggested, of equals the first") {
  constexpr std::string_view kAlike[] = {"bind-porta", "bind-ports", "bind-parts"};
  CHECK(Nearest("bind-part", kAlike) == "bind-parts");
  CHECK(Nearest("bind-port", kAlike) == "bind-porta");
}

}  // namespace
}  // namespace penstock
