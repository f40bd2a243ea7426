// Wiring only: command line, signals, server, and the exit code (0 clean, 1 could not run, 2 usage).

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "penstock/config.h"
#include "penstock/log.h"
#include "penstock/options.h"
#include "penstock/passwd.h"
#include "penstock/privileges.h"
#include "penstock/quantity.h"
#include "penstock/server.h"

namespace penstock {
namespace {

constexpr int kExitClean = 0;
constexpr int kExitCannotRun = 1;
constexpr int kExitUsage = 2;

// The signals that mean something to the gateway, as a descriptor. Blocked before any thread exists, so that none gets
// them.
Fd BlockSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return Fd(::signalfd(-1, &signals, SFD_CLOEXEC));
}

void LogStart(const Server& server, Log& log) {
  LogLine line(LogLevel::kNotice, "start");
  line.Text("version", kProgramVersion).Number("workers", server.settings().workers);
  line.Number("max-connections", server.settings().connections_max);
  line.Number("open-files", RaiseDescriptorLimit());
  log.Write(line);
  for (const Endpoint& at : server.listening()) {
    log.Write(LogLine(LogLevel::kNotice, "listen").Address("at", at));
  }
}

// Waits for one of `signals`, until `deadline` or until the workers have ended: then 0.
int NextSignal(const Fd& signals, const Server& server, std::chrono::steady_clock::time_point deadline) {
  while (!server.finished()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return 0;
    constexpr std::chrono::milliseconds kHour = std::chrono::hours(1);
    pollfd waiting[] = {{signals.get(), POLLIN, 0}, {server.finished_fd(), POLLIN, 0}};
    if (::poll(waiting, 2, static_cast<int>(std::min(left, kHour).count())) <= 0) continue;
    if ((waiting[0].revents & POLLIN) != 0) {
      signalfd_siginfo taken;
      if (::read(signals.get(), &taken, sizeof taken) == sizeof taken) return static_cast<int>(taken.ssi_signo);
    }
    server.ClearFinished();
  }
  return 0;
}

// A program, its command line, and what it is doing.
class Program {
 public:
  // `arguments` as main gets them, and what they were found to mean.
  Program(int count, char* const* arguments, CommandLine line)
      : count_(count), arguments_(arguments), line_(std::move(line)), log_(STDERR_FILENO, line_.settings.log_level) {}

  int Run() {
    std::string error;
    server_ = Server::Start(line_.settings, log_, &error);
    if (server_ == nullptr) {
      log_.Write(LogLine(LogLevel::kError, "cannot-start").Text("reason", error));
      return kExitCannotRun;
    }
    LogStart(*server_, log_);
    if (line_.shows_password) {
      log_.Write(LogLine(LogLevel::kWarn, "password-on-command-line")
                     .Text("meaning", "everybody on this host can read it: use --users FILE"));
    }
    WarnOfUnreadable();

    WaitForStop(std::chrono::steady_clock::time_point::max());
    log_.Write(LogLine(LogLevel::kNotice, "drain")
                   .Number("sessions", server_->sessions())
                   .Text("timeout", FormatDuration(server_->settings().drain_timeout)));
    server_->Drain();
    WaitForStop(std::chrono::steady_clock::now() + server_->settings().drain_timeout);
    log_.Write(LogLine(LogLevel::kNotice, "stop").Number("cut-off", server_->sessions()));
    return kExitClean;
  }

 private:
  void WaitForStop(std::chrono::steady_clock::time_point deadline) {
    while (NextSignal(signals_, *server_, deadline) == SIGHUP) Reload();
  }

  // Whom --run-as has made it may not read what root could.
  void WarnOfUnreadable() {
    for (const std::string& file : line_.files) WarnUnlessReadable(file, R_OK);
    for (const std::string& folder : line_.folders) WarnUnlessReadable(folder, R_OK | X_OK);
  }

  void WarnUnlessReadable(const std::string& path, int mode) {
    if (::access(path.c_str(), mode) == 0) return;
    log_.Write(LogLine(LogLevel::kWarn, "unreadable-later")
                   .Text("file", path)
                   .Text("meaning", "a reload will fail: let the user of --run-as read it"));
  }

  // A mistake changes nothing.
  void Reload() {
    CommandLine line = ParseCommandLine(count_, arguments_, UsableCpus());
    if (line.wish == CommandLine::Wish::kMistake) {
      log_.Write(LogLine(LogLevel::kError, "reload-failed").Text("reason", line.mistake));
      return;
    }
    log_.set_level(line.settings.log_level);
    server_->Reload(std::move(line.settings.policy));
    LogLine told(LogLevel::kNotice, "reload");
    const std::string restart = NeedsRestart(line_, line);
    if (!restart.empty()) told.Text("needs-restart", restart);
    log_.Write(told);
  }

  const int count_;
  char* const* const arguments_;
  const CommandLine line_;
  const Fd signals_ = BlockSignals();  // before the log has a thread
  Log log_;
  std::unique_ptr<Server> server_;
};

int Check(const CommandLine& line) {
  std::printf("penstock: nothing is wrong with these options");
  for (const std::string& file : line.files)
    std::printf("%s%s", &file == &line.files.front() ? " and " : ", ", file.c_str());
  std::printf("\n");
  return kExitClean;
}

int Main(int count, char* arguments[]) {
  ForbidNewPrivileges();
  if (count > 1 && std::string_view(arguments[1]) == "passwd") return RunPasswd(count, arguments);
  CommandLine line = ParseCommandLine(count, arguments, UsableCpus());
  switch (line.wish) {
    case CommandLine::Wish::kHelp:
      std::fputs(HelpText().c_str(), stdout);
      return kExitClean;
    case CommandLine::Wish::kVersion:
      std::printf("penstock %s\n", std::string(kProgramVersion).c_str());
      return kExitClean;
    case CommandLine::Wish::kMistake:
      std::fprintf(stderr, "penstock: %s\n", line.mistake.c_str());
      return kExitUsage;
    case CommandLine::Wish::kCheck:
      return Check(line);
    case CommandLine::Wish::kRun:
      break;
  }
  return Program(count, arguments, std::move(line)).Run();
}

}  // namespace
}  // namespace penstock

int main(int count, char* arguments[]) { return penstock::Main(count, arguments); }
