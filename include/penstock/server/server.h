// The whole gateway in one object: listeners, workers, their threads, and how it ends.
// Owned by main, or by a test; its functions are called from the thread that made it.
// Invariant: while a Server exists its workers run, and when it is destroyed no thread, descriptor or session of it
// is left.
// Deliberately not here: signals and the command line (main, config.h).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/base/counters.h"
#include "penstock/login/logins.h"
#include "penstock/os/fd.h"
#include "penstock/os/log.h"
#include "penstock/os/poller.h"
#include "penstock/os/thread.h"
#include "penstock/os/udp.h"
#include "penstock/policy/policy.h"
#include "penstock/policy/settings.h"
#include "penstock/server/worker.h"

namespace penstock {

// What the open files of a process are for: per worker so many sockets of name queries, so many attempts of dialers
// beside the first of each and so many pipes at a time, and the rest for sessions (0 when there is none).
struct DescriptorBudget {
  std::size_t sessions = 0;
  std::size_t name_attempts = 0;
  std::size_t further_attempts = 0;
  std::size_t pipes = 0;
};
DescriptorBudget BudgetFor(std::size_t descriptors, std::size_t workers, std::size_t listeners);

class Server {
 public:
  // Listens, gives up what rights it may have when the settings say so, and starts the workers. Null on failure; then
  // `*error` is a sentence that names what stood in the way. `log` must outlive the server. A connections_max of 0, or
  // one that the descriptor limit does not allow, becomes what it allows.
  static std::unique_ptr<Server> Start(Settings settings, Log& log, std::string* error);

  ~Server();  // Stop(), and waits for the threads
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where it listens, with the ports that the kernel picked, in the order of Settings::listen.
  const std::vector<Endpoint>& listening() const { return settings_.listen; }
  const Settings& settings() const { return settings_; }

  // True if one of these addresses is not loopback.
  bool listens_beyond_loopback() const;

  // The limit of sessions per client when the policy has none: beyond loopback half of max-connections, so that no
  // client keeps out the others. None on loopback: all users of this host are one client there.
  std::optional<std::uint32_t> connections_per_client_default() const;

  // From now on, for all requests to come; sessions live on (but see Policy::reload_ends_denied).
  void Reload(Policy policy);

  // Nobody new comes in; when the last session has ended, the workers end.
  void Drain() { Enter(Phase::kDraining); }

  // Sessions are cut off, and the workers end.
  void Stop() { Enter(Phase::kStopping); }

  // A descriptor that is readable once a worker has ended; finished() is true when all have.
  int finished_fd() const { return finished_.fd(); }
  void ClearFinished() const { finished_.Clear(); }
  bool finished() const { return running_.load(std::memory_order_acquire) == 0; }

  // A counter or gauge, over all workers.
  std::uint64_t Sum(Counter Counters::*counter) const;
  std::uint64_t Sum(Gauge Gauges::*gauge) const;
  std::uint64_t Replies(std::size_t rep) const;  // for tests

  std::size_t sessions() const;  // that are alive
  std::size_t sessions(SessionState state) const;
  std::size_t logins_waiting() const { return logins_->waiting(); }  // for a thread

 private:
  Server(Settings settings, Log& log);
  Policy WithDefaults(Policy policy) const;
  bool Open(std::string* error);
  bool ListenEverywhere(std::vector<std::vector<Fd>>* per_worker, std::string* error);
  void StartWorkers(std::vector<std::vector<Fd>> listeners);
  void Enter(Phase phase);

  Settings settings_;
  Log& log_;
  WorkersShared shared_;
  std::shared_ptr<const Policy> before_;  // lest a worker drops it in its turn: a large one takes many milliseconds
  const std::array<Fd, 2> udp_gro_{KeepUdpGro(true), KeepUdpGro(false)};  // else each association switches it
  WakeUp finished_;
  std::atomic<std::size_t> running_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Logins> logins_;  // goes before the workers, into whose mailboxes it answers
  std::vector<Thread> threads_;
};

}  // namespace penstock
