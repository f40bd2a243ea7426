// One file descriptor and its end.
// A value that moves: exactly one owner at a time, closed when the owner goes.
// Invariant: valid() is true exactly when get() names an open descriptor that this object will close.
// Deliberately not here: anything one can do with a descriptor besides closing it.
#pragma once

#include <utility>

namespace penstock {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
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

  // close(2); no error can be acted on. It is not tried again after EINTR: on Linux the descriptor is gone either way.
  void Close();

 private:
  int fd_ = -1;
};

}  // namespace penstock
