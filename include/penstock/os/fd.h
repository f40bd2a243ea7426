// The owner of one file descriptor.
// A move-only value: whoever holds the Fd owns the descriptor, and its destructor closes it.
// Invariant: valid() is true exactly when get() is an open descriptor that this object will close.
// Deliberately not here: every other operation on a descriptor.
#pragma once

#include <utility>

namespace penstock {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}  // takes ownership; a negative number means none
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Close(); }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }

  // Another descriptor of the same open file; not valid() if there is none left (F_DUPFD_CLOEXEC, fcntl(2)).
  Fd Duplicate() const;

  // Closes the descriptor, if there is one. Ignores the errors of close(2), for none can be acted on. Does not retry
  // after EINTR: Linux has released the descriptor by then.
  void Close();

 private:
  int fd_ = -1;
};

}  // namespace penstock
