#include "penstock/relay/stash.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::Bytes;

std::string Waiting(const Stash& stash) {
  const auto waiting = stash.waiting();
  return {waiting.begin(), waiting.end()};
}

TEST_CASE("stash: bytes wait in order until they are consumed") {
  Stash stash;
  CHECK(stash.empty());
  stash.Fill(Bytes("abcdef"));
  CHECK(Waiting(stash) == "abcdef");
  stash.Consume(2);
  CHECK(Waiting(stash) == "cdef");
  CHECK_FALSE(stash.empty());
  stash.Consume(4);
  CHECK(stash.empty());
  stash.Fill(Bytes("gh"));
  CHECK(Waiting(stash) == "gh");
}

TEST_CASE("stash: it holds what one read can bring") {
  const std::string most = unit::Pattern(kCopyBytes);
  Stash stash;
  stash.Fill(Bytes(most));
  CHECK(Waiting(stash) == most);
}

TEST_CASE("stash: the pool never has more on loan than its bound") {
  StashPool pool(2);
  REQUIRE(pool.Ready(0));
  auto first = pool.Lend(0);
  REQUIRE(pool.Ready(1));
  auto second = pool.Lend(1);
  CHECK(pool.lent() == 2);
  CHECK_FALSE(pool.Ready(2));
  pool.Return(std::move(first));
  CHECK(pool.lent() == 1);
  CHECK(pool.Ready(0));
  pool.Return(std::move(second));
  CHECK(pool.lent() == 0);
}

TEST_CASE("stash: a pool without loans is never ready") {
  StashPool pool(0);
  CHECK_FALSE(pool.Ready(0));
}

TEST_CASE("stash: asking whether it is ready takes nothing") {
  StashPool pool(1);
  for (int i = 0; i < 3; ++i) CHECK(pool.Ready(0));
  CHECK(pool.lent() == 0);
  pool.Return(pool.Lend(0));
}

TEST_CASE("stash: a crowd of loans comes back whole") {
  StashPool pool(100);
  std::vector<std::unique_ptr<Stash>> lent;
  while (pool.Ready(0)) lent.push_back(pool.Lend(0));
  CHECK(lent.size() == 75);  // another client finds one
  CHECK(pool.Ready(1));
  for (auto& stash : lent) pool.Return(std::move(stash));
  CHECK(pool.lent() == 0);
  CHECK(pool.Ready(0));
}

TEST_CASE("stash: a stash that comes back with bytes inside is lent empty") {
  StashPool pool(1);
  REQUIRE(pool.Ready(0));
  auto stash = pool.Lend(0);
  stash->Fill(Bytes("another session's"));
  stash->Consume(8);
  pool.Return(std::move(stash));
  REQUIRE(pool.Ready(0));
  stash = pool.Lend(0);
  CHECK(stash->empty());
  CHECK(Waiting(*stash) == "");
  pool.Return(std::move(stash));
}

}  // namespace
}  // namespace penstock
