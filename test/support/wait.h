// Waiting for what other threads do, and measuring how long it took.
#pragma once

#include <chrono>
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

}  // namespace penstock::test
