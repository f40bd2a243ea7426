#include "penstock/relay/pending_buffer.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::Bytes;

std::string Unsent(const PendingBuffer& buffer) {
  const auto unsent = buffer.unsent();
  return {unsent.begin(), unsent.end()};
}

TEST_CASE("pending buffer: bytes wait in order until they are consumed") {
  PendingBuffer buffer;
  CHECK(buffer.empty());
  buffer.Fill(Bytes("abcdef"));
  CHECK(Unsent(buffer) == "abcdef");
  buffer.Consume(2);
  CHECK(Unsent(buffer) == "cdef");
  CHECK_FALSE(buffer.empty());
  buffer.Consume(4);
  CHECK(buffer.empty());
  buffer.Fill(Bytes("gh"));
  CHECK(Unsent(buffer) == "gh");
}

TEST_CASE("pending buffer: it holds the largest read") {
  const std::string most = unit::Pattern(kCopyBytes);
  PendingBuffer buffer;
  buffer.Fill(Bytes(most));
  CHECK(Unsent(buffer) == most);
}

TEST_CASE("pending buffer: the pool never lends more than its limit") {
  PendingBufferPool pool(2);
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
  PendingBufferPool pool(0);
  CHECK_FALSE(pool.Ready(0));
}

TEST_CASE("pending buffer: Ready does not lend") {
  PendingBufferPool pool(1);
  for (int i = 0; i < 3; ++i) CHECK(pool.Ready(0));
  CHECK(pool.lent() == 0);
  pool.Return(pool.Lend(0));
}

TEST_CASE("pending buffer: all of many lent buffers can be returned") {
  PendingBufferPool pool(100);
  std::vector<std::unique_ptr<PendingBuffer>> lent;
  while (pool.Ready(0)) lent.push_back(pool.Lend(0));
  CHECK(lent.size() == 75);  // another client gets one
  CHECK(pool.Ready(1));
  for (auto& buffer : lent) pool.Return(std::move(buffer));
  CHECK(pool.lent() == 0);
  CHECK(pool.Ready(0));
}

TEST_CASE("pending buffer: one that is returned with bytes inside is empty when it is lent again") {
  PendingBufferPool pool(1);
  REQUIRE(pool.Ready(0));
  auto buffer = pool.Lend(0);
  buffer->Fill(Bytes("another session's"));
  buffer->Consume(8);
  pool.Return(std::move(buffer));
  REQUIRE(pool.Ready(0));
  buffer = pool.Lend(0);
  CHECK(buffer->empty());
  CHECK(Unsent(*buffer) == "");
  pool.Return(std::move(buffer));
}

}  // namespace
}  // namespace penstock
