// Waiting for what other threads do, and measuring how long it took.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace penstock::test {

using std::chrono::milliseconds;

// How long anything may take that should happen at once. Only a failing test waits this long.
inline constexpr milliseconds kPatience{20'000};

// True as soon as `condition` is; false when it has not become so in time.
template <class Condition>
[[nodiscard]] bool WaitUntil(Condition condition, milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
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

// For what has to happen before a short deadline of the gateway passes: a busy machine may be too slow for it, and that
// says nothing about the gateway. `scenario` is told the deadline, which is 200 ms at first. When it returns false, or
// throws after more time than that, it was too slow, and is played again with four times as long. It must not check
// anything before it knows that it was in time. Whatever goes wrong with every deadline fails the test.
template <class Scenario>
void BeforeDeadline(Scenario scenario) {
  for (milliseconds deadline(200);; deadline *= 4) {
    const bool last = deadline * 4 > kPatience;
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
