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

TEST_CASE("pending buffer: bytes wait in order until they are consumed") {
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

TEST_CASE("pending buffer: it holds the largest read") {
  const std::string most = unit::Pattern(kCopyBytes);
  Stash stash;
  stash.Fill(Bytes(most));
  CHECK(Waiting(stash) == most);
}

TEST_CASE("pending buffer: the pool never lends more than its limit") {
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

TEST_CASE("pending buffer: a pool with a limit of 0 is never ready") {
  StashPool pool(0);
  CHECK_FALSE(pool.Ready(0));
}

TEST_CASE("pending buffer: Ready does not lend") {
  StashPool pool(1);
  for (int i = 0; i < 3; ++i) CHECK(pool.Ready(0));
  CHECK(pool.lent() == 0);
  pool.Return(pool.Lend(0));
}

TEST_CASE("pending buffer: all of many lent buffers can be returned") {
  StashPool pool(100);
  std::vector<std::unique_ptr<Stash>> lent;
  while (pool.Ready(0)) lent.push_back(pool.Lend(0));
  CHECK(lent.size() == 75);  // another client gets one
  CHECK(pool.Ready(1));
  for (auto& stash : lent) pool.Return(std::move(stash));
  CHECK(pool.lent() == 0);
  CHECK(pool.Ready(0));
}

TEST_CASE("pending buffer: one that is returned with bytes inside is empty when it is lent again") {
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
