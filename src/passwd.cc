#include "penstock/passwd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "penstock/base/digest.h"
#include "penstock/base/limits.h"
#include "penstock/base/secret.h"
#include "penstock/login/users.h"
#include "penstock/os/fd.h"
#include "penstock/os/file.h"
#include "penstock/os/password_hash.h"
#include "penstock/os/process.h"

namespace penstock {
namespace {

constexpr std::size_t kLineBytesMax = 4096;  // the longest line of a terminal in canonical mode (termios(3))

int Warn(int exit_code, const std::string& sentence) {
  std::fprintf(stderr, "penstock: %s\n", sentence.c_str());
  return exit_code;
}

// Blocks the signals that end or stop a program from its terminal. While they are blocked, fd() shows by signalfd(2)
// that one is pending; the destructor unblocks them, and a pending one takes effect.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP}) ::sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, &before_);
    waiting_ = Fd(::signalfd(-1, &signals, SFD_CLOEXEC));
  }
  ~HeldSignals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  int fd() const { return waiting_.get(); }

 private:
  sigset_t before_;
  Fd waiting_;
};

// Turns the echo of a terminal off, and restores its settings.
class SilentTerminal {
 public:
  explicit SilentTerminal(int terminal) : terminal_(terminal), silent_(::tcgetattr(terminal, &before_) == 0) {
    if (!silent_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK | ECHONL);
    silent_ = ::tcsetattr(terminal, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (silent_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

  bool silent() const { return silent_; }

 private:
  int terminal_;
  termios before_;
  bool silent_;
};

// The next line of standard input, without its newline; nothing at the end of the input. Cuts a line at kLineBytesMax,
// which is more than a password may have.
std::optional<Secret> ReadInputLine() {
  Secret line = Secret::WithRoom(kLineBytesMax);
  std::size_t size = 0;
  bool ended = false;
  while (!ended && size < kLineBytesMax) {
    char* const next = line.room().data() + size;
    // One byte at a time: what is behind the line is left for other programs.
    const ssize_t got = ::read(STDIN_FILENO, next, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || (got == 0 && size == 0)) return std::nullopt;
    ended = got == 0 || *next == '\n';
    if (!ended) ++size;
  }
  line.Shorten(size);
  return line;
}

// The line that a terminal has ready, without its newline; nothing at the end of the input. One read(2) returns the
// whole line, also if Ctrl-D has ended it. Another read would block, with the signals blocked.
std::optional<Secret> ReadTerminalLine(int terminal) {
  Secret line = Secret::WithRoom(kLineBytesMax);
  const ssize_t got = ::read(terminal, line.room().data(), kLineBytesMax);
  if (got <= 0) return std::nullopt;
  line.Shorten(static_cast<std::size_t>(got));
  if (line.Reveal().ends_with('\n')) line.Shorten(line.size() - 1);
  return line;
}

enum class AskResult { kAnswered, kInterrupted, kFailed };

// Asks once. kInterrupted: a signal came before a line; if it ends the program, this does not return.
AskResult AskOnce(int terminal, const std::string& prompt, Secret& answer) {
  const HeldSignals signals;
  const SilentTerminal silent(terminal);  // destroyed first: pending signals take effect with the echo restored
  if (!silent.silent() || signals.fd() < 0) return AskResult::kFailed;
  static_cast<void>(WriteAll(terminal, prompt));
  for (;;) {
    pollfd waiting[] = {{terminal, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return AskResult::kFailed;
    if ((waiting[1].revents & POLLIN) != 0) {
      static_cast<void>(WriteAll(terminal, "\n"));
      return AskResult::kInterrupted;
    }
    if (waiting[0].revents == 0) continue;
    auto line = ReadTerminalLine(terminal);
    static_cast<void>(WriteAll(terminal, "\n"));
    if (!line) return AskResult::kFailed;
    answer = std::move(*line);
    return AskResult::kAnswered;
  }
}

// Asks again after a stop (Ctrl-Z) and continuation.
std::optional<Secret> Ask(int terminal, const std::string& prompt) {
  for (;;) {
    Secret answer;
    switch (AskOnce(terminal, prompt, answer)) {
      case AskResult::kAnswered:
        return answer;
      case AskResult::kInterrupted:
        break;
      case AskResult::kFailed:
        return std::nullopt;
    }
  }
}

// Why a password cannot be used; empty if it can.
std::string PasswordError(const Secret& password) {
  if (password.empty()) return "the password is empty";
  if (password.size() > kPasswordBytesMax) {
    return "the password is longer than " + std::to_string(kPasswordBytesMax) + " bytes, which SOCKS5 cannot carry";
  }
  if (password.Reveal().find('\0') != std::string_view::npos) return "the password has a NUL byte";
  return {};
}

int PrintLine(const std::string& name, const Secret& password) {
  const auto hash = MakePasswordHash(password);
  if (!hash) return Warn(kExitFailure, "crypt(3) cannot make a hash on this system");
  const bool printed = std::printf("%s:%s\n", name.c_str(), hash->c_str()) > 0;
  if (!printed || std::fflush(stdout) != 0) return Warn(kExitFailure, "cannot write to standard output");
  return kExitClean;
}

// Without a terminal: reads one line of standard input, without a prompt.
int TakeFromInput(const std::string& name) {
  const auto password = ReadInputLine();
  if (!password) return Warn(kExitFailure, "there is no terminal, and no password on standard input");
  const std::string error = PasswordError(*password);
  return error.empty() ? PrintLine(name, *password) : Warn(kExitFailure, error);
}

int TakeFromTerminal(int terminal, const std::string& name) {
  const auto password = Ask(terminal, "Password for " + name + ": ");
  if (!password) return Warn(kExitFailure, "no password was given");
  const std::string error = PasswordError(*password);
  if (!error.empty()) return Warn(kExitFailure, error);
  const auto again = Ask(terminal, "Repeat the password: ");
  if (!again) return Warn(kExitFailure, "no password was given");
  if (!SameInConstantTime(password->Reveal(), again->Reveal())) {
    return Warn(kExitFailure, "the two passwords differ");
  }
  return PrintLine(name, *password);
}

}  // namespace

int RunPasswd(int count, char* const arguments[]) {
  if (count != 3) return Warn(kExitUsage, "usage: penstock passwd NAME (it reads the password)");
  const std::string name = arguments[2];
  if (!IsUserName(name)) return Warn(kExitUsage, std::string(kUserNameRule));
  const Fd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  return terminal.valid() ? TakeFromTerminal(terminal.get(), name) : TakeFromInput(name);
}

}  // namespace penstock
