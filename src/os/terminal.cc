#include "penstock/os/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "penstock/os/file.h"

namespace penstock {
namespace {

// xterm's control sequences: the alternate screen, the cursor, and the start and end of a synchronised update.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr std::string_view kFrameBegins = "\x1b[?2026h\x1b[H";
constexpr std::string_view kFrameEnds = "\x1b[?2026l";

Fd OpenTerminal(int flags) { return Fd(::open("/dev/tty", flags | O_CLOEXEC | O_NOCTTY)); }

}  // namespace

std::size_t OutputColumns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::unique_ptr<Terminal> Terminal::Open(std::string* error) {
  std::unique_ptr<Terminal> terminal(new Terminal);
  terminal->keys_ = OpenTerminal(O_RDONLY | O_NONBLOCK);
  terminal->screen_ = OpenTerminal(O_WRONLY);
  if (!terminal->keys_.valid() || !terminal->screen_.valid()) {
    *error = "there is no terminal";
    return nullptr;
  }
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, &terminal->mask_before_);
  terminal->signals_ = Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (terminal->signals_.valid() && terminal->Take()) return terminal;
  *error = std::string("the terminal cannot be used: ") + std::strerror(errno);
  return nullptr;
}

// First the terminal: a pending signal may end the process.
Terminal::~Terminal() {
  Leave();
  if (signals_.valid()) ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

// Keys come at once and are not shown; Ctrl-C and Ctrl-Z still send signals.
bool Terminal::Take() {
  if (::tcgetattr(screen_.get(), &before_) != 0) return false;
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ECHONL | IEXTEN);
  raw.c_iflag &= ~static_cast<tcflag_t>(IXON | ICRNL | INLCR);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  if (::tcsetattr(screen_.get(), TCSADRAIN, &raw) != 0) return false;
  taken_ = true;
  Write(kEnter);
  return true;
}

// A shell whose job is a script around this command takes the terminal as soon as the script stops. Without SIGTTOU
// blocked, this process would stop here, with its frame and its mode left behind.
void Terminal::Leave() {
  if (!taken_) return;
  taken_ = false;
  sigset_t background_output;
  sigset_t before;
  ::sigemptyset(&background_output);
  ::sigaddset(&background_output, SIGTTOU);
  ::sigprocmask(SIG_BLOCK, &background_output, &before);
  // Drops the keys that were typed for this command; those that are typed once its screen has gone are the shell's.
  ::tcsetattr(screen_.get(), TCSAFLUSH, &before_);
  Write(kLeave);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

// Returns when the shell lets the process go on.
void Terminal::Stop() {
  Leave();
  ::kill(::getpid(), SIGSTOP);
  gone_ = gone_ || !Take();
}

std::string Terminal::TakeKeys() {
  std::string keys;
  char room[256];
  for (;;) {
    const ssize_t got = ::read(keys_.get(), room, sizeof room);
    if (got > 0) {
      keys.append(room, static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      gone_ = gone_ || got == 0 || (errno != EAGAIN && errno != EINTR);
      return keys;
    }
  }
}

Terminal::Signal Terminal::TakeSignal() {
  signalfd_siginfo taken;
  if (::read(signals_.get(), &taken, sizeof taken) != sizeof taken) return Signal::kNone;
  if (taken.ssi_signo == SIGTSTP) Stop();
  return taken.ssi_signo == SIGTSTP || taken.ssi_signo == SIGWINCH ? Signal::kResized : Signal::kEnd;
}

Terminal::Size Terminal::size() const {
  winsize size{};
  if (::ioctl(screen_.get(), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 24};
  return {size.ws_col, size.ws_row};
}

void Terminal::Draw(std::string_view frame) { Write(std::string(kFrameBegins).append(frame).append(kFrameEnds)); }

void Terminal::Write(std::string_view text) {
  if (!WriteAll(screen_.get(), text)) gone_ = true;
}

}  // namespace penstock
