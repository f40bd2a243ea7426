#include "penstock/base/digest_memory.h"

#include <doctest/doctest.h>

namespace penstock {
namespace {

Digest Number(int number) {
  Digest digest{};
  digest[0] = static_cast<std::uint8_t>(number);
  digest[1] = static_cast<std::uint8_t>(number >> 8);
  return digest;
}

}  // namespace

TEST_CASE("digest memory: it knows the latest digests, of at most two generations") {
  DigestMemory memory(10);
  CHECK_FALSE(memory.Knows(Number(0)));
  for (int i = 0; i < 1000; ++i) {
    memory.Remember(Number(i));
    memory.Remember(Number(i));  // twice is once
    for (int back = 0; back < 10 && back <= i; ++back) CHECK(memory.Knows(Number(i - back)));
  }
  // Asking has kept some of them a generation longer.
  int known = 0;
  for (int i = 0; i < 990; ++i) known += memory.Knows(Number(i)) ? 1 : 0;
  CHECK(known <= 10);
}

TEST_CASE("digest memory: a digest that is used is kept") {
  DigestMemory memory(10);
  memory.Remember(Number(0));
  for (int i = 1; i < 1000; ++i) {
    memory.Remember(Number(i));
    if (i % 5 == 0) CHECK(memory.Knows(Number(0)));
  }
  CHECK_FALSE(memory.Knows(Number(500)));
}

}  // namespace penstock
