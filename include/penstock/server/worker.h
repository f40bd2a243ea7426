// One thread of the gateway: its listeners, its poller, its sessions and everything that it lends to them.
// Owned by the Server; all of it belongs to the thread that runs Run(), but for Wake(), counters() and gauges().
// Invariant: only the worker destroys sessions, and only after their step has returned; everybody else holds handles.
// Nothing on the data path is shared with another worker.
// Deliberately not here: what a session does with its turn (session.h), signals and threads (server.h).
//
// A turn:
//
//   1. wait for events (not at all while the ready list has somebody), read the clock once
//   2. each event: find whom it is for (a stale handle: nobody), raise latches, and drive, or put on the ready list who
//      moves bulk; the wake-up's also means verdicts on logins, and another policy: some sessions are told of it in
//      each turn until all have been
//   3. names that were found: to the sessions that wait for them
//   4. sessions on the ready list: one more turn each, until they have moved kTurnBytes; the others come first in the
//      next turn. With edge triggering, whoever stops before "again" must be on the list.
//   5. deadlines, and what the log has suppressed for a second
//   6. accept, a bounded number, as long as there are permits for more sessions
//   7. when the datagrams of one association are all there was, in this turn and the one before it: let whoever waits
//      for this core go first. Programs of this host send datagram by datagram, and a worker that is quick carries each
//      by itself; what comes while others run goes as one batch. With several associations batches fill without that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "penstock/base/counters.h"
#include "penstock/base/fair_shares.h"
#include "penstock/base/shared_box.h"
#include "penstock/base/slab.h"
#include "penstock/dns/files.h"
#include "penstock/dns/resolver.h"
#include "penstock/login/logins.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/log.h"
#include "penstock/os/pipe.h"
#include "penstock/os/poller.h"
#include "penstock/os/random.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/limiter.h"
#include "penstock/policy/policy.h"
#include "penstock/policy/settings.h"
#include "penstock/relay/pending_buffer.h"
#include "penstock/relay/throttle.h"
#include "penstock/server/permits.h"
#include "penstock/session/session.h"
#include "penstock/udp/associate.h"
#include "penstock/udp/port_pool.h"

namespace penstock {

// In life order.
enum class Phase : std::uint8_t {
  kServing,
  kDraining,  // nobody new comes in; sessions go on
  kStopping,  // sessions are cut off
};

// What all workers of a server share, besides constants. Touched when a session comes or goes, never for a byte.
struct WorkersShared {
  WorkersShared(Policy first_policy, const Settings& settings)
      : policy(std::move(first_policy)),
        name_files(settings.names.resolv_conf, settings.names.hosts_file),
        permits(settings.connections_max),
        bind_ports(settings.bind_ports),
        udp_ports(settings.udp_ports) {}

  SharedBox<Policy> policy;
  Logins* logins = nullptr;  // set before the first worker is made
  NameFiles name_files;
  Permits permits;  // for sessions
  PortPool bind_ports;
  PortPool udp_ports;
  std::atomic<Phase> phase{Phase::kServing};
  Limiter limiter{RandomKey()};
  Accounts accounts;
};

class Worker {
 public:
  // `listeners` are non-blocking. Throws std::system_error when the system has no descriptor for its poller.
  Worker(const Settings& settings, Log& log, WorkersShared& shared, std::vector<Fd> listeners);
  ~Worker();

  // Serves until the phase says otherwise: while draining, until the last session has ended.
  void Run();

  // Makes Run look at the phase and the policy. Any thread.
  void Wake() const { wake_.Raise(); }

  const Counters& counters() const { return counters_; }
  const Gauges& gauges() const { return gauges_; }

 private:
  struct Listener {
    Fd socket;                          // closed once it has drained
    bool ready = true;                  // a latch: somebody may be waiting
    std::optional<std::size_t> left{};  // draining: of those who were in the backlog when it began
  };

  void Turn();
  void UpdateGauges();
  std::optional<std::chrono::nanoseconds> PollTimeout() const;
  void Dispatch(const Poller::Event& event);
  std::optional<Handle> LoneAssociation(int events) const;
  void LetBatchesFill(int events);
  void OnWake();
  void TakePolicy();
  void TellOfPolicy();
  void DeliverLogins();
  void DeliverNames();
  void DeliverToDatagram(Handle waiting, const NameAnswer& answer);
  void RunReadyList();
  std::uint64_t BytesMoved() const;
  void ExpireDeadlines();

  void BeginDrain();
  bool listening() const;
  void AcceptAll();
  void AcceptFrom(Listener& listener);
  bool TakePermit(Listener& listener);
  Admission AdmissionOf(const Accepted& accepted);
  bool Admit(Accepted& accepted, Admission admission);
  void NotePause(Counter& counter, std::string_view event);
  bool accepting_paused() const { return permits_.waiting() || accept_again_ > clock_.now(); }

  void After(Session& session, Session::Next next);
  void Release(Session& session);

  Log& log_;
  WorkersShared& shared_;
  std::shared_ptr<const Policy> policy_;
  std::uint32_t policy_told_ = Handle::kNoSlot;  // the first session that has not been told of it; kNoSlot: all have
  Counters counters_;
  Gauges gauges_;
  Clock clock_;
  Poller poller_;
  WakeUp wake_;
  LoginMailbox login_answers_{wake_};
  std::vector<LoginAnswer> logins_now_;
  PermitLease permits_;
  std::vector<Listener> listeners_;
  TimePoint accept_again_{};
  std::optional<Handle> lone_association_;  // of the last turn

  Guard guard_;
  std::unique_ptr<std::uint8_t[]> copy_buffer_;
  PipePool pipes_;
  PendingBufferPool pending_buffers_;
  Resolver resolver_;
  Slab<Handshake> handshakes_;
  AssociationPool associations_;
  Slab<Throttle> throttles_;
  FairShares further_attempts_;
  SessionDeadlines deadlines_;
  LogPace warnings_;
  SessionTools tools_;
  Slab<Session> sessions_;
  std::vector<Handle> ready_;  // the longest waiting first
};

}  // namespace penstock
