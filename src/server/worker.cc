#include "penstock/server/worker.h"

#include <algorithm>
#include <cassert>
#include <system_error>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/socket.h"
#include "penstock/os/thread.h"

namespace penstock {
namespace {

// Few enough that what one worker does not use is no matter to the others.
std::size_t PermitBatch(const Settings& settings) {
  return std::clamp(settings.connections_max / settings.workers / 8, std::size_t{1}, kPermitsPerBatch);
}

}  // namespace

Worker::Worker(const Settings& settings, Log& log, WorkersShared& shared, std::vector<Fd> listeners)
    : log_(log),
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
             .accounts = shared.accounts,
             .logins = *shared.logins,
             .login_answers = login_answers_,
             .gauges = gauges_,
             .flow = {.copy_buffer = {copy_buffer_.get(), kCopyBytes},
                      .pending_buffers = pending_buffers_,
                      .pipes = pipes_,
                      .counters = counters_,
                      .clock = clock_}},
      sessions_(settings.connections_max) {
  bool registered = poller_.Add(wake_.fd(), {kTagWake, {}});
  for (Fd& socket : listeners) {
    const auto slot = static_cast<std::uint32_t>(listeners_.size());
    registered = poller_.Add(socket.get(), {kTagListener, {slot, 0}}) && registered;
    listeners_.push_back({std::move(socket)});
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
  listeners_.clear();  // whether or not the last turn met the wake-up
  sessions_.ForEach([this](Session& session) {
    session.Stop();
    Release(session);
  });
  UpdateGauges();
}

void Worker::Turn() {
  const int count = poller_.Wait(PollTimeout());
  clock_.Read();
  tools_.flow.quantum = kFirstBytes;
  for (int i = 0; i < count; ++i) Dispatch(poller_.At(i));
  TellOfPolicy();
  DeliverNames();
  RunReadyList();
  ExpireDeadlines();
  warnings_.Tell(log_, clock_.now());
  AcceptAll();
  permits_.ReturnUnused();
  UpdateGauges();
  LetBatchesFill(count);
}

// Sets what has a count of its own elsewhere; gauges_.sessions follows each state.
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

// The timeout for epoll_wait: the time until the next deadline; nothing: none is armed.
std::optional<std::chrono::nanoseconds> Worker::PollTimeout() const {
  if (!ready_.empty() || policy_told_ != Handle::kNoSlot) return std::chrono::nanoseconds(0);
  std::optional<TimePoint> next = resolver_.next_deadline();
  const auto consider = [&](std::optional<TimePoint> candidate) {
    if (candidate && (!next || *candidate < *next)) next = candidate;
  };
  for (const DeadlineQueue* queue : deadlines_.all) consider(queue->next());
  consider(warnings_.next());
  if (std::ranges::any_of(listeners_, &Listener::ready) && !permits_.waiting()) consider(accept_again_);
  if (!next) return std::nullopt;
  return std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(*next - SteadyNow()));
}

void Worker::Dispatch(const Poller::Event& event) {
  const auto [tag, handle] = event.cookie;
  if (tag == kTagWake) return OnWake();
  if (tag == kTagNames) return resolver_.OnEvent(handle, event.events);
  if (tag == kTagListener) {
    listeners_[handle.slot].ready = true;
    return;
  }
  Session* const session = sessions_.Resolve(handle);
  if (session == nullptr) return;  // it ended earlier in this turn
  if (tag == kTagClient) {
    After(*session, session->OnClient(event.events, tools_));
  } else if (tag == kTagBindListener) {
    After(*session, session->OnBindListener(tools_));
  } else if (tag < kTagTarget) {
    After(*session, session->OnUdp(static_cast<Association::Side>(tag - kTagUdp), event.events, tools_));
  } else {
    After(*session, session->OnTarget(tag - kTagTarget, event.events, tools_));
  }
}

// The session whose datagrams were all that the last wait told of.
std::optional<Handle> Worker::LoneAssociation(int events) const {
  if (events == 0) return std::nullopt;
  const Handle whose = poller_.At(0).cookie.handle;
  for (int i = 0; i < events; ++i) {
    const Cookie cookie = poller_.At(i).cookie;
    if (cookie.tag < kTagUdp || cookie.tag >= kTagTarget || cookie.handle != whose) return std::nullopt;
  }
  return whose;
}

// A yield returns at once when nobody waits for this core (0.3 us). With one association of 32 datagrams of 64 bytes
// under way between programs of one host, batches grow from 3.6 datagrams to 15.
void Worker::LetBatchesFill(int events) {
  const auto lone = LoneAssociation(events);
  if (lone && lone == lone_association_ && ready_.empty()) {
    for (int i = 0; i < kYieldsToFillBatches; ++i) YieldCpu();
  }
  lone_association_ = lone;
}

void Worker::OnWake() {
  wake_.Clear();
  permits_.Collect();
  TakePolicy();
  DeliverLogins();
  if (shared_.phase.load(std::memory_order_acquire) != Phase::kServing) BeginDrain();
}

// Who is in the backlog has been told that it is connected: it still comes in, when there is room for it. Who comes
// later is not waited for, and is reset when the listener is closed.
void Worker::BeginDrain() {
  for (Listener& listener : listeners_) {
    if (listener.left) continue;
    listener.left = BacklogOf(listener.socket.get());
    listener.ready = true;
  }
}

bool Worker::listening() const {
  return std::ranges::any_of(listeners_, [](const Listener& listener) { return listener.socket.valid(); });
}

// Between two events, so that no step meets two policies.
void Worker::TakePolicy() {
  std::shared_ptr<const Policy> policy = shared_.policy.Take();
  if (policy == policy_) return;  // it was for something else that the worker was woken
  policy_ = std::move(policy);
  tools_.policy = policy_.get();
  policy_told_ = 0;
}

// Tells the sessions of another policy, some in each turn: whether it lets each of them go on may take system calls.
void Worker::TellOfPolicy() {
  if (policy_told_ == Handle::kNoSlot) return;
  policy_told_ = sessions_.ForSome(policy_told_, kPolicyUpdatesPerTurn,
                                   [this](Session& session) { After(session, session.OnPolicy(tools_)); });
}

void Worker::DeliverLogins() {
  login_answers_.TakeAll(logins_now_);
  for (const LoginAnswer& answer : logins_now_) {
    Session* const session = sessions_.Resolve(answer.session);
    if (session != nullptr) After(*session, session->OnLogin(answer, tools_));
  }
  logins_now_.clear();  // tables of users are not held any longer
}

void Worker::DeliverNames() {
  while (const auto finished = resolver_.TakeAnswer()) {
    const auto [tag, handle] = finished->waiter;
    if (tag == kTagDatagramName) {
      DeliverToDatagram(handle, finished->answer);
      continue;
    }
    Session* const session = sessions_.Resolve(handle);
    if (session != nullptr) After(*session, session->OnName(finished->answer, tools_));
  }
}

void Worker::DeliverToDatagram(Handle waiting, const NameAnswer& answer) {
  WaitingDatagram* const datagram = associations_.waiting.Resolve(waiting);
  if (datagram == nullptr) return;
  Session* const session = sessions_.Resolve(datagram->session);
  assert(session != nullptr);  // what waits goes with its association
  const Session::Next next = session->OnDatagramName(*datagram, answer, tools_);
  // Before the session, which gives back all that still waits.
  associations_.Release(*datagram);
  After(*session, next);
}

// Whoever finds kTurnBytes moved before it comes first in the next turn: new events are not to wait for all of them.
void Worker::RunReadyList() {
  tools_.flow.quantum = kTurnBytes;
  const std::size_t count = ready_.size();
  const std::uint64_t moved = BytesMoved();
  std::size_t done = 0;
  while (done < count && BytesMoved() - moved < kTurnBytes) {
    Session* const session = sessions_.Resolve(ready_[done++]);
    if (session == nullptr) continue;
    session->set_on_ready_list(false);
    After(*session, session->OnTurn(tools_));
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
        After(*session, session->OnAttemptDelay(tools_));
      } else if (due->tag == kTagThrottle) {
        After(*session, session->OnTurn(tools_));
      } else {
        After(*session, session->OnDeadline(tools_));
      }
    }
  }
  resolver_.OnTime();
  DeliverNames();
}

void Worker::AcceptAll() {
  for (Listener& listener : listeners_) {
    if (listener.ready && !accepting_paused()) AcceptFrom(listener);
    if (listener.left && (listener.left == 0 || !listener.ready)) listener.socket.Close();
  }
}

void Worker::AcceptFrom(Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurn && listener.left != 0; ++i) {
    if (!TakePermit(listener)) return;
    Accepted accepted = Accept(listener.socket.get());
    const Admission admission = AdmissionOf(accepted);
    const bool taken = accepted.status == Accepted::Status::kTaken;
    if (taken && listener.left) --*listener.left;
    if (taken && admission != Admission::kFlood && Admit(accepted, admission)) continue;
    permits_.Return();
    if (admission == Admission::kFlood) continue;
    switch (accepted.status) {
      case Accepted::Status::kNone:
        listener.ready = false;
        return;
      case Accepted::Status::kGone:
        break;
      case Accepted::Status::kTaken:  // and not admitted
      case Accepted::Status::kExhausted:
        // Until a session ends, or for a while. Nobody is turned away: who waits stays in the kernel's backlog.
        accept_again_ = clock_.now() + kAcceptRetryDelay;
        return NotePause(counters_.accept_exhausted, R"(accept-paused reason="out of descriptors or memory")");
    }
  }
}

// False when the gateway is full. If somebody waits, this worker queues for the next permit.
bool Worker::TakePermit(Listener& listener) {
  if (permits_.Take()) return true;
  listener.ready = BacklogOf(listener.socket.get()) > 0;
  if (!listener.ready) return false;
  permits_.Wait();
  NotePause(counters_.accept_full, "accept-paused reason=max-connections");
  return false;
}

// What the limits say of a connection. One that is one too many by far is reset at once.
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

// Makes a session of a connection. False when there is no memory for it; then the connection is closed.
bool Worker::Admit(Accepted& accepted, Admission admission) {
  Session* const session = sessions_.Acquire(std::move(accepted.socket), accepted.peer, admission, clock_.now());
  if (session != nullptr && session->Begin(tools_)) {
    counters_.accepted.Add();
    return true;
  }
  if (session != nullptr) sessions_.Release(session->handle());
  shared_.limiter.Release(accepted.peer.ip, admission, clock_.now());
  return false;
}

void Worker::NotePause(Counter& counter, std::string_view event) {
  counter.Add();
  if (!warnings_.Due(event, clock_.now())) return;
  log_.Write(LogLine(LogLevel::kWarn, event).Number("sessions", sessions_.live()));
}

void Worker::After(Session& session, Session::Next next) {
  session.CheckInvariants(next);
  switch (next) {
    case Session::Next::kWait:
      break;
    case Session::Next::kAgain:
      if (session.on_ready_list()) break;
      session.set_on_ready_list(true);
      ready_.push_back(session.handle());
      break;
    case Session::Next::kRelease:
      Release(session);
      break;
  }
}

void Worker::Release(Session& session) {
  session.Finish(tools_);
  shared_.limiter.Release(session.client().ip, session.admission(), clock_.now());
  sessions_.Release(session.handle());
  permits_.Return();
  counters_.ended.Add();
  accept_again_ = {};  // there is room again
}

}  // namespace penstock
