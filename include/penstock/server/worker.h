// One thread of the gateway: its listeners, its poller, its sessions, and all that it lends to them.
// Owned by the Server; the thread of Run() only, except for Wake(), counters(), gauges() and desk(), and for Answer()
// after that thread has ended.
// Invariants:
//   - Only the worker destroys a session, and only after the session's step has returned. All others hold handles.
//   - No data of the data path is shared with another worker.
//   - A session that could make progress without another event is on the ready list: no edge will report what is left.
// Does not: decide what a session does in its turn (session.h), start threads, handle signals (server.h, main.cc).
//
// A turn:
//
//   1. Wait      epoll_wait until the next deadline; without waiting if the ready list is not empty or a new policy has
//                not been applied to all sessions. Read the clock once.
//   2. Dispatch  Each event goes to the session of its handle; the event of a stale handle is dropped. The session
//                raises its latches and has a turn at once, with a quantum of kFirstBytes each way. If it moves bulk or
//                is on the ready list, its turn comes in step 4 instead: short messages do not wait behind bulk.
//                The wake-up brings a granted permit, the wish of another worker for one, answers to logins, a new
//                phase, or a new policy. A policy is applied to kPolicyUpdatesPerTurn sessions in each turn.
//   3. Names     Answers of the resolver go to the sessions and datagrams that wait for them.
//   4. Ready     Each session on the ready list has a turn, the longest waiting first, with a quantum of kTurnBytes
//                each way. Once they have moved kTurnBytes together, the rest comes first in the next turn: however
//                many sessions move bulk, new events wait for kTurnBytes and one session's turn at most. Both are
//                kSharedTurnBytes if a session that moves no bulk has had an event lately.
//   5. Time      Deadlines that have passed; lines of the log that were suppressed for a second.
//   6. Answer    If another thread has asked: follows the phase, so that who has changed it and asks finds the
//                listeners in it, and answers: the totals, or kSurveyedPerTurn slots of sessions. Then no session is in
//                the middle of a step, so the totals agree with each other (counters.h).
//   7. Accept    From each listener that was reported, while there are permits: one connection, twice as many in each
//                further turn in a row, kAcceptsPerTurn at most. A single client thus costs no accept(2) that finds the
//                backlog empty. Unused permits are returned if another worker waits for one.
//   8. Yield     If all events of this turn and of the last one were datagrams of one and the same association, yield
//                the core (sched_yield(2)). Programs on this host send one datagram at a time, and a fast worker would
//                forward each by itself; what is sent during the yield is forwarded as one batch. The datagrams of
//                several associations form batches without that.
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
#include "penstock/policy/accounts.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/limiter.h"
#include "penstock/policy/meter.h"
#include "penstock/policy/policy.h"
#include "penstock/policy/settings.h"
#include "penstock/relay/pending_buffer.h"
#include "penstock/relay/throttle.h"
#include "penstock/server/inquiry.h"
#include "penstock/server/permits.h"
#include "penstock/server/recent_sessions.h"
#include "penstock/server/steering.h"
#include "penstock/server/top_targets.h"
#include "penstock/session/session.h"
#include "penstock/udp/associate.h"
#include "penstock/udp/port_pool.h"

namespace penstock {

// In life order.
enum class Phase : std::uint8_t {
  kServing,
  kSuspended,  // new clients are refused; sessions continue, and the gateway may serve again
  kDraining,   // only the connections in the backlog are accepted; sessions continue
  kStopping,   // all sessions end at once; relays are reset
};

// What all workers of a server share, beside constants. Used when a session begins or ends, never for a byte.
struct WorkersShared {
  WorkersShared(Policy first_policy, const Settings& settings)
      : policy(std::move(first_policy)),
        name_files(settings.names.resolv_conf, settings.names.hosts_file),
        permits(settings.connections_max),
        steering(settings.workers),
        bind_ports(settings.bind_ports),
        udp_ports(settings.udp_ports) {}

  SharedBox<Policy> policy;
  Logins* logins = nullptr;  // set before the first worker is made
  NameFiles name_files;
  Permits permits;  // for sessions
  Steering steering;
  PortPool bind_ports;
  PortPool udp_ports;
  std::atomic<Phase> phase{Phase::kServing};
  Limiter limiter{RandomKey()};
  Accounts accounts;
};

// A listening socket as a worker gets it.
struct ListeningSocket {
  Fd socket;
  std::size_t address = 0;  // its index in Settings::listen
  bool shared = false;      // with another program, or another worker: it may be closed, but not shut down
};

class Worker {
 public:
  // `number` is from 0 to settings.workers - 1. `listeners` are non-blocking. `settings`, `log`, `shared` and `news`,
  // to which its desk reports, must outlive the worker. Throws std::system_error if the system has no descriptor or
  // memory for its poller.
  Worker(std::size_t number, const Settings& settings, Log& log, WorkersShared& shared, Semaphore& news,
         std::vector<ListeningSocket> listeners);
  ~Worker();

  // Serves until the phase is kStopping, or is kDraining and the backlog and all sessions have ended.
  void Run();

  // Makes Run read the phase and the policy again. Any thread.
  void Wake() const { wake_.Raise(); }

  const Counters& counters() const { return counters_; }
  const Gauges& gauges() const { return gauges_; }

  // Where another thread asks; wake the worker then.
  InquiryDesk& desk() { return desk_; }

  // Answers a part of `inquiry`. True if it is the last part.
  bool Answer(Inquiry& inquiry);

 private:
  struct Listener {
    Fd socket;                                  // closed once it has drained
    std::size_t address;                        // its index in Settings::listen
    bool shared;                                // it is not shut down: clients of a suspended gateway wait
    bool ready = false;                         // a connection waits in the backlog, as of this turn's wait
    bool watched = true;                        // the poller reports it; not while accepting is paused
    int batch = 1;                              // the maximum of connections to accept in the next turn
    bool suspended = false;                     // it does not listen, but keeps its port; if shared, it only waits
    std::optional<std::size_t> backlog_left{};  // draining: connections still to accept, of the backlog at its start
  };

  void Turn();
  void UpdateGauges();
  int Wait();
  std::optional<std::chrono::nanoseconds> TimeoutAt(TimePoint now) const;
  void Dispatch(const Poller::Event& event);
  std::optional<Handle> OnlyAssociation(int events) const;
  void YieldToFillBatches(int events);
  void OnWake();
  void TakePolicy();
  void ApplyPolicy();
  void ApplyUserLimits();
  void DeliverLogins();
  void DeliverNames();
  void DeliverToDatagram(Handle waiting, const NameAnswer& answer);
  void RunReadyList();
  std::uint64_t BytesMoved() const;
  void ExpireDeadlines();

  void AnswerDesk();
  void FillTotals(Totals& totals);
  void AppendRow(const SessionView& session, Inquiry& inquiry) const;
  bool CountTargets(Inquiry& inquiry);
  void AppendEnded(const EndedSession& session, Inquiry& inquiry) const;
  void EndSessions(Inquiry& inquiry);

  Cookie CookieOf(const Listener& listener) const;
  void FollowPhase();
  void BeginDrain();
  void EndListening(Listener& listener);
  void Resume();
  bool listening() const;
  void Watch(Listener& listener, bool on);
  void AcceptAll();
  void AcceptFrom(Listener& listener);
  bool TakePermit(Listener& listener);
  static void NoteEmpty(Listener& listener);
  Admission AdmissionOf(const Accepted& accepted);
  bool Admit(Accepted& accepted, Admission admission);
  void KeepSteeringEven();
  void ReportPause(Counter& counter, std::string_view event);
  bool unfinished() const {
    return !ready_.empty() || policy_next_ != Handle::kNoSlot || limited_next_ != Handle::kNoSlot ||
           inquiry_ != nullptr;
  }
  bool asked() const { return inquiry_ != nullptr || desk_.waiting(); }  // one relaxed load
  bool accepting_paused() const { return permits_.waiting() || accept_retry_ > clock_.now(); }

  void Schedule(Session& session, Session::Next next);
  void Release(Session& session);
  void Keep(EndedSession ended);

  const std::size_t number_;
  Log& log_;
  WorkersShared& shared_;
  std::shared_ptr<const Policy> policy_;
  std::uint32_t policy_next_ = Handle::kNoSlot;   // the first session that still has the previous one; kNoSlot: none
  std::uint32_t limited_next_ = Handle::kNoSlot;  // the first session whose user's limits are to be looked at
  std::uint32_t endings_seen_ = 0;                // Accounts::endings
  Counters counters_;
  Gauges gauges_;
  Phase phase_ = Phase::kServing;  // that the listeners are in
  Clock clock_;
  Poller poller_;
  WakeUp wake_;
  LoginMailbox login_answers_{wake_};
  std::vector<LoginAnswer> login_batch_;
  PermitLease permits_;
  std::vector<Listener> listeners_;
  TimePoint accept_retry_{};                // no accept before this time
  TimePoint last_short_{};                  // when a session that moves no bulk last had an event
  std::optional<Handle> only_association_;  // if all events of the last turn were its datagrams

  Guard guard_;
  std::unique_ptr<std::uint8_t[]> copy_buffer_;
  PipePool pipes_;
  PendingBufferPool pending_buffers_;
  Resolver resolver_;
  Slab<Handshake> handshakes_;
  AssociationPool associations_;
  Slab<Throttle> throttles_;
  FairShares further_attempts_;
  Meters meters_;
  SessionDeadlines deadlines_;
  LogPace warnings_;
  SessionTools tools_;
  Slab<Session> sessions_;
  std::vector<Handle> ready_;  // sessions that get another turn, the longest waiting first

  InquiryDesk desk_;
  std::unique_ptr<Inquiry> inquiry_;          // taken from the desk, and answered in part
  std::vector<std::uint64_t> accepted_from_;  // of counters_.accepted, by listener
  std::optional<RecentSessions> recent_;      // these two if there is an admin interface to show them
  std::optional<TopTargets> targets_;         // of sessions that have ended
};

}  // namespace penstock
