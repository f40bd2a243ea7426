// Wiring only: command line, signals, server, and the exit code (0 clean, 1 could not run, 2 usage).

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "penstock/config.h"
#include "penstock/log.h"
#include "penstock/quantity.h"
#include "penstock/server.h"

namespace penstock {
namespace {

constexpr int kExitClean = 0;
constexpr int kExitCannotRun = 1;
constexpr int kExitUsage = 2;

// The signals that stop the gateway, as a descriptor. Blocked before any thread exists, so that none gets them.
Fd BlockStopSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGQUIT);
  ::signal(SIGHUP, SIG_IGN);  // there is nothing to reload, and a closed terminal is no reason to cut sessions off
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
    if (!at.ip.is_loopback()) {
      log.Write(LogLine(LogLevel::kWarn, "open-proxy")
                    .Address("at", at)
                    .Text("meaning", "whoever reaches this address may use the gateway: guard it with a firewall"));
    }
  }
}

// Waits for `signals` to be readable, or for a worker to end, until `deadline`. True when a signal came.
bool SignalCame(const Fd& signals, const Server& server, std::chrono::steady_clock::time_point deadline) {
  while (!server.finished()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    constexpr std::chrono::milliseconds kHour = std::chrono::hours(1);
    pollfd waiting[] = {{signals.get(), POLLIN, 0}, {server.finished_fd(), POLLIN, 0}};
    if (::poll(waiting, 2, static_cast<int>(std::min(left, kHour).count())) <= 0) continue;
    if ((waiting[0].revents & POLLIN) != 0) {
      signalfd_siginfo taken;
      return ::read(signals.get(), &taken, sizeof taken) == sizeof taken;
    }
    server.ClearFinished();
  }
  return false;
}

int Run(Settings settings) {
  const Fd signals = BlockStopSignals();
  Log log(STDERR_FILENO, settings.log_level);
  std::string error;
  const auto server = Server::Start(std::move(settings), log, &error);
  if (server == nullptr) {
    log.Write(LogLine(LogLevel::kError, "cannot-start").Text("reason", error));
    return kExitCannotRun;
  }
  LogStart(*server, log);

  SignalCame(signals, *server, std::chrono::steady_clock::time_point::max());
  log.Write(LogLine(LogLevel::kNotice, "drain")
                .Number("sessions", server->sessions())
                .Text("timeout", FormatDuration(server->settings().drain_timeout)));
  server->Drain();
  SignalCame(signals, *server, std::chrono::steady_clock::now() + server->settings().drain_timeout);
  log.Write(LogLine(LogLevel::kNotice, "stop").Number("cut-off", server->sessions()));
  return kExitClean;
}

int Main(int count, char* arguments[]) {
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
    case CommandLine::Wish::kRun:
      break;
  }
  return Run(std::move(line.settings));
}

}  // namespace
}  // namespace penstock

int main(int count, char* arguments[]) { return penstock::Main(count, arguments); }
