// Waits for events of other threads, and measures time.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace penstock::test {

using std::chrono::milliseconds;

// The timeout of every wait. Only a failing test waits this long.
inline constexpr milliseconds kTestTimeout{20'000};

// A timeout of the gateway whose end a test waits for.
inline constexpr milliseconds kShort{200};

// True as soon as `condition` is true; false if it is not within `timeout`.
template <class Condition>
[[nodiscard]] bool WaitUntil(Condition condition, milliseconds timeout = kTestTimeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

class Stopwatch {
 public:
  milliseconds elapsed() const {
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun_);
  }

 private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

// Runs a scenario that must be faster than a short timeout of the gateway, for which a busy machine may be too slow.
// `scenario` gets the timeout, 200 ms at first. If it returns false, or throws after more than the timeout, the machine
// was too slow, and the scenario is repeated with four times the timeout. It must not check anything before it knows
// that it was fast enough. If it fails with every timeout, so does the test.
template <class Scenario>
void BeforeDeadline(Scenario scenario) {
  for (milliseconds deadline(200);; deadline *= 4) {
    const bool last = deadline * 4 > kTestTimeout;
    const Stopwatch watch;
    try {
      if (scenario(deadline)) return;
    } catch (const std::runtime_error&) {
      if (last || watch.elapsed() < deadline) throw;
    }
    if (last) throw std::runtime_error("too slow even for a deadline of " + std::to_string(deadline.count()) + " ms");
  }
}

}  // namespace penstock::test
