#include "penstock/os/clock.h"

namespace penstock {

TimePoint SteadyNow() { return std::chrono::steady_clock::now(); }

std::chrono::milliseconds TimeOfDay() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace penstock
