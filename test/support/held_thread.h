// A thread of this process that does nothing for a while: for what is to be there, all at once, when it looks next.
// Made by a test, on another thread than the one it holds; one at a time.
#pragma once

#include <string_view>

namespace penstock::test {

class HeldThread {
 public:
  // Returns once the thread of this name stands still, in a signal handler. Whatever system call it was in ends with
  // EINTR when it goes on.
  explicit HeldThread(std::string_view name);
  ~HeldThread();
  HeldThread(const HeldThread&) = delete;
  HeldThread& operator=(const HeldThread&) = delete;
};

}  // namespace penstock::test
