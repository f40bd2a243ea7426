#include "penstock/os/random.h"

#include <doctest/doctest.h>

namespace penstock {

TEST_CASE("no two random keys are the same") {
  const DigestKey first = RandomKey();
  CHECK_FALSE(first == RandomKey());
  CHECK_FALSE(first == DigestKey{});
}

}  // namespace penstock
