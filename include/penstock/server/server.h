// The whole gateway in one object: listeners, workers and their threads, from start to end.
// Owned by main, or by a test; its functions are called from the thread that made it, except where it says any thread.
// Invariant: while a Server exists its workers run or have finished. After its destruction none of its threads,
// descriptors and sessions is left.
// Does not: handle signals (main.cc), read the command line (config.h).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "penstock/base/counters.h"
#include "penstock/base/shared_box.h"
#include "penstock/login/logins.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/log.h"
#include "penstock/os/poller.h"
#include "penstock/os/thread.h"
#include "penstock/os/udp.h"
#include "penstock/policy/accounts.h"
#include "penstock/policy/policy.h"
#include "penstock/policy/settings.h"
#include "penstock/server/bookkeeper.h"
#include "penstock/server/survey.h"
#include "penstock/server/surveyor.h"
#include "penstock/server/worker.h"

namespace penstock {

// How the open files of the process are divided. All but `sessions` are maxima for each worker.
struct DescriptorBudget {
  std::size_t sessions = 0;          // of all workers together; 0: there are too few descriptors
  std::size_t name_attempts = 0;     // sockets of queries to name servers
  std::size_t further_attempts = 0;  // sockets of dialers beside the first of each
  std::size_t pipes = 0;             // with two descriptors each
};
// Divides `descriptors` among `workers`, each with `listeners` listening sockets.
DescriptorBudget BudgetFor(std::size_t descriptors, std::size_t workers, std::size_t listeners);

// What only a program gives a server.
struct ServerStart {
  // Sockets of AdoptListener, whose addresses are among those of the settings. Each address is served by its own,
  // however many they are, and not opened again.
  std::vector<Fd> passed{};

  // Called once privileges have been dropped, and before any thread is started.
  std::function<void()> confine{};
};

class Server {
 public:
  // Listens, drops privileges if the settings name a user, and starts the workers. On failure returns null, with a
  // sentence that names the cause in `*error`. `log` must outlive the server. Sets connections_max to what the
  // descriptor limit allows if it is 0 or more than that.
  static std::unique_ptr<Server> Start(Settings settings, Log& log, std::string* error, ServerStart start = {});

  ~Server();  // Stop(), then joins the threads
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The listening addresses in the order of Settings::listen, with the ports that the kernel picked for port 0.
  const std::vector<Endpoint>& listening() const { return settings_.listen; }
  const Settings& settings() const { return settings_; }

  // True if any of these addresses is not loopback.
  bool listens_beyond_loopback() const;

  // The default limit of sessions per client, for policies that set none: half of max-connections, so that no client
  // locks out the others. No limit if all addresses are loopback, where all users of this host are one client.
  std::optional<std::uint32_t> connections_per_client_default() const;

  // Replaces the policy. New requests are evaluated by it. Existing sessions continue, with its bandwidth limits (but
  // see Policy::reload_ends_denied).
  void Reload(Policy policy);

  // A reload has failed before it came here, for the reason `error`: the last one is no success any more.
  void NoteFailedReload(std::string error);

  // When it was made. Any thread.
  TimePoint begun() const { return begun_; }

  // Whether the last reload succeeded, why not (empty: it did), and when the last one did that succeeded; the start
  // counts as one. Any thread.
  bool last_reload_succeeded() const { return last_reload_succeeded_.load(std::memory_order_relaxed); }
  std::string last_reload_error() const { return *last_reload_error_.Take(); }
  std::chrono::milliseconds last_reload_success() const {
    return std::chrono::milliseconds(last_reload_success_.load(std::memory_order_relaxed));
  }

  // What the workers have counted, together or each; the sessions of `filter` after `after`, at most `limit`; and the
  // end of all sessions of `filter`, with a reset of both sides (survey.h). Any thread, but not while the server is
  // destroyed. Each returns within kAnswerTimeout, also if a worker has ended or does not answer.
  Totals Survey() { return surveyor_.Survey(workers_); }
  std::vector<Totals> SurveyEach() { return surveyor_.SurveyEach(workers_); }
  SessionList Sessions(const SessionFilter& filter, std::size_t limit, std::optional<SessionId> after = {}) {
    return surveyor_.List(workers_, filter, limit, after);
  }
  SessionsEnded EndSessions(const SessionFilter& filter) { return surveyor_.End(workers_, filter); }

  // The last sessions that have ended, at most `limit` and at most kRecentSessions, the newest first. The workers keep
  // them if the admin interface is configured; otherwise there are none. As above.
  RecentList RecentEndings(std::size_t limit) { return surveyor_.Recent(workers_, limit); }

  // The targets with most bytes since the start, at most `limit`, counted under the same condition.
  TargetList Targets(std::size_t limit) { return surveyor_.Targets(workers_, limit); }

  // The account of each user who is configured or has been, by name. At most kSettleInterval old, and exact for
  // sessions that have ended. The first `limit` of those whose names are behind `after`. Any thread.
  std::vector<UserRow> Users(std::string_view after = {}, std::size_t limit = Accounts::kNoLimit) const {
    return shared_.accounts.ListAll(TimeOfDay(), after, limit);
  }

  // Suspend accepts the connections that are in the backlog now, and then refuses clients until Resume, or lets them
  // wait in a passed socket; the listeners keep their ports, and sessions continue. Every worker that answers the next
  // Survey has done it. False if the gateway drains or stops: it does not serve again. Any thread.
  bool Suspend() { return Change(Phase::kServing, Phase::kSuspended); }
  bool Resume() { return Change(Phase::kSuspended, Phase::kServing); }

  // Accepts only the connections that are in the backlog now. The workers finish when the last session has ended.
  void Drain() { Enter(Phase::kDraining); }

  // Ends all sessions at once, relays with a reset. The workers finish.
  void Stop() { Enter(Phase::kStopping); }

  // Any thread.
  Phase phase() const { return shared_.phase.load(std::memory_order_acquire); }

  // A descriptor that is readable when a worker has finished, until ClearFinished. finished(): all workers have.
  int finished_fd() const { return finished_.fd(); }
  void ClearFinished() const { finished_.Clear(); }
  bool finished() const { return running_.load(std::memory_order_acquire) == 0; }

  // The sum of a counter, of counters that differ in a label, or of a gauge, over all workers. Any
  // thread.
  std::uint64_t Sum(Counter Counters::*counter) const {
    return SumOver([counter](const Counters& of_worker) { return (of_worker.*counter).value(); });
  }
  template <std::size_t kCount>
  std::uint64_t Sum(std::array<Counter, kCount> Counters::*counters) const {
    return SumOver([counters](const Counters& of_worker) { return SumOf(of_worker.*counters); });
  }
  std::uint64_t Sum(Gauge Gauges::*gauge) const;

  std::size_t sessions() const;  // that exist now
  std::size_t sessions(SessionState state) const;

 private:
  Server(Settings settings, Log& log);
  Policy WithDefaults(Policy policy) const;
  using ListenersOfWorkers = std::vector<std::vector<ListeningSocket>>;
  bool Open(ServerStart start, std::string* error);
  bool ListenEverywhere(std::vector<Fd> passed, ListenersOfWorkers* per_worker, std::string* error);
  bool OpenListeners(std::size_t address, ListenersOfWorkers* per_worker, std::string* error);
  void SteerConnections(const ListenersOfWorkers& per_worker, std::span<const unsigned> cpus);
  void StartWorkers(ListenersOfWorkers listeners, std::span<const unsigned> cpus);
  void ConfigureAccounts(const Policy& policy);  // before it is put where workers take it
  void Enter(Phase phase);
  bool Change(Phase from, Phase to);

  template <class ValueOf>
  std::uint64_t SumOver(ValueOf value_of) const {
    std::uint64_t sum = 0;
    for (const auto& worker : workers_) sum += value_of(worker->counters());
    return sum;
  }

  const TimePoint begun_ = SteadyNow();
  Settings settings_;
  Log& log_;
  WorkersShared shared_;
  // Kept so that no worker frees it in its turn: a large one takes many milliseconds.
  std::shared_ptr<const Policy> previous_policy_;
  // Otherwise the kernel would enable UDP_GRO with the first association and disable it with the last (KeepUdpGro).
  const std::array<Fd, 2> udp_gro_{KeepUdpGro(true), KeepUdpGro(false)};
  WakeUp finished_;
  std::atomic<std::size_t> running_{0};
  std::atomic<bool> last_reload_succeeded_{true};
  SharedBox<std::string> last_reload_error_{std::string()};
  std::atomic<std::chrono::milliseconds::rep> last_reload_success_{TimeOfDay().count()};
  Surveyor surveyor_{settings_.listen.size()};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Logins> logins_;  // destroyed before the workers: it puts answers into their mailboxes
  std::vector<Thread> threads_;
  Bookkeeper bookkeeper_{shared_.accounts, log_};
};

}  // namespace penstock
