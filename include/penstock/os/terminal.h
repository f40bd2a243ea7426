// The terminal that a command is run from, as a screen: keys, size, signals, and whole frames.
// Owned by a command; its thread only. One at a time: it takes the signals of the process.
// Invariant: the terminal is as it was before, once the object is destroyed and while the command is stopped: the mode,
// the cursor, and what it has shown (the alternate screen of xterm, which terminals without one ignore).
// Does not: know what keys mean, compose frames, restore the terminal after SIGKILL.
#pragma once

#include <termios.h>

#include <csignal>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "penstock/os/fd.h"

namespace penstock {

// The columns of the terminal that standard output is; 0 if it is none.
std::size_t OutputColumns();

class Terminal {
 public:
  struct Size {
    std::size_t columns;
    std::size_t rows;
  };

  // What has been signalled. Stopping (SIGTSTP) and going on is handled here, and looks like a new size.
  enum class Signal : unsigned char {
    kNone,
    kResized,  // SIGWINCH
    kEnd,      // SIGINT, SIGTERM, SIGHUP, SIGQUIT: end the command
  };

  // Takes the controlling terminal. Null if there is none, or if it is not the process's turn: then `*error` says so.
  static std::unique_ptr<Terminal> Open(std::string* error);

  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // To wait for: readable when there are keys, or a signal. Edge-triggered waits need one TakeKeys or TakeSignal calls
  // until there is nothing left.
  int keys_fd() const { return keys_.get(); }
  int signals_fd() const { return signals_.get(); }

  std::string TakeKeys();  // the bytes typed since the last call; empty if there are none
  Signal TakeSignal();

  bool gone() const { return gone_; }  // the terminal has been closed
  Size size() const;                   // 80 × 24 if it does not say

  // Shows `frame`, which covers the terminal from its first row on: in one write(2) if the terminal takes it at once.
  // Terminals that can draw it as a whole do (synchronised updates, mode 2026).
  void Draw(std::string_view frame);

 private:
  Terminal() = default;
  bool Take();
  void Leave();
  void Stop();
  void Write(std::string_view text);

  Fd keys_;    // the terminal, with O_NONBLOCK
  Fd screen_;  // the terminal, without: it may be slower than the frames
  Fd signals_;
  sigset_t mask_before_{};
  termios before_{};
  bool taken_ = false;
  bool gone_ = false;
};

}  // namespace penstock
