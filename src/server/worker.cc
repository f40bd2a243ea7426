#include "penstock/server/worker.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/socket.h"
#include "penstock/os/thread.h"

namespace penstock {
namespace {

// The permits of a batch: so few that those which one worker leaves unused are not missed by the others.
std::size_t PermitBatch(const Settings& settings) {
  return std::clamp(settings.connections_max / settings.workers / 8, std::size_t{1}, kPermitsPerBatch);
}

void AddTo(TopTargets& targets, const SessionView& session) {
  const auto target = TargetKey::Of(session);
  if (target) targets.Add(*target, {session.bytes_up, session.bytes_down});
}

SessionRow RowOf(const SessionView& session, std::uint32_t worker, TimePoint now) {
  SessionRow row;
  row.id = {worker, session.handle};
  row.state = session.state;
  row.client = session.client;
  row.user = session.user;
  row.command = session.command;
  row.asked = session.name;
  if (row.asked.empty() && session.has_target_address()) row.asked = session.target.ip.ToString();
  row.port = session.port;
  if (session.connected) row.target = session.target;
  row.bytes_up = session.bytes_up;
  row.bytes_down = session.bytes_down;
  row.age = now - session.begun;
  return row;
}

}  // namespace

Worker::Worker(std::size_t number, const Settings& settings, Log& log, WorkersShared& shared, Semaphore& news,
               std::vector<ListeningSocket> listeners)
    : number_(number),
      log_(log),
      shared_(shared),
      policy_(shared.policy.Take()),
      permits_(shared.permits, wake_, PermitBatch(settings)),
      guard_(clock_, settings.guard, settings.udp_advertise),
      copy_buffer_(new std::uint8_t[kCopyBytes]),
      pipes_(settings.pipes_max, settings.keep_idle_pipes),
      pending_buffers_(settings.pending_buffers_max),
      resolver_(settings.names, shared.name_files, poller_, clock_, counters_, kTagNames),
      handshakes_(settings.connections_max),
      associations_(settings.connections_max, kTagDatagramName),
      throttles_(settings.connections_max),
      further_attempts_(settings.further_attempts_max),
      meters_(shared.accounts),
      deadlines_(settings),
      tools_{.settings = settings,
             .policy = policy_.get(),
             .guard = guard_,
             .log = log,
             .poller = poller_,
             .resolver = resolver_,
             .handshakes = handshakes_,
             .associations = associations_,
             .throttles = throttles_,
             .further_attempts = further_attempts_,
             .bind_ports = shared.bind_ports,
             .udp_ports = shared.udp_ports,
             .deadlines = deadlines_,
             .warnings = warnings_,
             .meters = meters_,
             .logins = *shared.logins,
             .login_answers = login_answers_,
             .gauges = gauges_,
             .flow = {.copy_buffer = {copy_buffer_.get(), kCopyBytes},
                      .pending_buffers = pending_buffers_,
                      .pipes = pipes_,
                      .counters = counters_,
                      .clock = clock_}},
      sessions_(settings.connections_max),
      desk_(news),
      accepted_from_(settings.listen.size()) {
  if (settings.admin.listeners() > 0) {
    recent_.emplace(kRecentSessions);
    targets_.emplace(kTargetsCounted, RandomKey());
  }
  bool registered = poller_.AddReader(wake_.fd(), {kTagWake, {}});
  for (ListeningSocket& listener : listeners) {
    listeners_.push_back({std::move(listener.socket), listener.address, listener.shared});
  }
  for (const Listener& listener : listeners_) {
    registered = poller_.AddListener(listener.socket.get(), CookieOf(listener)) && registered;
  }
  if (!registered) throw std::system_error(std::make_error_code(std::errc::not_enough_memory), "epoll_ctl");
}

Worker::~Worker() {
  sessions_.ForEach([this](Session& session) { Release(session); });
}

void Worker::Run() {
  for (;;) {
    const Phase phase = shared_.phase.load(std::memory_order_acquire);
    if (phase == Phase::kStopping || (phase == Phase::kDraining && sessions_.live() == 0 && !listening())) break;
    Turn();
  }
  warnings_.Tell(log_, TimePoint::max());
  listeners_.clear();  // also if no wake-up came in the last turn
  sessions_.ForEach([this](Session& session) {
    session.Stop();
    Release(session);
  });
  UpdateGauges();
  while (inquiry_ != nullptr) AnswerDesk();
  desk_.Close();
}

void Worker::Turn() {
  const int count = Wait();
  tools_.flow.quantum = kFirstBytes;
  for (int i = 0; i < count; ++i) Dispatch(poller_.At(i));
  ApplyPolicy();
  ApplyUserLimits();
  DeliverNames();
  RunReadyList();
  ExpireDeadlines();
  warnings_.Tell(log_, clock_.now());
  if (asked()) AnswerDesk();
  AcceptAll();
  permits_.ReturnUnused();
  UpdateGauges();
  YieldToFillBatches(count);
}

// Copies the counts that are kept elsewhere. Sessions update gauges_.sessions themselves when their state changes.
void Worker::UpdateGauges() {
  gauges_.accepting_paused.Set(accepting_paused() ? 1 : 0);
  gauges_.permits_unused.Set(permits_.unused());
  gauges_.handshakes.Set(handshakes_.live());
  gauges_.associations.Set(associations_.associations.live());
  gauges_.throttles.Set(throttles_.live());
  gauges_.pipes.Set(pipes_.lent());
  gauges_.pipes_idle.Set(pipes_.idle());
  gauges_.pending_buffers.Set(pending_buffers_.lent());
  gauges_.datagrams_waiting.Set(associations_.waiting.live());
  resolver_.UpdateGauges(gauges_);
}

// Waits for events, and reads the clock. The turn before ended when the wait began, a time that the timeout takes
// anyway; or, if there is no wait, now. So a turn is measured without a clock of its own.
int Worker::Wait() {
  const TimePoint began = clock_.now();
  const bool waits = !unfinished();
  const TimePoint ended = waits ? SteadyNow() : TimePoint();
  const int count = poller_.Wait(waits ? TimeoutAt(ended) : std::chrono::nanoseconds(0));
  clock_.Read();
  counters_.durations.turns.Observe((waits ? ended : clock_.now()) - began);
  return count;
}

// The timeout for epoll_wait at `now`: the time until the next deadline; nothing if none is armed.
std::optional<std::chrono::nanoseconds> Worker::TimeoutAt(TimePoint now) const {
  std::optional<TimePoint> next = resolver_.next_deadline();
  const auto consider = [&](std::optional<TimePoint> candidate) {
    if (candidate && (!next || *candidate < *next)) next = candidate;
  };
  for (const DeadlineQueue* queue : deadlines_.all) consider(queue->next());
  consider(warnings_.next());
  consider(meters_.next());
  if (!permits_.waiting() && !std::ranges::all_of(listeners_, &Listener::watched)) consider(accept_retry_);
  if (!next) return std::nullopt;
  return std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(*next - now));
}

void Worker::Dispatch(const Poller::Event& event) {
  const auto [tag, handle] = event.cookie;
  if (tag == kTagWake) return OnWake();
  if (tag == kTagNames) return resolver_.OnEvent(handle);
  if (tag == kTagListener) {
    listeners_[handle.slot].ready = true;
    return;
  }
  Session* const session = sessions_.Resolve(handle);
  if (session == nullptr) return;  // it ended earlier in this turn
  if (!session->defers_steps()) last_short_ = clock_.now();
  if (tag == kTagClient) {
    Schedule(*session, session->OnClient(event.events, tools_));
  } else if (tag == kTagBindListener) {
    Schedule(*session, session->OnBindListener(tools_));
  } else if (tag < kTagTarget) {
    Schedule(*session, session->OnUdp(static_cast<Association::Side>(tag - kTagUdp), event.events, tools_));
  } else {
    Schedule(*session, session->OnTarget(tag - kTagTarget, event.events, tools_));
  }
}

// The session to whose UDP sockets all events of the last wait belong; nothing if there is none.
std::optional<Handle> Worker::OnlyAssociation(int events) const {
  if (events == 0) return std::nullopt;
  const Handle whose = poller_.At(0).cookie.handle;
  for (int i = 0; i < events; ++i) {
    const Cookie cookie = poller_.At(i).cookie;
    if (cookie.tag < kTagUdp || cookie.tag >= kTagTarget || cookie.handle != whose) return std::nullopt;
  }
  return whose;
}

// A yield takes 0.3 us if no other thread waits for this core. Measured with one association between programs of one
// host, 32 datagrams of 64 bytes under way: batches grow from 3.6 datagrams to 15.
void Worker::YieldToFillBatches(int events) {
  const auto only = OnlyAssociation(events);
  if (only && only == only_association_ && ready_.empty()) {
    for (int i = 0; i < kYieldsToFillBatches; ++i) YieldCpu();
  }
  only_association_ = only;
}

void Worker::OnWake() {
  wake_.Clear();
  permits_.Collect();
  TakePolicy();
  const std::uint32_t endings = shared_.accounts.endings();
  if (std::exchange(endings_seen_, endings) != endings) limited_next_ = 0;
  DeliverLogins();
  FollowPhase();
}

// Takes a question, unless it still has one, and answers a part of it.
void Worker::AnswerDesk() {
  if (inquiry_ == nullptr) inquiry_ = desk_.Take();
  if (inquiry_ == nullptr) return;  // the asker has taken it back
  FollowPhase();
  if (Answer(*inquiry_)) desk_.Return(std::move(inquiry_));
}

bool Worker::Answer(Inquiry& inquiry) try {
  switch (inquiry.kind) {
    case Inquiry::Kind::kTotals:
      FillTotals(inquiry.totals);
      return true;
    case Inquiry::Kind::kSessions:
      inquiry.next_slot = sessions_.ForSome(inquiry.next_slot, kSurveyedPerTurn, [&](const Session& session) {
        if (inquiry.rows.size() < inquiry.limit) AppendRow(session.view(), inquiry);
      });
      return inquiry.next_slot == Handle::kNoSlot || inquiry.rows.size() == inquiry.limit;
    case Inquiry::Kind::kEnd:
      EndSessions(inquiry);
      return inquiry.next_slot == Handle::kNoSlot;
    case Inquiry::Kind::kTargets:
      return CountTargets(inquiry);
    case Inquiry::Kind::kRecent:
      if (!recent_) return true;
      inquiry.next_ended = recent_->ForSome(inquiry.next_ended, kSurveyedPerTurn, [&](const EndedSession& session) {
        if (inquiry.recent.size() < inquiry.limit) AppendEnded(session, inquiry);
      });
      return inquiry.next_ended == RecentSessions::kDone || inquiry.recent.size() == inquiry.limit;
  }
  return true;
} catch (const std::bad_alloc&) {
  inquiry.out_of_memory = true;
  return true;
}

void Worker::FillTotals(Totals& totals) {
  UpdateGauges();
  totals.counters = counters_;
  totals.gauges = gauges_;
  totals.accepted = accepted_from_;
}

void Worker::AppendRow(const SessionView& session, Inquiry& inquiry) const {
  const SessionFilter& filter = inquiry.filter;
  if ((filter.id && filter.id->handle != session.handle) || !filter.Matches(session)) return;
  inquiry.rows.push_back(RowOf(session, inquiry.worker, clock_.now()));
}

void Worker::AppendEnded(const EndedSession& session, Inquiry& inquiry) const {
  inquiry.recent.push_back({.row = RowOf(session.view(), inquiry.worker, session.ended),
                            .end = session.end,
                            .reply = session.reply,
                            .decider = session.decider,
                            .ended = session.ended});
}

// Counts the sessions that are alive in a copy of the counters. Keep adds those that end before they are counted.
bool Worker::CountTargets(Inquiry& inquiry) {
  if (!targets_) return true;
  if (inquiry.next_slot == 0) inquiry.targets = targets_;
  inquiry.next_slot = sessions_.ForSome(inquiry.next_slot, kSurveyedPerTurn,
                                        [&](const Session& session) { AddTo(*inquiry.targets, session.view()); });
  return inquiry.next_slot == Handle::kNoSlot;
}

// Closing sockets takes longer than listing them, so this does a quarter of the slots in a turn.
void Worker::EndSessions(Inquiry& inquiry) {
  const auto end = [&](Session& session) {
    if (!inquiry.filter.Matches(session.view())) return;
    session.Kill();
    Release(session);
    ++inquiry.ended;
  };
  if (!inquiry.filter.id) {
    inquiry.next_slot = sessions_.ForSome(inquiry.next_slot, kSurveyedPerTurn / 4, end);
    return;
  }
  Session* const session = sessions_.Resolve(inquiry.filter.id->handle);
  if (session != nullptr) end(*session);
  inquiry.next_slot = Handle::kNoSlot;
}

Cookie Worker::CookieOf(const Listener& listener) const {
  return {kTagListener, {static_cast<std::uint32_t>(&listener - listeners_.data()), 0}};
}

void Worker::FollowPhase() {
  const Phase phase = shared_.phase.load(std::memory_order_acquire);
  if (phase == phase_) return;
  phase_ = phase;
  if (phase == Phase::kServing) {
    Resume();
  } else {
    BeginDrain();
  }
}

// A client in the backlog is connected already, so it is still accepted, once there is a permit. Connections that come
// later are reset when the listener is closed or suspended.
void Worker::BeginDrain() {
  for (Listener& listener : listeners_) {
    if (!listener.socket.valid()) continue;
    if (!listener.backlog_left) listener.backlog_left = BacklogOf(listener.socket.get());
    listener.batch = kAcceptsPerTurn;
    if (listener.backlog_left == 0) EndListening(listener);
  }
}

// The backlog of its drain is empty. A suspended listener keeps its port, for Resume. What is shared keeps its backlog,
// too: it is somebody else's.
void Worker::EndListening(Listener& listener) {
  if (std::exchange(listener.suspended, true)) {
    if (phase_ != Phase::kSuspended) listener.socket.Close();
    return;
  }
  // It would report a hang-up in every turn, and a shared one, whose descriptor alone is closed, its connections.
  poller_.Remove(listener.socket.get());
  if (phase_ != Phase::kSuspended) return listener.socket.Close();
  if (!listener.shared) StopListening(listener.socket.get());
  listener.ready = false;
  listener.watched = true;
}

// The program that steers connections by CPU has gone with the listeners: the kernel spreads connections by their
// addresses from now on.
void Worker::Resume() {
  for (Listener& listener : listeners_) {
    listener.backlog_left.reset();
    if (!std::exchange(listener.suspended, false)) continue;
    listener.batch = 1;
    const int socket = listener.socket.get();
    if ((listener.shared || ListenAgain(socket)) && poller_.AddListener(socket, CookieOf(listener))) continue;
    if (!listener.shared) StopListening(socket);
    listener.suspended = true;
    log_.Write(LogLine(LogLevel::kError, "cannot-listen").Number("worker", number_).Text("reason", "out of memory"));
  }
}

bool Worker::listening() const {
  return std::ranges::any_of(listeners_, [](const Listener& listener) { return listener.socket.valid(); });
}

// Called between two events, so that one step of a session uses one policy.
void Worker::TakePolicy() {
  std::shared_ptr<const Policy> policy = shared_.policy.Take();
  if (policy == policy_) return;  // the worker was woken for another reason
  policy_ = std::move(policy);
  tools_.policy = policy_.get();
  policy_next_ = 0;
}

// Applies a new policy to some sessions in each turn: evaluating whether a session may continue can take system calls.
void Worker::ApplyPolicy() {
  if (policy_next_ == Handle::kNoSlot) return;
  policy_next_ = sessions_.ForSome(policy_next_, kPolicyUpdatesPerTurn,
                                   [this](Session& session) { Schedule(session, session.OnPolicy(tools_)); });
}

// Looks at the users of some sessions in each turn: many may have to end.
void Worker::ApplyUserLimits() {
  if (limited_next_ == Handle::kNoSlot) return;
  limited_next_ = sessions_.ForSome(limited_next_, kPolicyUpdatesPerTurn,
                                    [this](Session& session) { Schedule(session, session.OnUserLimits(tools_)); });
}

void Worker::DeliverLogins() {
  login_answers_.TakeAll(login_batch_);
  for (const LoginAnswer& answer : login_batch_) {
    Session* const session = sessions_.Resolve(answer.session);
    if (session != nullptr) Schedule(*session, session->OnLogin(answer, tools_));
  }
  login_batch_.clear();  // releases the tables of users
}

void Worker::DeliverNames() {
  while (const auto finished = resolver_.TakeAnswer()) {
    const auto [tag, handle] = finished->waiter;
    if (tag == kTagDatagramName) {
      DeliverToDatagram(handle, finished->answer);
      continue;
    }
    Session* const session = sessions_.Resolve(handle);
    if (session != nullptr) Schedule(*session, session->OnName(finished->answer, tools_));
  }
}

void Worker::DeliverToDatagram(Handle waiting, const NameAnswer& answer) {
  WaitingDatagram* const datagram = associations_.waiting.Resolve(waiting);
  if (datagram == nullptr) return;
  Session* const session = sessions_.Resolve(datagram->session);
  assert(session != nullptr);  // a waiting datagram ends with its association
  const Session::Next next = session->OnDatagramName(*datagram, answer, tools_);
  // Before Schedule, which may release the session with all its waiting datagrams.
  associations_.Release(*datagram);
  Schedule(*session, next);
}

// Gives sessions their turns until a turn's bytes have been moved, so that new events do not wait for the whole list.
// The rest comes first in the next turn. Measured with one worker, 64 downloads, and a tunnel that sends 64 bytes each
// millisecond: with kSharedTurnBytes the median of its round trips is 0.36 of that with kTurnBytes, and the 99th
// percentile 0.33 to 0.44, at the same rate of the downloads (with CUBIC). 128 KiB had a shorter median, no shorter
// 99th percentile, and 0.86 of the rate. But 8 downloads by themselves would need 1.4 times the CPU with 256 KiB.
void Worker::RunReadyList() {
  const std::size_t bytes_max = clock_.now() - last_short_ < kSharedTurnMemory ? kSharedTurnBytes : kTurnBytes;
  tools_.flow.quantum = bytes_max;
  const std::size_t count = ready_.size();
  const std::uint64_t moved = BytesMoved();
  std::size_t done = 0;
  while (done < count && BytesMoved() - moved < bytes_max) {
    Session* const session = sessions_.Resolve(ready_[done++]);
    if (session == nullptr) continue;
    session->set_on_ready_list(false);
    Schedule(*session, session->OnTurn(tools_));
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(done));
}

std::uint64_t Worker::BytesMoved() const {
  return counters_.bytes_up.value() + counters_.bytes_down.value() + counters_.datagram_bytes_up.value() +
         counters_.datagram_bytes_down.value();
}

void Worker::ExpireDeadlines() {
  for (DeadlineQueue* queue : deadlines_.all) {
    while (const auto due = queue->Expire(clock_.now())) {
      Session* const session = sessions_.Resolve(due->handle);
      if (session == nullptr) continue;
      if (due->tag == kTagAttemptDelay) {
        Schedule(*session, session->OnAttemptDelay(tools_));
      } else if (due->tag == kTagThrottle) {
        Schedule(*session, session->OnTurn(tools_));
      } else {
        Schedule(*session, session->OnDeadline(tools_));
      }
    }
  }
  resolver_.OnTime();
  DeliverNames();
  meters_.SettleDue(clock_.now());
}

// A pause removes the listener, so that a shared one reports its connections to other workers.
void Worker::Watch(Listener& listener, bool on) {
  if (!on) poller_.Remove(listener.socket.get());
  listener.watched = on && poller_.AddListener(listener.socket.get(), CookieOf(listener));
  if (on && !listener.watched) accept_retry_ = clock_.now() + kAcceptRetryDelay;
}

void Worker::AcceptAll() {
  for (Listener& listener : listeners_) {
    if (!listener.socket.valid() || listener.suspended) continue;
    // After a pause without waiting for an event: in the next turn, the permit would be another worker's. While
    // draining, too: no event reports that the backlog has become empty.
    const bool ready = std::exchange(listener.ready, false) || !listener.watched || listener.backlog_left;
    if (!ready) listener.batch = 1;
    if (ready && !accepting_paused()) AcceptFrom(listener);
    if (listener.watched == accepting_paused()) Watch(listener, !listener.watched);
    if (listener.backlog_left == 0) EndListening(listener);
  }
}

void Worker::AcceptFrom(Listener& listener) {
  for (int i = 0; i < listener.batch && listener.backlog_left != 0; ++i) {
    if (!TakePermit(listener)) return;
    Accepted accepted = Accept(listener.socket.get());
    const Admission admission = AdmissionOf(accepted);
    const bool taken = accepted.status == Accepted::Status::kTaken;
    if (taken && listener.backlog_left) --*listener.backlog_left;
    if (taken && admission != Admission::kFlood && Admit(accepted, admission)) {
      ++accepted_from_[listener.address];
      continue;
    }
    permits_.Return();
    if (admission == Admission::kFlood) continue;
    switch (accepted.status) {
      case Accepted::Status::kNone:
        return NoteEmpty(listener);
      case Accepted::Status::kGone:
        break;
      case Accepted::Status::kTaken:  // no memory for its session
      case Accepted::Status::kExhausted:
        // Pauses for kAcceptRetryDelay, or until a session ends. Clients stay in the backlog meanwhile.
        accept_retry_ = clock_.now() + kAcceptRetryDelay;
        return ReportPause(counters_.accept_exhausted, R"(accept-paused reason="out of descriptors or memory")");
    }
  }
  listener.batch = std::min(2 * listener.batch, kAcceptsPerTurn);
}

// False if the gateway is full. Then queues for the next permit, unless the backlog is empty.
bool Worker::TakePermit(Listener& listener) {
  if (permits_.Take()) return true;
  if (BacklogOf(listener.socket.get()) == 0) {
    NoteEmpty(listener);
    return false;
  }
  permits_.Wait();
  ReportPause(counters_.accept_full, "accept-paused reason=max-connections");
  return false;
}

// The backlog is empty. While draining that is its end, even if a connection of its start has vanished.
void Worker::NoteEmpty(Listener& listener) {
  listener.batch = 1;
  if (listener.backlog_left) listener.backlog_left = 0;
}

// The verdict of the limits on a connection. One that belongs to a flood will be reset when it is closed.
Admission Worker::AdmissionOf(const Accepted& accepted) {
  if (accepted.status != Accepted::Status::kTaken) return Admission::kUncounted;
  const Admission admission = shared_.limiter.Admit(accepted.peer.ip, policy_->limits, clock_.now());
  switch (admission) {
    case Admission::kUncounted:
    case Admission::kAdmitted:
      break;
    case Admission::kOverConnections:
      counters_.over_client_limit.Add();
      break;
    case Admission::kOverRate:
      counters_.over_connect_rate.Add();
      break;
    case Admission::kFlood:
      counters_.client_floods.Add();
      AbortOnClose(accepted.socket.get());
      if (warnings_.Due("client-flood", clock_.now())) {
        log_.Write(LogLine(LogLevel::kWarn, "client-flood").Address("client", accepted.peer));
      }
      break;
  }
  return admission;
}

// Begins a session for a connection. False if there is no memory for it; then the connection is closed.
bool Worker::Admit(Accepted& accepted, Admission admission) {
  Session* const session = sessions_.Acquire(std::move(accepted.socket), accepted.peer, admission, clock_.now());
  if (session != nullptr && session->Begin(tools_)) {
    counters_.accepted.Add();
    if (shared_.steering.on()) KeepSteeringEven();
    return true;
  }
  if (session != nullptr) sessions_.Release(session->handle());
  shared_.limiter.Release(accepted.peer.ip, admission, clock_.now());
  return false;
}

// Detaches the program for all workers: the listeners of one address share it.
void Worker::KeepSteeringEven() {
  const auto uneven = shared_.steering.NoteAccepted(number_);
  if (!uneven) return;
  for (const Listener& listener : listeners_) {
    if (listener.socket.valid()) StopSteering(listener.socket.get());
  }
  log_.Write(LogLine(LogLevel::kNotice, "steering-off")
                 .Number("worker", number_)
                 .Number("accepted", uneven->own)
                 .Number("of", uneven->all));
}

void Worker::ReportPause(Counter& counter, std::string_view event) {
  counter.Add();
  if (!warnings_.Due(event, clock_.now())) return;
  log_.Write(LogLine(LogLevel::kWarn, event).Number("sessions", sessions_.live()));
}

void Worker::Schedule(Session& session, Session::Next next) {
  session.CheckInvariants(next);
  switch (next) {
    case Session::Next::kWait:
      break;
    case Session::Next::kReady:
      if (session.on_ready_list()) break;
      session.set_on_ready_list(true);
      ready_.push_back(session.handle());
      break;
    case Session::Next::kRelease:
      Release(session);
      break;
  }
}

// The session counts as ended once its sockets are closed, so that who has waited for its end finds them closed.
void Worker::Release(Session& session) {
  const SessionEnd end = session.end();
  const TimePoint begun = session.begun();
  assert(end != SessionEnd::kNone);
  if (recent_) {
    EndedSession ended;
    session.Finish(tools_, &ended);
    Keep(std::move(ended));
  } else {
    session.Finish(tools_);
  }
  shared_.limiter.Release(session.client().ip, session.admission(), clock_.now());
  sessions_.Release(session.handle());
  permits_.Return();
  counters_.ended[static_cast<std::size_t>(end) - 1].Add();
  counters_.durations.sessions.Observe(clock_.now() - begun);
  accept_retry_ = {};  // there are descriptors and memory again
}

// Keeps what the admin interface shows of a session that has ended. No allocation.
void Worker::Keep(EndedSession ended) {
  AddTo(*targets_, ended.view());
  const bool asked_for_targets = inquiry_ != nullptr && inquiry_->kind == Inquiry::Kind::kTargets;
  if (asked_for_targets && ended.handle.slot >= inquiry_->next_slot) AddTo(*inquiry_->targets, ended.view());
  recent_->Add(std::move(ended));
}

}  // namespace penstock
