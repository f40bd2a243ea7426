#include "penstock/session/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/base/socks5.h"
#include "penstock/dns/resolver.h"
#include "penstock/os/io.h"
#include "penstock/os/socket.h"

namespace penstock {
namespace {

std::string_view TextOf(const std::unique_ptr<char[]>& text) {
  return text != nullptr ? std::string_view(text.get()) : std::string_view();
}

}  // namespace

SessionView EndedSession::view() const {
  return {.handle = handle,
          .state = state,
          .client = client,
          .user = TextOf(user),
          .command = command,
          .name = TextOf(name),
          .port = port,
          .target = target,
          .connected = connected,
          .bytes_up = bytes_up,
          .bytes_down = bytes_down,
          .begun = begun};
}

Session::Session(Handle handle, Fd client, const Endpoint& peer, Admission admission, TimePoint now)
    : core_(handle, std::move(client), peer, admission), begun_(now), active_(now) {}

bool Session::Begin(const SessionTools& tools) {
  handshake_ = tools.handshakes.Acquire(core_);
  if (handshake_ == nullptr) return false;
  core_.share = static_cast<std::uint8_t>(tools.resolver.ShareOf(core_.client.ip));
  if (!tools.poller.AddReader(core_.socket.get(), {kTagClient, core_.handle})) {
    ReturnHandshake(tools);
    return false;
  }
  tools.deadlines.handshake.Arm(core_.deadline, tools.now());
  SessionCore::SessionsIn(core_.state(), tools).Increment();
  return true;
}

// --- Events --------------------------------------------------------------------------------------------------------

Session::Next Session::OnClient(const Events& events, const SessionTools& tools) {
  if (core_.state() == State::kRelay) {
    relay_.OnClient(events);
  } else {
    core_.events |= events;
  }
  return defers_steps() ? Next::kReady : Drive(tools);
}

Session::Next Session::OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools) {
  if (handshake_ != nullptr) {
    handshake_->OnTarget(attempt, events, tools);
  } else if (core_.state() == State::kRelay && attempt == target_attempt_) {
    relay_.OnTarget(events);  // but not the events of a losing attempt that were reported in the same batch
  }
  return defers_steps() ? Next::kReady : Drive(tools);
}

Session::Next Session::OnUdp(Association::Side side, const Events& events, const SessionTools& tools) {
  if (core_.state() == State::kAssociated) association_->OnEvents(side, events);
  return defers_steps() ? Next::kReady : Drive(tools);
}

Session::Next Session::OnAttemptDelay(const SessionTools& tools) {
  if (handshake_ != nullptr) handshake_->OnAttemptDelay(tools);
  return Drive(tools);
}

Session::Next Session::OnBindListener(const SessionTools& tools) {
  if (handshake_ != nullptr) handshake_->OnBindListener();
  return Drive(tools);
}

Session::Next Session::OnName(const NameAnswer& answer, const SessionTools& tools) {
  if (handshake_ == nullptr) return Next::kWait;
  return DriveAfter(handshake_->OnName(answer, tools), tools);
}

Session::Next Session::OnLogin(const LoginAnswer& answer, const SessionTools& tools) {
  if (handshake_ == nullptr) return Next::kWait;
  return DriveAfter(handshake_->OnLogin(answer, tools), tools);
}

Session::Next Session::OnDatagramName(const WaitingDatagram& datagram, const NameAnswer& answer,
                                      const SessionTools& tools) {
  if (core_.state() != State::kAssociated) return Next::kWait;
  const Usage before = moved();
  association_->OnName(datagram, answer, associate_tools(tools));
  Count(before, tools);
  active_ = tools.now();
  return Drive(tools);
}

Session::Next Session::OnDeadline(const SessionTools& tools) {
  switch (core_.state()) {
    case State::kNego:
    case State::kAuth:
    case State::kRequest:
    case State::kConnecting:
    case State::kBinding:
      return DriveAfter(handshake_->OnDeadline(tools), tools);
    case State::kRelay:
      return CheckIdle(tools);
    case State::kAssociated:
      return CheckAssociationIdle(tools);
    case State::kClosing:
      return Next::kRelease;
    case State::kResetting:
      return Drive(tools);
  }
  return Next::kRelease;
}

// If there is no memory for a throttle, a session that had no limit continues without one.
Session::Next Session::OnPolicy(const SessionTools& tools) {
  if (core_.state() != State::kRelay && core_.state() != State::kAssociated) return Next::kWait;
  if (Denied(tools)) {
    Abort(End::kForbidden);
    return Next::kRelease;
  }
  if (association_ != nullptr) association_->OnPolicy();
  if (throttle_ != nullptr) {
    throttle_->SetRates(tools.policy->limits.rates());
  } else {
    BeginThrottle(tools);
  }
  return Next::kWait;
}

Session::Next Session::OnUserLimits(const SessionTools& tools) {
  const bool moves = core_.state() == State::kRelay || core_.state() == State::kAssociated;
  const bool waits = core_.state() == State::kConnecting || core_.state() == State::kBinding;
  const UserRefusal refusal = moves || waits ? core_.user_refusal() : UserRefusal::kNone;
  if (refusal == UserRefusal::kNone) return Next::kWait;
  if (waits) {
    CountRefusal(refusal, tools.counters());
    const Next next = Refuse(Outcome::kDenied, EndOf(refusal), tools);
    return next == Next::kRelease ? next : Drive(tools);
  }
  Abort(EndOf(refusal));
  return Next::kRelease;
}

// The verdict of the current policy if it denies this session, and a reload ends those that are. A name is not stored
// if there are neither rules nor a log that use it; then only the address is evaluated.
std::optional<AccessVerdict> Session::Denied(const SessionTools& tools) const {
  if (!tools.policy->reload_ends_denied) return std::nullopt;
  if (!core_.login_valid(tools)) return AccessVerdict();
  const Access access = core_.access(tools);
  const AccessVerdict verdict = core_.command == Command::kUdpAssociate
                                    ? access.EvaluateCommand()
                                    : access.EvaluateAddress(core_.target_name(), core_.target.ip, core_.port);
  return verdict.allowed ? std::nullopt : std::optional(verdict);
}

// Ends a relay with resets: a transfer that is cut short must not look complete.
void Session::Abort(End end) {
  core_.end = end;
  if (core_.state() != State::kRelay && core_.state() != State::kResetting) return;
  AbortOnClose(core_.socket.get());
  AbortOnClose(target_.get());
}

void Session::Kill() {
  core_.end = End::kKilled;
  AbortOnClose(core_.socket.get());
  if (target_.valid()) AbortOnClose(target_.get());
}

SessionView Session::view() const {
  const Usage usage = moved();
  return {.handle = core_.handle,
          .state = core_.state(),
          .client = core_.client,
          .user = TextOf(core_.user),
          .command = core_.command,
          .name = TextOf(core_.name),
          .port = core_.port,
          .target = core_.target,
          .connected = target_.valid(),
          .bytes_up = usage.bytes.up,
          .bytes_down = usage.bytes.down,
          .begun = begun_};
}

void Session::Finish(const SessionTools& tools, EndedSession* ended) {
  ReturnHandshake(tools);
  relay_.Release(tools.flow);
  if (throttle_ != nullptr) tools.throttles.Release(throttle_->self());
  throttle_ = nullptr;
  if (core_.meter != nullptr) tools.meters.Release(*core_.meter, core_.client.ip, tools.now());
  core_.meter = nullptr;
  if (tools.log.wants(LogLevel::kInfo)) LogEnd(tools);
  if (ended != nullptr) MoveTo(*ended, tools.now());
  core_.CountRelayEnd(tools.counters());
  SessionCore::SessionsIn(core_.state(), tools).Decrement();
  if (association_ == nullptr) return;
  association_->Release(tools.associations, tools.resolver, tools.counters());
  tools.associations.associations.Release(association_->self());
  association_ = nullptr;
  tools.counters().associations_ended.Add();
}

// --- Steps ---------------------------------------------------------------------------------------------------------

// Steps until a step does not change the state. States only move forward, so the loop ends.
Session::Next Session::Drive(const SessionTools& tools) {
  for (;;) {
    const State before = core_.state();
    const Next next = Step(tools);
    if (next == Next::kRelease || core_.state() == before) return next;
  }
}

Session::Next Session::Step(const SessionTools& tools) {
  switch (core_.state()) {
    case State::kNego:
    case State::kAuth:
    case State::kRequest:
    case State::kConnecting:
    case State::kBinding:
      return AfterHandshake(handshake_->Step(tools), tools);
    case State::kRelay:
      return StepRelay(tools);
    case State::kAssociated:
      return StepAssociated(tools);
    case State::kClosing:
      return StepClosing(tools);
    case State::kResetting:
      return StepResetting(tools);
  }
  return Next::kRelease;
}

Session::Next Session::StepRelay(const SessionTools& tools) {
  const Usage before = moved();
  const FlowTools lent = flow_tools(tools);
  const Relay::Progress progress = throttle_ == nullptr ? relay_.Step(core_.socket.get(), target_.get(), lent)
                                                        : StepThrottled(lent, tools.deadlines.throttle);
  const bool just_half_closed = relay_.half_closed() && !half_closed_;
  half_closed_ |= just_half_closed;
  if (relay_.client_full() && !watches_writes_) {
    // Few clients are ever full: the others save the events of a socket that is writable (Poller::AddReader).
    tools.poller.WatchWrites(core_.socket.get(), {kTagClient, core_.handle});
    watches_writes_ = true;
  }
  if (Count(before, tools) || just_half_closed) active_ = tools.now();
  switch (progress) {
    case Relay::Progress::kWaiting:
      return Next::kWait;
    case Relay::Progress::kUnfinished:
      return Next::kReady;
    case Relay::Progress::kEnded:
      return EndWith(End::kClosed);
    case Relay::Progress::kBroken:
      core_.end = End::kReset;
      active_ = tools.now();
      core_.Advance(State::kResetting, tools);
      return Next::kWait;
  }
  return Next::kRelease;
}

// Takes an allowance from the throttle, moves at most that many bytes, and settles what was used. If the bucket is
// empty, the throttle wakes the session.
Relay::Progress Session::StepThrottled(const FlowTools& lent, ThrottleTicks& ticks) {
  const TimePoint now = lent.clock.now();
  const Allowance allowed = throttle_->Allow(relay_.wants_read(), now);
  Allowance left = allowed;
  const Relay::Progress progress = relay_.Step(core_.socket.get(), target_.get(), left, lent);
  const Allowance taken{allowed.up - left.up, allowed.down - left.down};
  return throttle_->Settle(taken, relay_.unfinished(), ticks, now) ? Relay::Progress::kWaiting : progress;
}

// The association ends when its TCP connection does (RFC 1928 section 7), in order or not. Bytes on that are dropped.
Session::Next Session::StepAssociated(const SessionTools& tools) {
  for (std::size_t dropped = 0; core_.events.readable && dropped < kTurnBytes;) {
    const IoResult read = Receive(core_.socket.get(), tools.flow.copy_buffer);
    if (read.status == IoStatus::kEnd) return EndWith(End::kClosed);
    if (read.status == IoStatus::kFault) return EndWith(End::kReset);
    if (read.status == IoStatus::kAgain) core_.events.readable = false;
    dropped += read.bytes;
  }
  const Usage before = moved();
  const Association::Progress progress = association_->Step(associate_tools(tools));
  if (Count(before, tools)) active_ = tools.now();
  return progress == Association::Progress::kUnfinished || core_.events.readable ? Next::kReady : Next::kWait;
}

// If a socket is closed with unread input, the kernel sends a reset, which can destroy the refusal before the client
// has read it (RFC 2525 section 2.17). So input is read and dropped, up to the linger timeout and kLingerBytesMax.
Session::Next Session::StepClosing(const SessionTools& tools) {
  while (core_.events.readable) {
    const IoResult read = Receive(core_.socket.get(), tools.flow.copy_buffer);
    if (read.status == IoStatus::kAgain) break;
    if (read.status != IoStatus::kDone) return Next::kRelease;
    lingered_bytes_ += static_cast<std::uint32_t>(read.bytes);
    if (lingered_bytes_ > kLingerBytesMax) return Next::kRelease;
  }
  core_.events.readable = false;
  return Next::kWait;
}

// A reset must not overtake the bytes before it: a close with SO_LINGER {1, 0} drops the send queue (socket(7)).
Session::Next Session::StepResetting(const SessionTools& tools) {
  const bool pending = (!relay_.client_broken() && UnsentBytes(core_.socket.get()) > 0) ||
                       (!relay_.target_broken() && UnsentBytes(target_.get()) > 0);
  if (pending && tools.now() - active_ < std::min(kResetDrainMax, tools.settings.half_close_timeout)) {
    // No edge reports an empty send queue. Most are empty within a round trip; others take long and are polled slowly.
    const bool young = tools.now() - active_ < 10 * kResetPollInterval;
    (young ? tools.deadlines.reset_poll : tools.deadlines.reset_poll_slow).Arm(core_.deadline, tools.now());
    return Next::kWait;
  }
  AbortOnClose(core_.socket.get());
  AbortOnClose(target_.get());
  return Next::kRelease;
}

// --- From the handshake to the next state --------------------------------------------------------------------------

Session::Next Session::AfterHandshake(Handshake::Progress progress, const SessionTools& tools) {
  switch (progress) {
    case Handshake::Progress::kWaiting:
      return Next::kWait;
    case Handshake::Progress::kUnfinished:
      return Next::kReady;
    case Handshake::Progress::kConnected:
      return BeginRelay(tools);
    case Handshake::Progress::kAssociate:
      return BeginAssociation(tools);
    case Handshake::Progress::kRefused:
      return BeginClosing(tools);
    case Handshake::Progress::kEnded:
      return Next::kRelease;
  }
  return Next::kRelease;
}

// Acts on what an event made of the handshake, then steps: the event may have completed more than one message.
Session::Next Session::DriveAfter(Handshake::Progress progress, const SessionTools& tools) {
  const Next next = AfterHandshake(progress, tools);
  return next == Next::kRelease ? next : Drive(tools);
}

Session::Next Session::BeginRelay(const SessionTools& tools) {
  Handshake::Connection& connection = handshake_->connection();
  target_ = std::move(connection.socket);
  target_attempt_ = connection.attempt;
  core_.target = connection.peer;
  if (const End end = NoteDenied(tools); end != End::kNone) {
    AbortOnClose(target_.get());
    target_.Close();
    return Refuse(Outcome::kDenied, end, tools);
  }
  if (!BeginThrottle(tools)) {
    AbortOnClose(target_.get());
    return EndWith(End::kExhausted);
  }
  if (!core_.SendReply(Outcome::kSucceeded, connection.bound, tools)) {
    AbortOnClose(target_.get());
    return EndWith(End::kClientLeft);
  }
  core_.events.writable = true;
  const bool begun =
      relay_.Begin(core_.events, connection.events, target_.get(), handshake_->unread(), flow_tools(tools));
  Count({}, tools);
  if (throttle_ != nullptr) throttle_->ChargeQuota(handshake_->unread().size());
  if (!begun) {
    AbortOnClose(core_.socket.get());
    AbortOnClose(target_.get());
    return EndWith(End::kExhausted);
  }
  ReturnHandshake(tools);
  tools.deadlines.relay_check.Arm(core_.deadline, tools.now());
  tools.counters().relays_begun.Add();
  active_ = tools.now();
  core_.Advance(State::kRelay, tools);
  return Next::kWait;
}

// How a session ends whose request a reload has denied during the handshake, or whose user has reached a limit since,
// which is counted; kNone if neither.
Session::End Session::NoteDenied(const SessionTools& tools) {
  if (const auto verdict = Denied(tools)) {
    core_.NoteDenied(*verdict, tools);
    return End::kForbidden;
  }
  const UserRefusal refusal = core_.user_refusal();
  CountRefusal(refusal, tools.counters());
  return EndOf(refusal);
}

Session::Next Session::Refuse(Outcome outcome, End end, const SessionTools& tools) {
  if (!core_.SendReply(outcome, socks5::Unbound(), tools)) return EndWith(End::kClientLeft);
  core_.end = end;
  return BeginClosing(tools);
}

// DST.ADDR of the request is ignored (associate.h).
Session::Next Session::BeginAssociation(const SessionTools& tools) {
  if (const End end = NoteDenied(tools); end != End::kNone) return Refuse(Outcome::kDenied, end, tools);
  const AssociateTools lent = associate_tools(tools);
  Association* association =
      BeginThrottle(tools) ? tools.associations.associations.Acquire(core_.handle, kTagUdp) : nullptr;
  if (association != nullptr &&
      association->Open(LocalEndpoint(core_.socket.get()), core_.port, lent) != Fault::kNone) {
    tools.associations.associations.Release(association->self());
    association = nullptr;
  }
  if (association == nullptr) return Refuse(Outcome::kGeneralFailure, End::kRefused, tools);
  ReturnHandshake(tools);
  association_ = association;
  tools.counters().associations_begun.Add();
  if (!core_.SendReply(Outcome::kSucceeded, association->Bound(lent), tools)) return EndWith(End::kClientLeft);
  tools.deadlines.udp_check.Arm(core_.deadline, tools.now());
  active_ = tools.now();
  core_.Advance(State::kAssociated, tools);
  core_.events.readable = true;  // a latch may be wrongly true, never wrongly false
  return Next::kWait;
}

// Acquires a throttle if the bandwidth is limited, or the user has a quota. False if there is no memory for it. Bytes
// that were received with the request, at most 1.3 KB, are not charged to the rates.
bool Session::BeginThrottle(const SessionTools& tools) {
  Rates rates = tools.policy->limits.rates();
  if (core_.meter == nullptr) rates.user = Rate();
  const bool has_quota = core_.meter != nullptr && core_.meter->account().quota().limited();
  if (!rates.limited() && !has_quota) return true;
  UserBuckets* const user = core_.meter != nullptr ? &core_.meter->account().buckets() : nullptr;
  QuotaLease* const lease = core_.meter != nullptr ? &core_.meter->quota() : nullptr;
  throttle_ = tools.throttles.Acquire(Cookie{kTagThrottle, core_.handle}, rates, user, lease, tools.now());
  return throttle_ != nullptr;
}

Session::Next Session::BeginClosing(const SessionTools& tools) {
  ReturnHandshake(tools);
  ShutdownSend(core_.socket.get());
  tools.deadlines.linger.Arm(core_.deadline, tools.now());
  core_.Advance(State::kClosing, tools);
  core_.events.readable = true;  // a latch may be wrongly true, never wrongly false
  return Next::kWait;
}

Session::Next Session::EndWith(End end) {
  core_.end = end;
  return Next::kRelease;
}

void Session::ReturnHandshake(const SessionTools& tools) {
  if (handshake_ == nullptr) return;
  handshake_->Cancel(tools);
  tools.handshakes.Release(handshake_->self());
  handshake_ = nullptr;
}

// --- Idle sessions, and the end ------------------------------------------------------------------------------------

// The periodic check of a relay. Keepalive (tcp(7)) is enabled here, at the first check, so that the many sessions that
// end before it save the system calls.
Session::Next Session::CheckIdle(const SessionTools& tools) {
  // A send queue that shrinks is activity, too: a slow reader can empty it for a long time without an edge.
  const std::uint32_t unsent_bytes = UnsentBytes(core_.socket.get()) + UnsentBytes(target_.get());
  if (unsent_bytes < unsent_bytes_) active_ = tools.now();
  unsent_bytes_ = unsent_bytes;
  const auto limit = half_closed_ ? tools.settings.half_close_timeout : tools.settings.idle_timeout;
  if (tools.now() - active_ >= limit) {
    AbortOnClose(core_.socket.get());
    AbortOnClose(target_.get());
    return EndWith(End::kIdle);
  }
  if (!keepalive_) {
    EnableKeepAlive(core_.socket.get(), tools.settings.keepalive);
    EnableKeepAlive(target_.get(), tools.settings.keepalive);
    keepalive_ = true;
  }
  tools.deadlines.relay_check.Arm(core_.deadline, tools.now());
  return FindDeadPeer(tools) ? Drive(tools) : Next::kWait;
}

// Keepalive finds a peer that died silently, but not while unacknowledged bytes are queued for it: those the kernel
// retransmits for a quarter of an hour (tcp_retries2, tcp(7)). A peer that owes an ACK for at least the keepalive
// timeout, at this check and at the one before, counts as dead. One check is not enough: a closed window is probed
// every two minutes, and the answer to a probe may be in flight.
bool Session::FindDeadPeer(const SessionTools& tools) {
  const KeepAlive& keepalive = tools.settings.keepalive;
  const auto is_dead = [&](int socket, bool& owes_ack) {
    const bool owed = std::exchange(owes_ack, UnansweredFor(socket) >= keepalive.timeout());
    return owed && owes_ack;
  };
  const bool client_is_dead = is_dead(core_.socket.get(), client_owes_ack_);
  const bool target_is_dead = is_dead(target_.get(), target_owes_ack_);
  if (client_is_dead) relay_.OnClientDead(tools.flow);
  if (target_is_dead) relay_.OnTargetDead(tools.flow);
  return client_is_dead || target_is_dead;
}

Session::Next Session::CheckAssociationIdle(const SessionTools& tools) {
  if (tools.now() - active_ >= tools.settings.udp_idle_timeout) return EndWith(End::kIdle);
  if (!keepalive_) EnableKeepAlive(core_.socket.get(), tools.settings.keepalive);
  keepalive_ = true;
  tools.deadlines.udp_check.Arm(core_.deadline, tools.now());
  return Next::kWait;
}

// What the session has moved so far. Bytes are those that have been passed on.
Usage Session::moved() const {
  if (association_ == nullptr) return {.bytes = {relay_.bytes_up(), relay_.bytes_down()}, .datagrams = {}};
  const Association::Tally& up = association_->up();
  const Association::Tally& down = association_->down();
  return {.bytes = {up.bytes, down.bytes}, .datagrams = {up.datagrams, down.datagrams}};
}

// Counts towards the user what has been moved since `before`. False if nothing has. A throttle may have leased some of
// the quota all the same, so it counts even then (meter.h).
bool Session::Count(const Usage& before, const SessionTools& tools) {
  const Usage now = moved();
  const bool any = now != before;
  if (core_.meter == nullptr || (!any && throttle_ == nullptr)) return any;
  Usage since;
  for (const Way way : kWays) {
    since.bytes.of(way) = now.bytes.of(way) - before.bytes.of(way);
    since.datagrams.of(way) = now.datagrams.of(way) - before.datagrams.of(way);
  }
  tools.meters.Count(*core_.meter, since, tools.now());
  return any;
}

FlowTools Session::flow_tools(const SessionTools& tools) const {
  FlowTools lent = tools.flow;
  lent.share = core_.share;
  return lent;
}

AssociateTools Session::associate_tools(const SessionTools& tools) const {
  return {.settings = tools.settings,
          .access = core_.access(tools),
          .poller = tools.poller,
          .resolver = tools.resolver,
          .counters = tools.counters(),
          .pool = tools.associations,
          .ports = tools.udp_ports,
          .client = core_.client,
          .throttle = throttle_,
          .now = tools.now()};
}

void Session::LogEnd(const SessionTools& tools) const {
  LogLine line(LogLevel::kInfo, "session");
  line.Address("client", core_.client);
  if (core_.user != nullptr) line.Text("user", core_.user.get());
  if (core_.command) {
    line.Text("command", Describe(*core_.command));
    line.Text("asked", core_.name != nullptr ? core_.name.get() : core_.target.ip.ToString());
    if (core_.command == Command::kConnect) line.Number("port", core_.target.port);
    if (core_.command == Command::kBind && target_.valid()) line.Address("bound", LocalEndpoint(target_.get()));
  }
  if (target_.valid()) line.Address("target", core_.target);
  if (core_.decider != Decider::kNone) line.Text("rule", Describe(core_.decider));
  if (core_.reply) line.Number("reply", socks5::Rep(*core_.reply));
  if (association_ != nullptr) {
    line.Number("up", association_->up().bytes).Number("down", association_->down().bytes);
    line.Number("datagrams-up", association_->up().datagrams);
    line.Number("datagrams-down", association_->down().datagrams);
  } else {
    line.Number("up", relay_.bytes_up()).Number("down", relay_.bytes_down());
  }
  line.Seconds("seconds", tools.now() - begun_).Text("end", Describe(core_.end));
  tools.log.Write(line);
}

void Session::MoveTo(EndedSession& ended, TimePoint now) {
  const SessionView all = view();
  ended.handle = all.handle;
  ended.state = all.state;
  ended.end = core_.end;
  ended.command = all.command;
  ended.reply = core_.reply;
  ended.decider = core_.decider;
  ended.port = all.port;
  ended.connected = all.connected;
  ended.client = all.client;
  ended.target = all.target;
  ended.name = std::move(core_.name);
  ended.user = std::move(core_.user);
  ended.bytes_up = all.bytes_up;
  ended.bytes_down = all.bytes_down;
  ended.begun = begun_;
  ended.ended = now;
}

void Session::CheckInvariants(Next next) const {
  if (next == Next::kRelease) return;
  assert((handshake_ != nullptr) == (core_.state() <= State::kBinding));
  assert(target_.valid() == (core_.state() == State::kRelay || core_.state() == State::kResetting));
  assert((association_ != nullptr) == (core_.state() == State::kAssociated));
  assert(handshake_ == nullptr || core_.state() < State::kConnecting || handshake_->awaits_event());
  assert(core_.state() != State::kRelay || !relay_.client_full() || watches_writes_);
  // Something will wake the session, whatever its peers do.
  assert(core_.deadline.armed());
}

}  // namespace penstock
