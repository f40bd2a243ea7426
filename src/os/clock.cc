#include "penstock/os/clock.h"

namespace penstock {

TimePoint SteadyNow() { return std::chrono::steady_clock::now(); }

}  // namespace penstock
