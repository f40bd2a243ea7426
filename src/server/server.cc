#include "penstock/server/server.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/pipe.h"
#include "penstock/os/privileges.h"
#include "penstock/os/process.h"
#include "penstock/os/socket.h"
#include "penstock/os/thread.h"
#include "penstock/server/steering.h"

namespace penstock {

DescriptorBudget BudgetFor(std::size_t descriptors, std::size_t workers, std::size_t listeners) {
  const std::size_t share = descriptors / workers;
  DescriptorBudget budget;
  budget.name_attempts = std::clamp(share / 16, kNameAttemptsMin, kNameAttemptsMax);
  budget.further_attempts = std::clamp(share / 64, kFurtherAttemptsMin, kFurtherAttemptsMax);
  budget.pipes = std::clamp(share / 64, kPipesMin, kPipesMax);
  const std::size_t reserved =
      kDescriptorsOfProcess +
      workers * (kDescriptorsPerWorker + listeners + budget.name_attempts + budget.further_attempts + 2 * budget.pipes);
  budget.sessions = descriptors > reserved ? (descriptors - reserved) / kDescriptorsPerSession : 0;
  return budget;
}

namespace {

// What the admin interface takes at most.
std::size_t AdminDescriptors(const AdminSettings& admin) {
  return admin.listeners() == 0 ? 0 : kDescriptorsOfAdmin + admin.listeners() + kAdminConnectionsMax;
}

// Lowers the maxima of `settings` to what the descriptor limit allows beside `others`. False if no session is left,
// with a sentence in `*error`.
bool FitToSystem(Settings& settings, std::size_t others, std::string* error) {
  const std::size_t all = RaiseDescriptorLimit();
  const std::size_t descriptors = all - std::min(all, AdminDescriptors(settings.admin) + others);
  const DescriptorBudget budget = BudgetFor(descriptors, settings.workers, settings.listen.size());
  const std::size_t fit = budget.sessions;
  if (fit == 0) {
    *error = "the limit of " + std::to_string(all) + " open files leaves no descriptor for a session; raise it " +
             "(ulimit -n, LimitNOFILE=) or use fewer workers";
    return false;
  }
  const std::size_t asked = settings.connections_max;
  settings.connections_max = asked == 0 ? fit : std::min(asked, fit);
  settings.names.attempts_max = std::min(settings.names.attempts_max, budget.name_attempts);
  settings.further_attempts_max = std::min(settings.further_attempts_max, budget.further_attempts);
  settings.pipes_max = std::min(settings.pipes_max, budget.pipes);
  return true;
}

// Gives the sockets of an address to the workers, each in its turn, until each socket has a worker and each worker a
// socket. A socket that no worker accepts from would be a black hole.
bool ShareOut(std::vector<Fd> sockets, std::size_t address, std::vector<std::vector<ListeningSocket>>* per_worker,
              std::string* error) {
  const std::size_t count = std::max(sockets.size(), per_worker->size());
  for (std::size_t i = 0; i < count; ++i) {
    Fd socket = sockets[i % sockets.size()].Duplicate();
    if (!socket.valid()) {
      *error = "there is no descriptor left for the sockets that were passed";
      return false;
    }
    (*per_worker)[i % per_worker->size()].push_back({std::move(socket), address, true});
  }
  return true;
}

}  // namespace

std::unique_ptr<Server> Server::Start(Settings settings, Log& log, std::string* error, ServerStart start) {
  IgnoreBrokenPipes();
  GiveBackBlocksFrom(kSlabChunkBytes);  // memory of many sessions returns to the system when they have ended
  const std::size_t asked = settings.connections_max;
  if (!FitToSystem(settings, start.passed.size(), error)) return nullptr;
  std::unique_ptr<Server> server(new Server(std::move(settings), log));
  if (!server->Open(std::move(start), error)) return nullptr;
  // After Open: the first line starts the log's thread, which would keep capabilities that Open drops (privileges.h).
  if (asked > server->settings().connections_max) {
    log.Write(LogLine(LogLevel::kWarn, "max-connections-lowered")
                  .Number("asked", asked)
                  .Number("max-connections", server->settings().connections_max)
                  .Number("open-files", RaiseDescriptorLimit()));
  }
  return server;
}

Server::Server(Settings settings, Log& log)
    : settings_(std::move(settings)), log_(log), shared_(WithDefaults(std::move(settings_.policy)), settings_) {}

bool Server::listens_beyond_loopback() const {
  return std::ranges::any_of(settings_.listen, [](const Endpoint& at) { return !at.ip.is_loopback(); });
}

std::optional<std::uint32_t> Server::connections_per_client_default() const {
  if (!listens_beyond_loopback()) return std::nullopt;
  return static_cast<std::uint32_t>(std::max(settings_.connections_max / 2, std::size_t{1}));
}

Policy Server::WithDefaults(Policy policy) const {
  Limits& limits = policy.limits;
  if (limits.connections_per_client_max) return policy;
  limits.connections_per_client_max = connections_per_client_default();
  limits.half_refusals = true;
  return policy;
}

Server::~Server() {
  Stop();
  shared_.name_files.Stop();
  for (Thread& thread : threads_) thread.Join();
  bookkeeper_.Stop();  // after the workers, which have settled what they counted
}

// Listens before it drops privileges, for ports below 1024 need root. Reads the quota of pipes afterwards, for it does
// not hold for root (pipe(7)).
bool Server::Open(ServerStart start, std::string* error) try {
  ListenersOfWorkers listeners(settings_.workers);
  if (!ListenEverywhere(std::move(start.passed), &listeners, error)) return false;
  if (!settings_.run_as.empty()) {
    if (const auto failure = BecomeUser(settings_.run_as)) {
      *error = *failure;
      return false;
    }
  }
  if (start.confine) start.confine();
  log_.Begin();
  ConfigureAccounts(*shared_.policy.Take());
  if (!settings_.state_dir.empty() && !bookkeeper_.Open(settings_.state_dir, error)) return false;
  const auto placement = PlaceWorkers(settings_.cpu_affinity, settings_.workers, UsableCpus());
  if (!placement) {
    *error = "cpu-affinity names a CPU that this process may not use; see taskset(1)";
    return false;
  }
  if (placement->steers) SteerConnections(listeners, placement->cpus);
  const std::size_t of_quota = std::max(PipesOfQuota() / settings_.workers, std::size_t{1});
  settings_.pipes_max = std::min(settings_.pipes_max, of_quota);
  StartWorkers(std::move(listeners), placement->cpus);
  return true;
} catch (const std::system_error& failure) {
  *error = std::string("cannot start a worker: ") + failure.what();
  return false;
}

// All listeners of an address share one program, so it is attached to those of the first worker. Who made shared ones
// may have made them in any number and order.
void Server::SteerConnections(const ListenersOfWorkers& per_worker, std::span<const unsigned> cpus) {
  for (const ListeningSocket& listener : per_worker.front()) {
    if (listener.shared) return;
    if (!SteerByCpu(listener.socket.get(), cpus)) return;  // an old kernel: the workers keep their CPUs all the same
  }
  shared_.steering.Begin();
}

void Server::StartWorkers(ListenersOfWorkers listeners, std::span<const unsigned> cpus) {
  logins_ = std::make_unique<Logins>(settings_.login_threads);
  shared_.logins = logins_.get();
  for (auto& of_one : listeners) {
    workers_.push_back(
        std::make_unique<Worker>(workers_.size(), settings_, log_, shared_, surveyor_.news(), std::move(of_one)));
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const auto cpu = cpus.empty() ? std::nullopt : std::optional(cpus[i]);
    running_.fetch_add(1, std::memory_order_relaxed);
    threads_.emplace_back(
        "worker",
        [this, cpu, &worker = *workers_[i]] {
          if (cpu) StayOnCpu(*cpu);
          worker.Run();
          running_.fetch_sub(1, std::memory_order_release);
          finished_.Raise();
        },
        ThreadKind::kWorker);
  }
  threads_.emplace_back("name-files", [this] { shared_.name_files.Run(); });
  bookkeeper_.Start(settings_.accounts_save_interval, [this] {
    for (const auto& worker : workers_) worker->Wake();
  });
}

// Gives each worker at least one listener for each address.
bool Server::ListenEverywhere(std::vector<Fd> passed, ListenersOfWorkers* per_worker, std::string* error) {
  std::vector<std::vector<Fd>> passed_of(settings_.listen.size());
  for (Fd& socket : passed) {
    const auto at = std::ranges::find(settings_.listen, LocalEndpoint(socket.get()));
    assert(at != settings_.listen.end());
    passed_of[static_cast<std::size_t>(at - settings_.listen.begin())].push_back(std::move(socket));
  }
  // Checks all addresses first: the settings may have 0.0.0.0 and 127.0.0.1 with the same port, and after listening on
  // one the other would be found in use.
  for (std::size_t i = 0; i < settings_.listen.size(); ++i) {
    const Endpoint& at = settings_.listen[i];
    if (!passed_of[i].empty() || at.port == 0 || !InUse(at)) continue;
    *error = "cannot listen on " + at.ToString() + ": the address is in use by another program";
    return false;
  }
  for (std::size_t i = 0; i < settings_.listen.size(); ++i) {
    const bool open = passed_of[i].empty();
    if (!(open ? OpenListeners(i, per_worker, error) : ShareOut(std::move(passed_of[i]), i, per_worker, error))) {
      return false;
    }
  }
  return true;
}

// A port that the kernel picks for the first worker is used by all.
bool Server::OpenListeners(std::size_t address, ListenersOfWorkers* per_worker, std::string* error) {
  Endpoint& at = settings_.listen[address];
  for (auto& listeners : *per_worker) {
    Fd socket = Listen(at, error);
    if (!socket.valid()) return false;
    at.port = LocalEndpoint(socket.get()).port;
    listeners.push_back({std::move(socket), address});
  }
  return true;
}

// A worker that is woken for another reason takes a policy as soon as it is put. The accounts must have its limits by
// then: a session whose account has no quota yet would get no throttle.
void Server::ConfigureAccounts(const Policy& policy) {
  shared_.accounts.Configure(policy.users, policy.user_limits, TimeOfDay());
}

void Server::Reload(Policy policy) {
  previous_policy_ = shared_.policy.Take();
  ConfigureAccounts(policy);
  shared_.policy.Put(WithDefaults(std::move(policy)));
  bookkeeper_.Wake();
  for (const auto& worker : workers_) worker->Wake();
  last_reload_error_.Put({});
  last_reload_success_.store(TimeOfDay().count(), std::memory_order_relaxed);
  last_reload_succeeded_.store(true, std::memory_order_relaxed);
}

void Server::NoteFailedReload(std::string error) {
  last_reload_error_.Put(std::move(error));
  last_reload_succeeded_.store(false, std::memory_order_relaxed);
}

// Any other thread may suspend and resume meanwhile.
void Server::Enter(Phase phase) {
  Phase before = shared_.phase.load(std::memory_order_relaxed);
  while (before < phase && !shared_.phase.compare_exchange_weak(before, phase, std::memory_order_acq_rel)) {
  }
  for (const auto& worker : workers_) worker->Wake();
}

// Goes to `to` unless it is there, if the phase is `from`.
bool Server::Change(Phase from, Phase to) {
  Phase before = from;
  if (!shared_.phase.compare_exchange_strong(before, to, std::memory_order_acq_rel)) return before == to;
  for (const auto& worker : workers_) worker->Wake();
  return true;
}

std::uint64_t Server::Sum(Gauge Gauges::*gauge) const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_) sum += (worker->gauges().*gauge).value();
  return sum;
}

// `ended` is read first: a session that begins or ends meanwhile counts as existing.
std::size_t Server::sessions() const {
  const std::uint64_t ended = Sum(&Counters::ended);
  return static_cast<std::size_t>(Sum(&Counters::accepted) - ended);
}

std::size_t Server::sessions(SessionState state) const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->gauges().sessions[static_cast<std::size_t>(state)].value();
  return static_cast<std::size_t>(sum);
}

}  // namespace penstock
