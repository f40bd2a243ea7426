#include "penstock/stash.h"

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
  REQUIRE(pool.Ready());
  auto first = pool.Lend();
  REQUIRE(pool.Ready());
  auto second = pool.Lend();
  CHECK(pool.lent() == 2);
  CHECK_FALSE(pool.Ready());
  pool.Return(std::move(first));
  CHECK(pool.lent() == 1);
  CHECK(pool.Ready());
  pool.Return(std::move(second));
  CHECK(pool.lent() == 0);
}

TEST_CASE("stash: a pool without loans is never ready") {
  StashPool pool(0);
  CHECK_FALSE(pool.Ready());
}

TEST_CASE("stash: asking whether it is ready takes nothing") {
  StashPool pool(1);
  for (int i = 0; i < 3; ++i) CHECK(pool.Ready());
  CHECK(pool.lent() == 0);
  pool.Return(pool.Lend());
}

TEST_CASE("stash: a crowd of loans comes back whole") {
  StashPool pool(100);
  std::vector<std::unique_ptr<Stash>> lent;
  while (pool.Ready()) lent.push_back(pool.Lend());
  CHECK(lent.size() == 100);
  for (auto& stash : lent) pool.Return(std::move(stash));
  CHECK(pool.lent() == 0);
  CHECK(pool.Ready());
}

TEST_CASE("stash: a stash that comes back with bytes inside is lent empty") {
  StashPool pool(1);
  REQUIRE(pool.Ready());
  auto stash = pool.Lend();
  stash->Fill(Bytes("another session's"));
  stash->Consume(8);
  pool.Return(std::move(stash));
  REQUIRE(pool.Ready());
  stash = pool.Lend();
  CHECK(stash->empty());
  CHECK(Waiting(*stash) == "");
  pool.Return(std::move(stash));
}

}  // namespace
}  // namespace penstock
