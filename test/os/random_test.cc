#include "penstock/os/random.h"

#include <doctest/doctest.h>

namespace penstock {

TEST_CASE("random: two keys differ") {
  const DigestKey first = RandomKey();
  CHECK_FALSE(first == RandomKey());
  CHECK_FALSE(first == DigestKey{});
}

}  // namespace penstock
