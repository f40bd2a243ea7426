#include "penstock/server/steering.h"

#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

using Mode = CpuAffinity::Mode;
using Cpus = std::vector<unsigned>;

TEST_CASE("steering: automatic placement needs as many workers as usable CPUs, and two at least to steer") {
  const Cpus usable{1, 3, 6};
  const auto all = PlaceWorkers({Mode::kAuto, {}}, 3, usable);
  REQUIRE(all);
  CHECK(all->cpus == usable);
  CHECK(all->steers);
  for (const std::size_t workers : {1U, 2U, 4U}) {
    const auto none = PlaceWorkers({Mode::kAuto, {}}, workers, usable);
    REQUIRE(none);
    CHECK(none->cpus.empty());
    CHECK_FALSE(none->steers);
  }
  const auto alone = PlaceWorkers({Mode::kAuto, {}}, 1, Cpus{4});
  REQUIRE(alone);
  CHECK(alone->cpus == Cpus{4});
  CHECK_FALSE(alone->steers);
}

TEST_CASE("steering: a list places every worker, and steers if no two share a CPU") {
  const Cpus usable{0, 1, 2, 3};
  const auto own = PlaceWorkers({Mode::kList, {3, 1}}, 2, usable);
  REQUIRE(own);
  CHECK(own->cpus == Cpus{3, 1});
  CHECK(own->steers);
  const auto shared = PlaceWorkers({Mode::kList, {3, 1}}, 3, usable);
  REQUIRE(shared);
  CHECK(shared->cpus == Cpus{3, 1, 3});
  CHECK_FALSE(shared->steers);
  CHECK_FALSE(PlaceWorkers({Mode::kList, {3, 4}}, 2, usable));
}

TEST_CASE("steering: no placement without a wish for one") {
  const auto off = PlaceWorkers({}, 2, Cpus{0, 1});
  REQUIRE(off);
  CHECK(off->cpus.empty());
  CHECK_FALSE(off->steers);
}

TEST_CASE("steering: it ends when one worker has more than 1.5 times the mean, and says so once") {
  Steering steering(2);
  CHECK_FALSE(steering.on());
  steering.Begin();
  for (std::size_t i = 1; i < kSteeringSample; ++i) CHECK_FALSE(steering.NoteAccepted(0));
  CHECK(steering.on());
  const auto uneven = steering.NoteAccepted(0);
  REQUIRE(uneven);
  CHECK(uneven->own == kSteeringSample);
  CHECK(uneven->all == kSteeringSample);
  CHECK_FALSE(steering.on());
  for (std::size_t i = 0; i < 2 * kSteeringSample; ++i) CHECK_FALSE(steering.NoteAccepted(0));
}

TEST_CASE("steering: a share of up to 1.5 times the mean is even enough, in each sample by itself") {
  Steering steering(2);
  steering.Begin();
  for (std::size_t i = 0; i < 2 * kSteeringSample; ++i) {  // two to one
    for (int times = 0; times < 2; ++times) CHECK_FALSE(steering.NoteAccepted(0));
    CHECK_FALSE(steering.NoteAccepted(1));
  }
  CHECK(steering.on());
  std::size_t more = 0;
  while (more < 3 * kSteeringSample && !steering.NoteAccepted(0)) ++more;
  CHECK_FALSE(steering.on());
  CHECK(more <= 2 * kSteeringSample);
}

}  // namespace
}  // namespace penstock
