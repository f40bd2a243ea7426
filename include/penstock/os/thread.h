// Threads, with names.
// Owned by whoever starts one, and joined or detached by them.
// Invariant: signals are the starter's business: a thread inherits its mask (pthread_create(3)).
// Deliberately not here: what threads share, and how they tell each other of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <semaphore>
#include <thread>

namespace penstock {

class Thread {
 public:
  Thread() = default;

  // Runs `body`. `name`, 15 bytes at most, is what top(1) and perf(1) show. Throws std::system_error when the system
  // has no thread to give.
  Thread(const char* name, std::function<void()> body);

  bool running() const { return thread_.joinable(); }  // neither joined nor detached
  void Join();                                         // waits for its end
  void Detach();                                       // nobody will wait for it

 private:
  std::thread thread_;
};

// Asks one thread to end. Raise: any thread, once; WaitFor: the thread that is asked.
class StopRequest {
 public:
  void Raise();

  // Waits for Raise, for at most `timeout`. True if it was called.
  [[nodiscard]] bool WaitFor(std::chrono::milliseconds timeout);

 private:
  std::binary_semaphore raised_{0};
};

// Lets others who want this CPU go first (sched_yield(2)).
void YieldCpu();

// CPUs that this process may run on (sched_getaffinity(2)), 1 at least.
std::size_t UsableCpus();

}  // namespace penstock
