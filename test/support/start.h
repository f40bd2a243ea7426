// When the time of a test begins in which it passes only as the test says.
#pragma once

#include <chrono>

#include "penstock/os/clock.h"

namespace penstock::test {

// Not zero, which is the time of a default-constructed TimePoint.
inline constexpr TimePoint kStart{std::chrono::hours(1)};

}  // namespace penstock::test
