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
#include "penstock/os/password_hash.h"
#include "penstock/os/process.h"

namespace penstock {
namespace {

constexpr std::size_t kLineBytesMax = 4096;  // of a terminal (termios(3), canonical mode)

int Warn(int exit_code, const std::string& sentence) {
  std::fprintf(stderr, "penstock: %s\n", sentence.c_str());
  return exit_code;
}

// The signals that end or stop a program from its terminal. Blocked, they wait; as a descriptor, they are seen waiting;
// unblocked, they do what they always do.
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

void Say(int terminal, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(terminal, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

// The next line of standard input, without its end; nothing when there is none. What is longer than kLineBytesMax is
// cut: it is too long for a password anyway.
std::optional<Secret> ReadInputLine() {
  Secret line = Secret::WithRoom(kLineBytesMax);
  std::size_t size = 0;
  bool ended = false;
  while (!ended && size < kLineBytesMax) {
    char* const next = line.room().data() + size;
    const ssize_t got = ::read(STDIN_FILENO, next, 1);  // a byte at a time: what is behind the line is not ours
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || (got == 0 && size == 0)) return std::nullopt;
    ended = got == 0 || *next == '\n';
    if (!ended) ++size;
  }
  line.Shorten(size);
  return line;
}

// The line that a terminal has ready, without its end; nothing when it is at its end. It comes with one read(2), also
// when Ctrl-D has ended it: to ask for more would be to wait, deaf to signals.
std::optional<Secret> ReadTerminalLine(int terminal) {
  Secret line = Secret::WithRoom(kLineBytesMax);
  const ssize_t got = ::read(terminal, line.room().data(), kLineBytesMax);
  if (got <= 0) return std::nullopt;
  line.Shorten(static_cast<std::size_t>(got));
  if (line.Reveal().ends_with('\n')) line.Shorten(line.size() - 1);
  return line;
}

enum class Asked { kAnswered, kInterrupted, kFailed };

// Asks once. Interrupted: a signal came instead of a line; one that ends the program has done so before this returns.
Asked AskOnce(int terminal, const std::string& prompt, Secret& answer) {
  const HeldSignals signals;
  const SilentTerminal silent(terminal);  // goes first, so that the signals meet a terminal with echo
  if (!silent.silent() || signals.fd() < 0) return Asked::kFailed;
  Say(terminal, prompt);
  for (;;) {
    pollfd waiting[] = {{terminal, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return Asked::kFailed;
    if ((waiting[1].revents & POLLIN) != 0) {
      Say(terminal, "\n");
      return Asked::kInterrupted;
    }
    if (waiting[0].revents == 0) continue;
    auto line = ReadTerminalLine(terminal);
    Say(terminal, "\n");
    if (!line) return Asked::kFailed;
    answer = std::move(*line);
    return Asked::kAnswered;
  }
}

// After a stop (Ctrl-Z) that has been continued the question is asked again.
std::optional<Secret> Ask(int terminal, const std::string& prompt) {
  for (;;) {
    Secret answer;
    switch (AskOnce(terminal, prompt, answer)) {
      case Asked::kAnswered:
        return answer;
      case Asked::kInterrupted:
        break;
      case Asked::kFailed:
        return std::nullopt;
    }
  }
}

// What is wrong with a password; empty when nothing is.
std::string Fault(const Secret& password) {
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

// Without a terminal: one line of standard input, no questions.
int TakeFromInput(const std::string& name) {
  const auto password = ReadInputLine();
  if (!password) return Warn(kExitFailure, "there is no terminal, and no password on standard input");
  const std::string fault = Fault(*password);
  return fault.empty() ? PrintLine(name, *password) : Warn(kExitFailure, fault);
}

int TakeFromTerminal(int terminal, const std::string& name) {
  const auto password = Ask(terminal, "Password for " + name + ": ");
  if (!password) return Warn(kExitFailure, "no password was given");
  const std::string fault = Fault(*password);
  if (!fault.empty()) return Warn(kExitFailure, fault);
  const auto again = Ask(terminal, "The same again: ");
  if (!again) return Warn(kExitFailure, "no password was given");
  if (!SameInConstantTime(password->Reveal(), again->Reveal())) {
    return Warn(kExitFailure, "the two passwords differ");
  }
  return PrintLine(name, *password);
}

}  // namespace

int RunPasswd(int count, char* const arguments[]) {
  if (count != 3) return Warn(kExitUsage, "usage: penstock passwd NAME; it asks for the password");
  const std::string name = arguments[2];
  if (!IsUserName(name)) return Warn(kExitUsage, std::string(kUserNameRule));
  const Fd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  return terminal.valid() ? TakeFromTerminal(terminal.get(), name) : TakeFromInput(name);
}

}  // namespace penstock
