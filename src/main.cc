// The program: connects the command line, signals and the server, and returns the exit status (os/process.h).

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "penstock/admin/admin.h"
#include "penstock/admin/routes.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/prefix.h"
#include "penstock/base/quantity.h"
#include "penstock/base/shared_box.h"
#include "penstock/config/config.h"
#include "penstock/config/options.h"
#include "penstock/ctl/arguments.h"
#include "penstock/ctl/ctl.h"
#include "penstock/ctl/top.h"
#include "penstock/os/clock.h"
#include "penstock/os/log.h"
#include "penstock/os/poller.h"
#include "penstock/os/privileges.h"
#include "penstock/os/process.h"
#include "penstock/os/sandbox.h"
#include "penstock/os/service_manager.h"
#include "penstock/os/socket.h"
#include "penstock/os/thread.h"
#include "penstock/passwd.h"
#include "penstock/server/server.h"
#include "penstock/server/service_report.h"

namespace penstock {
namespace {

// Sanitizers make calls that the sandbox refuses: at the end, LeakSanitizer traces the program.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

sigset_t Block(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

// Returns a signalfd(2) for the signals that the gateway handles, and blocks them. Called before any thread is started:
// threads inherit the mask, so none of them is interrupted.
Fd BlockSignals() {
  const sigset_t signals = Block({SIGTERM, SIGINT, SIGQUIT, SIGHUP});
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

std::string FolderOf(const std::string& path) {
  const std::size_t end = path.rfind('/');
  if (end == std::string::npos) return ".";
  return end == 0 ? "/" : path.substr(0, end);
}

std::vector<Endpoint> AddressesOf(std::span<const Fd> sockets) {
  std::vector<Endpoint> addresses;
  for (const Fd& socket : sockets) addresses.push_back(LocalEndpoint(socket.get()));
  return addresses;
}

// Parses the command line again in a thread of its own, so that the main thread can handle signals meanwhile.
class OptionReader {
 public:
  ~OptionReader() {
    if (thread_.running()) thread_.Detach();
  }

  // False if no thread can be started. The reader must not be busy().
  bool Start(int count, char* const* arguments, const RunningGateway& running) try {
    // The thread shares the result, for it may be detached and outlive the reader.
    thread_ = Thread("reader", [count, arguments, running, read = read_] {
      try {
        read->line = ParseCommandLine(count, arguments, UsableCpus().size(), running);
      } catch (const std::bad_alloc&) {
        read->line = {.action = CommandLine::Action::kError, .error = "there is not enough memory for the options"};
      }
      read->done.Raise();
    });
    return true;
  } catch (const std::system_error&) {
    return false;
  }

  bool busy() const { return thread_.running(); }
  int done_fd() const { return read_->done.fd(); }  // readable once Finish does not wait

  // Waits for the thread and returns what it has parsed.
  CommandLine Finish() {
    thread_.Join();
    read_->done.Clear();
    return std::move(read_->line);
  }

 private:
  struct Read {
    CommandLine line;
    WakeUp done;
  };
  std::shared_ptr<Read> read_ = std::make_shared<Read>();
  Thread thread_;
};

// Reloads that another thread asks the main thread for, and their outcome.
class ReloadRequests {
 public:
  // The other thread: waits for a reload that begins after this call. Returns its error, empty: it succeeded; nothing
  // if it has not ended within kAnswerTimeout. After Close it waits for nothing.
  std::optional<std::string> Ask() {
    const TimePoint deadline = SteadyNow() + kAnswerTimeout;
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = ++asked_;
    }
    wanted_.Raise();
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (closed_) return "the gateway is stopping";
        if (done_ >= number) return error_;
      }
      const auto left = deadline - SteadyNow();
      if (left.count() <= 0) return std::nullopt;
      static_cast<void>(ended_.WaitFor(left));
    }
  }

  // The main thread: a descriptor that is readable after Ask; a reload begins; it ends with `error`.
  int wanted_fd() const { return wanted_.fd(); }
  void Take() const { wanted_.Clear(); }
  void Begin() {
    const std::lock_guard lock(mutex_);
    begun_ = asked_;
  }
  void End(std::string_view error) {
    {
      const std::lock_guard lock(mutex_);
      done_ = begun_;
      error_ = error;
    }
    ended_.Post();
  }
  void Close() {  // there is no further reload
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ended_.Post();
  }

 private:
  WakeUp wanted_;
  Semaphore ended_;
  std::mutex mutex_;  // guards the rest
  std::uint64_t asked_ = 0;
  std::uint64_t begun_ = 0;  // of those that were asked for, the last one that the present reload serves
  std::uint64_t done_ = 0;
  bool closed_ = false;
  std::string error_;
};

// The gateway as a program, from its parsed command line to its exit status.
class Program : public Operations {
 public:
  // `arguments` as main gets them, and `line`, parsed from them and the addresses of the `passed` sockets.
  Program(int count, char* const* arguments, CommandLine line, std::vector<Fd> passed)
      : count_(count),
        arguments_(arguments),
        line_(std::move(line)),
        passed_(std::move(passed)),
        passed_at_(AddressesOf(passed_)),
        log_(STDERR_FILENO, line_.settings.policy.log_level, line_.settings.policy.log_format) {}

  std::optional<std::string> Reload() override { return reload_requests_.Ask(); }

  std::vector<OptionValue> Options() override {
    return OptionsInForce(line_.given, *options_.Take(), server_->settings());
  }

  int Run() {
    std::string error;
    if (kSanitized) line_.settings.sandbox = SandboxMode::kOff;
    options_.Put(line_.given);
    server_ =
        Server::Start(line_.settings, log_, &error, {.passed = std::move(passed_), .confine = [this] { Confine(); }});
    if (server_ == nullptr || !StartAdmin(&error)) {
      log_.Write(LogLine(LogLevel::kError, "cannot-start").Text("reason", error));
      return kExitFailure;
    }
    if (line_.settings.sandbox == SandboxMode::kReport) ConfineThread(ThreadKind::kOther);
    LogAdmin();
    LogStart(*server_, log_);
    LogSandbox();
    if (line_.exposes_password) {
      log_.Write(LogLine(LogLevel::kWarn, "password-on-command-line")
                     .Text("meaning", "every user of this host can read it: use --users FILE"));
    }
    WarnAboutUnreadable();
    WarnAboutPrivateNetworks();
    LogDefaultLimit();
    line_.settings.policy = {};  // it may be large, and the server has its own
    report_.emplace(manager_, *server_);
    report_->Ready();

    WaitForStop(TimePoint::max());
    log_.Write(LogLine(LogLevel::kNotice, "drain")
                   .Number("sessions", server_->sessions())
                   .Text("timeout", FormatDuration(server_->settings().drain_timeout)));
    report_->Stopping(server_->settings().drain_timeout);
    server_->Drain();
    WaitForStop(SteadyNow() + server_->settings().drain_timeout);
    log_.Write(LogLine(LogLevel::kNotice, "stop").Number("sessions", server_->sessions()));
    reload_requests_.Close();  // the admin interface ends once its answers have ended
    return kExitClean;
  }

  bool reading() const { return reader_.busy(); }

 private:
  // After a change of user, which makes the process dumpable again.
  void Confine() {
    AllowDumps(line_.core_dumps);
    const Settings& settings = line_.settings;
    ConfineNewThreads(settings.sandbox, [this](int call, const std::string& thread) {
      log_.Write(LogLine(LogLevel::kWarn, "sandbox-would-refuse")
                     .Number("call", static_cast<std::uint64_t>(call))
                     .Text("thread", thread));
    });
    if (settings.sandbox != SandboxMode::kOn) return;
    SandboxFolders folders;
    folders.files = line_.files;
    for (const std::string& file : {settings.names.resolv_conf, settings.names.hosts_file})
      folders.files.push_back(file);
    folders.files.emplace_back("/etc/localtime");
    folders.read = line_.directories;
    // For process metrics, the quota of pipes, and TZ.
    for (const char* const path : {"/proc/self", "/proc/stat", "/proc/sys/fs", "/usr/share/zoneinfo"}) {
      folders.read.emplace_back(path);
    }
    if (!settings.state_dir.empty()) folders.write.push_back(settings.state_dir);
    for (const std::string& socket : settings.admin.sockets) folders.write.push_back(FolderOf(socket));
    sandbox_ = ConfineProcess(folders);
  }

  void LogSandbox() {
    const SandboxMode mode = line_.settings.sandbox;
    if (mode != SandboxMode::kOn) {
      const std::string_view word = mode == SandboxMode::kOff ? "off" : "report";
      return log_.Write(LogLine(LogLevel::kNotice, "sandbox").Text("mode", word));
    }
    if (!sandbox_.seccomp || sandbox_.landlock == 0) {
      const std::string_view missing = sandbox_.seccomp         ? "landlock"
                                       : sandbox_.landlock == 0 ? "seccomp, landlock"
                                                                : "seccomp";
      log_.Write(LogLine(LogLevel::kWarn, "sandbox-incomplete")
                     .Text("missing", missing)
                     .Text("meaning", "this kernel does not have it, or a container forbids it"));
    }
    log_.Write(LogLine(LogLevel::kNotice, "sandbox")
                   .Text("mode", "on")
                   .Number("landlock", static_cast<std::uint64_t>(sandbox_.landlock)));
  }

  // After privileges have been dropped: the Unix socket and its file belong to the user of --run-as.
  bool StartAdmin(std::string* error) {
    const AdminSettings& settings = server_->settings().admin;
    if (settings.listeners() == 0) return true;
    admin_ = Admin::Start(settings, RoutesOf(*server_, log_, *this), error);
    return admin_ != nullptr;
  }

  void LogAdmin() {
    if (admin_ == nullptr) return;
    for (const std::string& path : server_->settings().admin.sockets) {
      log_.Write(LogLine(LogLevel::kNotice, "admin-listen").Text("at", "unix:" + path));
    }
    for (const Endpoint& at : admin_->listening()) {
      log_.Write(LogLine(LogLevel::kNotice, "admin-listen").Address("at", at));
    }
  }

  // Returns at a signal other than SIGHUP, at `deadline`, or when all workers have finished. Reloads at SIGHUP, and for
  // the admin interface.
  void WaitForStop(TimePoint deadline) {
    while (!server_->finished()) {
      if (SteadyNow() >= deadline) return;
      if (SteadyNow() >= report_->next()) report_->OnTime();
      const TimePoint next = std::min(deadline, report_->next());
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - SteadyNow());
      constexpr std::chrono::milliseconds kNow{0};
      constexpr std::chrono::milliseconds kHour = std::chrono::hours(1);
      pollfd waiting[] = {{signals_.get(), POLLIN, 0},
                          {server_->finished_fd(), POLLIN, 0},
                          {reader_.done_fd(), POLLIN, 0},
                          {reload_requests_.wanted_fd(), POLLIN, 0}};
      if (::poll(waiting, std::size(waiting), static_cast<int>(std::clamp(left, kNow, kHour).count())) <= 0) continue;
      signalfd_siginfo taken;
      if ((waiting[0].revents & POLLIN) != 0 && ::read(signals_.get(), &taken, sizeof taken) == sizeof taken) {
        if (taken.ssi_signo != SIGHUP) return;
        reload_wanted_ = true;
      }
      if ((waiting[3].revents & POLLIN) != 0) {
        reload_requests_.Take();
        reload_wanted_ = true;
      }
      if ((waiting[2].revents & POLLIN) != 0) FinishReload(reader_.Finish());
      if (reload_wanted_ && !reader_.busy()) StartReload();
      server_->ClearFinished();
    }
  }

  // Files that root has read, and that the user of --run-as cannot read again.
  void WarnAboutUnreadable() {
    for (const std::string& file : line_.files) WarnUnlessReadable(file, R_OK);
    for (const std::string& folder : line_.directories) WarnUnlessReadable(folder, R_OK | X_OK);
  }

  void WarnUnlessReadable(const std::string& path, int mode) {
    if (::access(path.c_str(), mode) == 0) return;
    log_.Write(LogLine(LogLevel::kWarn, "unreadable-later")
                   .Text("file", path)
                   .Text("meaning", "reloads will fail: make it readable for the user of --run-as"));
  }

  // The gateway gives its clients access to the networks of its host. For private networks that is rarely intended.
  void WarnAboutPrivateNetworks() {
    std::string blocks;
    for (const Prefix& block : line_.settings.policy.rules->exposed_private()) {
      blocks += (blocks.empty() ? "" : ", ") + block.ToString();
    }
    const bool remote = server_->listens_beyond_loopback() || !server_->settings().guard.trust_loopback;
    if (blocks.empty() || !remote) return;
    log_.Write(LogLine(LogLevel::kWarn, "private-networks-open")
                   .Text("blocks", blocks)
                   .Text("meaning", "remote clients can reach them: deny target private, or allow what they need"));
  }

  // A limit that is not in the configuration.
  void LogDefaultLimit() {
    const auto limit = server_->connections_per_client_default();
    if (!limit || line_.settings.policy.limits.connections_per_client_max) return;
    log_.Write(
        LogLine(LogLevel::kNotice, "limit")
            .Number("max-connections-per-client", *limit)
            .Text("meaning",
                  "the default, half of max-connections: clients behind one load balancer or NAT are one client"));
  }

  // A file that changes while it is read may be read in part, so a SIGHUP during a reload causes another reload.
  void StartReload() {
    reload_wanted_ = false;
    reload_requests_.Begin();
    report_->Reloading();
    const RunningGateway running{server_->listening(), server_->settings().guard.trust_loopback, passed_at_};
    if (!reader_.Start(count_, arguments_, running)) RefuseReload("cannot start a thread that reads the options");
  }

  void RefuseReload(std::string_view reason) {
    server_->NoteFailedReload(std::string(reason));
    log_.Write(LogLine(LogLevel::kError, "reload-failed").Text("reason", reason));
    reload_requests_.End(reason);
    report_->Ready();
  }

  // After an error the policy is as before.
  void FinishReload(CommandLine line) {
    if (line.action == CommandLine::Action::kError) return RefuseReload(line.error);
    log_.set_level(line.settings.policy.log_level);
    log_.set_format(line.settings.policy.log_format);
    server_->Reload(std::move(line.settings.policy));
    options_.Put(line.given);
    LogLine reloaded(LogLevel::kNotice, "reload");
    const std::string restart = NeedsRestart(line_, line);
    if (!restart.empty()) reloaded.Text("needs-restart", restart);
    log_.Write(reloaded);
    reload_requests_.End({});
    report_->Ready();
  }

  const int count_;
  char* const* const arguments_;
  CommandLine line_;
  std::vector<Fd> passed_;  // until the server has them
  const std::vector<Endpoint> passed_at_;
  const ServiceManager manager_;
  SandboxParts sandbox_;
  const Fd signals_ = BlockSignals();  // before the log has a thread
  Log log_;
  SharedBox<std::vector<OptionValue>> options_{{}};  // as of the last reload
  ReloadRequests reload_requests_;
  std::unique_ptr<Server> server_;
  std::optional<ServiceReport> report_;  // these two are destroyed before the server, of which they read
  std::unique_ptr<Admin> admin_;
  OptionReader reader_;
  bool reload_wanted_ = false;
};

int Check(const CommandLine& line) {
  std::printf("penstock: no errors in the options");
  for (const std::string& file : line.files)
    std::printf("%s%s", &file == &line.files.front() ? " and " : ", ", file.c_str());
  std::printf("\n");
  return kExitClean;
}

// Prints what a sub-command leaves, and returns the exit status.
int Finish(const CtlResult& result) {
  const bool printed = std::fputs(result.output.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  if (!result.error.empty()) std::fprintf(stderr, "penstock: %s\n", result.error.c_str());
  if (printed) return result.status;
  std::fprintf(stderr, "penstock: cannot write to standard output\n");
  return kExitFailure;
}

int Main(int count, char* arguments[]) {
  ForbidNewPrivileges();
  AllowDumps(false);  // passwords are about to be read
  const std::vector<std::string_view> words(arguments, arguments + count);
  if (count > 1 && words[1] == "passwd") return RunPasswd(count, arguments);
  if (count > 1 && words[1] == "ctl") return Finish(RunCtl(std::span(words).subspan(2)));
  if (count > 1 && words[1] == "top") return Finish(RunTop(std::span(words).subspan(2)));
  Block({SIGHUP});  // SIGHUP waits until the server runs; other signals end a program that is still starting
  PassedSockets passed = TakePassedSockets();
  if (!passed.error.empty()) {
    std::fprintf(stderr, "penstock: %s\n", passed.error.c_str());
    return kExitFailure;
  }
  const RunningGateway start{.passed = AddressesOf(passed.sockets)};
  CommandLine line = ParseCommandLine(count, arguments, UsableCpus().size(), start);
  switch (line.action) {
    case CommandLine::Action::kHelp:
      std::fputs(HelpText().c_str(), stdout);
      return kExitClean;
    case CommandLine::Action::kVersion:
      std::printf("penstock %s\n", std::string(kProgramVersion).c_str());
      return kExitClean;
    case CommandLine::Action::kError:
      std::fprintf(stderr, "penstock: %s\n", line.error.c_str());
      return kExitUsage;
    case CommandLine::Action::kCheck:
      return Check(line);
    case CommandLine::Action::kRun:
      break;
  }
  auto program = std::make_unique<Program>(count, arguments, std::move(line), std::move(passed.sockets));
  const int status = program->Run();
  const bool still_reads = program->reading();
  program.reset();
  if (still_reads) std::_Exit(status);  // without destructors: the thread may still use their objects
  return status;
}

}  // namespace
}  // namespace penstock

int main(int count, char* arguments[]) { return penstock::Main(count, arguments); }
