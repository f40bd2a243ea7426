// Stops a thread of this process while it exists, so that several events are pending when the thread continues; and
// lets a thread call a function, as an intruder would who has taken it over.
// Owned by a test, on another thread than the held one; one at a time.
#pragma once

#include <string_view>

namespace penstock::test {

class HeldThread {
 public:
  // Returns once the thread of this name is stopped, in a signal handler. Its system call ends with EINTR when it
  // continues.
  explicit HeldThread(std::string_view name);
  ~HeldThread();
  HeldThread(const HeldThread&) = delete;
  HeldThread& operator=(const HeldThread&) = delete;
};

// Returns once the thread of this name has called `act`, in a signal handler: async-signal-safe (signal-safety(7)).
void CallIn(std::string_view name, void (*act)());

}  // namespace penstock::test
