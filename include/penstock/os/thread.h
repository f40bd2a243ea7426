// Named threads, and what a thread asks of the scheduler.
// A Thread belongs to the object that starts it and joins or detaches it.
// Invariant: a thread has the signal mask of the thread that starts it (pthread_create(3)).
// Deliberately not here: locks, and what threads share.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <semaphore>
#include <thread>
#include <vector>

#include "penstock/os/sandbox.h"

namespace penstock {

class Thread {
 public:
  Thread() = default;

  // Runs `body` in a new thread. `name`, at most 15 bytes, is shown by top(1) and perf(1). Throws std::system_error if
  // the system has no thread left. `kind` says what the sandbox leaves to it.
  Thread(const char* name, std::function<void()> body, ThreadKind kind = ThreadKind::kOther);

  bool running() const { return thread_.joinable(); }  // started, and neither joined nor detached
  void Join();                                         // waits until `body` has returned
  void Detach();                                       // lets it run on; it cannot be joined any more

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

// Counts events for a thread that waits for them, as sem_overview(7) says.
class Semaphore {
 public:
  void Post();  // one event; any thread

  // Waits until there is an event, for at most `timeout`, and takes it. False if there was none.
  [[nodiscard]] bool WaitFor(std::chrono::nanoseconds timeout);

 private:
  std::counting_semaphore<> events_{0};
};

// Lets other runnable threads use this CPU first (sched_yield(2)).
void YieldCpu();

// The CPUs that this process may use, in ascending order (sched_getaffinity(2)); at least one.
std::vector<unsigned> UsableCpus();

// Keeps the calling thread on one of them (sched_setaffinity(2)). If the CPU has become unusable, the thread stays as
// it is.
void StayOnCpu(unsigned cpu);

}  // namespace penstock
