#include "penstock/session.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "penstock/io.h"
#include "penstock/limits.h"

namespace penstock {
namespace {

using socks5::Decoded;
using socks5::Reply;

std::chrono::milliseconds RelayCheckInterval(const Settings& settings) {
  constexpr std::chrono::milliseconds kLongest = std::chrono::seconds(30);
  constexpr std::chrono::milliseconds kShortest{10};
  const auto shorter = std::min(settings.half_close_timeout, settings.idle_timeout);
  return std::clamp(shorter / 4, kShortest, kLongest);
}

std::chrono::milliseconds UdpCheckInterval(const Settings& settings) {
  constexpr std::chrono::milliseconds kLongest = std::chrono::seconds(10);
  constexpr std::chrono::milliseconds kShortest{10};
  return std::clamp(settings.udp_idle_timeout / 8, kShortest, kLongest);
}

}  // namespace

SessionDeadlines::SessionDeadlines(const Settings& settings)
    : handshake(settings.handshake_timeout),
      connect(settings.connect_timeout),
      bind(settings.bind_timeout),
      attempt_delay(kAttemptDelay),
      relay_check(RelayCheckInterval(settings)),
      udp_check(UdpCheckInterval(settings)),
      linger(std::min(kLingerMax, settings.handshake_timeout)),
      reset_poll(kResetPollInterval),
      reset_poll_slow(kResetPollIntervalSlow) {}

Session::Session(Handle handle, Fd client, const Endpoint& peer, TimePoint now)
    : handle_(handle),
      client_(std::move(client)),
      deadline_({kTagDeadline, handle}),
      client_endpoint_(peer),
      begun_(now),
      active_(now) {}

bool Session::Begin(const SessionTools& tools) {
  handshake_ = tools.handshakes.Acquire(handle_);
  if (handshake_ == nullptr) return false;
  if (!tools.poller.Add(client_.get(), {kTagClient, handle_})) {
    ReturnHandshake(tools);
    return false;
  }
  tools.deadlines.handshake.Arm(deadline_, tools.now());
  return true;
}

// --- What happened -------------------------------------------------------------------------------------------------

Session::Next Session::OnClient(const Events& events, const SessionTools& tools) {
  if (state_ == State::kRelay) {
    relay_.OnClient(events);
  } else {
    client_events_ |= events;
  }
  return Drive(tools);
}

Session::Next Session::OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools) {
  if (state_ == State::kConnecting) {
    handshake_->dialer.OnEvent(attempt, events, tools.dial());
  } else if (state_ == State::kRelay && attempt == target_attempt_) {
    relay_.OnTarget(events);  // and not those of an attempt that lost, in the same batch
  }
  return Drive(tools);
}

Session::Next Session::OnUdp(Association::Side side, const Events& events, const SessionTools& tools) {
  if (state_ == State::kAssociated) association_->OnEvents(side, events);
  return Drive(tools);
}

Session::Next Session::OnAttemptDelay(const SessionTools& tools) {
  if (state_ == State::kConnecting) handshake_->dialer.OnDelay(tools.dial());
  return Drive(tools);  // which is all that a BIND out of descriptors needs
}

Session::Next Session::OnBindListener(const SessionTools& tools) {
  if (state_ == State::kBinding) handshake_->bind_wait.OnListener();
  return Drive(tools);
}

Session::Next Session::OnName(const NameAnswer& answer, const SessionTools& tools) {
  if (handshake_ == nullptr || !handshake_->resolving) return Next::kWait;
  return Continue(TakeName(answer, tools), tools);
}

Session::Next Session::OnDatagramName(const WaitingDatagram& datagram, const NameAnswer& answer,
                                      const SessionTools& tools) {
  if (state_ != State::kAssociated) return Next::kWait;
  association_->OnName(datagram, answer, Associate(tools));
  active_ = tools.now();
  return Drive(tools);
}

Session::Next Session::OnDeadline(const SessionTools& tools) {
  switch (state_) {
    case State::kNego:
    case State::kRequest:
      tools.counters().handshake_expired.Add();
      return OverAs(End::kHandshakeExpired);
    case State::kConnecting:
    case State::kBinding:
      return Continue(RefuseLate(tools), tools);
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

void Session::Stop() {
  end_ = End::kStopped;
  if (state_ != State::kRelay && state_ != State::kResetting) return;
  AbortOnClose(client_.get());
  AbortOnClose(target_.get());
}

void Session::Finish(const SessionTools& tools) {
  ReturnHandshake(tools);
  relay_.Release(tools.flow);
  tools.counters().ended.Add();
  if (tools.log.wants(LogLevel::kInfo)) LogEnd(tools);
  if (association_ == nullptr) return;
  association_->Release(tools.associations);
  tools.associations.associations.Release(association_->self());
  association_ = nullptr;
  tools.counters().associations_ended.Add();
}

// --- What to try ---------------------------------------------------------------------------------------------------

// Steps until the state stays what it is. States only move forward, so this ends.
Session::Next Session::Drive(const SessionTools& tools) {
  for (;;) {
    const State before = state_;
    const Next next = Step(tools);
    if (next == Next::kRelease || state_ == before) {
      CheckInvariants(next);
      return next;
    }
    assert(state_ > before);
  }
}

Session::Next Session::Continue(Next next, const SessionTools& tools) {
  return next == Next::kRelease ? next : Drive(tools);
}

Session::Next Session::Step(const SessionTools& tools) {
  switch (state_) {
    case State::kNego:
      return StepNego(tools);
    case State::kRequest:
      return StepRequest(tools);
    case State::kConnecting:
      return StepConnecting(tools);
    case State::kBinding:
      return StepBinding(tools);
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

Session::Next Session::StepNego(const SessionTools& tools) {
  for (;;) {
    const socks5::Greeting greeting = socks5::DecodeGreeting(handshake_->unread());
    switch (greeting.decoded) {
      case Decoded::kIncomplete:
        if (const Received received = ReceiveHandshake(); received != Received::kMore) {
          return AfterReceiving(received);
        }
        continue;
      case Decoded::kNotSocks5:
        // Whatever it speaks, it would not understand an answer.
        tools.counters().not_socks5.Add();
        Complain("not-socks5", tools);
        return CloseGently(End::kBadRequest, tools);
      case Decoded::kMalformed:
        tools.counters().malformed.Add();
        Complain("malformed-greeting", tools);
        SendWhole(socks5::EncodeChoice(socks5::Method::kUnacceptable));
        return CloseGently(End::kBadRequest, tools);
      case Decoded::kWhole:
        break;
    }
    handshake_->begin += greeting.size;
    if (!greeting.offers_none) {
      SendWhole(socks5::EncodeChoice(socks5::Method::kUnacceptable));
      return CloseGently(End::kRefused, tools);
    }
    if (!SendWhole(socks5::EncodeChoice(socks5::Method::kNone))) return OverAs(End::kClientLeft);
    state_ = State::kRequest;
    return Next::kWait;
  }
}

Session::Next Session::StepRequest(const SessionTools& tools) {
  for (;;) {
    const socks5::Request request = socks5::DecodeRequest(handshake_->unread());
    switch (request.decoded) {
      case Decoded::kIncomplete:
        if (const Received received = ReceiveHandshake(); received != Received::kMore) {
          return AfterReceiving(received);
        }
        continue;
      case Decoded::kNotSocks5:
      case Decoded::kMalformed:
        return RefuseBadRequest(request.fault, tools);
      case Decoded::kWhole:
        break;
    }
    handshake_->begin += request.size;
    return Obey(request, tools);
  }
}

Session::Next Session::StepConnecting(const SessionTools& tools) {
  // A client that has finished sending may still want its answer; one that is gone altogether does not.
  if (client_events_.broken) return OverAs(End::kClientLeft);
  switch (handshake_->dialer.status()) {
    case Dialer::Status::kIdle:
    case Dialer::Status::kTrying:
      return Next::kWait;
    case Dialer::Status::kConnected:
      return TakeTarget(tools);
    case Dialer::Status::kFailed:
      return Refuse(ReplyFor(handshake_->dialer.fault()), tools);
  }
  return Next::kWait;
}

// The end of the client's stream is the client leaving, even when it sent something ahead: the FIN of one that is gone
// looks like that of one that only has nothing more to say, and no port shall stay open for one that is gone.
Session::Next Session::StepBinding(const SessionTools& tools) {
  if (client_events_.closing) return OverAs(End::kClientLeft);
  if (handshake_->resolving) return Next::kWait;
  switch (handshake_->bind_wait.Step(client_endpoint_.ip, tools.bind())) {
    case BindWait::Turn::kWaiting:
      return Next::kWait;
    case BindWait::Turn::kUnfinished:
      return Next::kAgain;
    case BindWait::Turn::kCame:
      return TakePeer(tools);
  }
  return Next::kWait;
}

Session::Next Session::StepRelay(const SessionTools& tools) {
  const std::uint64_t before = relay_.bytes_up() + relay_.bytes_down();
  const Relay::Turn turn = relay_.Step(client_.get(), target_.get(), tools.flow);
  if (relay_.bytes_up() + relay_.bytes_down() != before) active_ = tools.now();
  switch (turn) {
    case Relay::Turn::kWaiting:
      return Next::kWait;
    case Relay::Turn::kUnfinished:
      return Next::kAgain;
    case Relay::Turn::kEnded:
      tools.counters().relays_ended.Add();
      return OverAs(End::kClosed);
    case Relay::Turn::kBroken:
      tools.counters().relays_reset.Add();
      end_ = End::kReset;
      active_ = tools.now();
      state_ = State::kResetting;
      return Next::kWait;
  }
  return Next::kRelease;
}

// The TCP connection means nothing but that the association lasts: its end is the end, in order or not, and what comes
// on it is dropped.
Session::Next Session::StepAssociated(const SessionTools& tools) {
  for (std::size_t dropped = 0; client_events_.readable && dropped < kTurnBytes;) {
    const IoResult read = Receive(client_.get(), tools.flow.copy_room);
    if (read.status == IoStatus::kEnd) return OverAs(End::kClosed);
    if (read.status == IoStatus::kFault) return OverAs(End::kReset);
    if (read.status == IoStatus::kAgain) client_events_.readable = false;
    dropped += read.bytes;
  }
  const std::uint64_t before = datagrams();
  const Association::Turn turn = association_->Step(Associate(tools));
  if (datagrams() != before) active_ = tools.now();
  return turn == Association::Turn::kUnfinished || client_events_.readable ? Next::kAgain : Next::kWait;
}

// The refusal is on its way. Closing with unread input would turn into a reset that can destroy it (RFC 2525 section
// 2.17), so what still comes is read and dropped, for a bounded time and size.
Session::Next Session::StepClosing(const SessionTools& tools) {
  while (client_events_.readable) {
    const IoResult read = Receive(client_.get(), tools.flow.copy_room);
    if (read.status == IoStatus::kAgain) break;
    if (read.status != IoStatus::kDone) return Next::kRelease;
    lingered_bytes_ += static_cast<std::uint32_t>(read.bytes);
    if (lingered_bytes_ > kLingerBytesMax) return Next::kRelease;
  }
  client_events_.readable = false;
  return Next::kWait;
}

// A reset must not overtake the bytes before it: closing with SO_LINGER {1, 0} drops what is still queued.
Session::Next Session::StepResetting(const SessionTools& tools) {
  const bool pending = (!relay_.client_broken() && UnsentBytes(client_.get()) > 0) ||
                       (!relay_.target_broken() && UnsentBytes(target_.get()) > 0);
  if (pending && tools.now() - active_ < std::min(kResetDrainMax, tools.settings.half_close_timeout)) {
    // An empty queue raises no edge. Most are empty within a round trip; the rest may take long.
    const bool young = tools.now() - active_ < 10 * kResetPollInterval;
    (young ? tools.deadlines.reset_poll : tools.deadlines.reset_poll_slow).Arm(deadline_, tools.now());
    return Next::kWait;
  }
  AbortOnClose(client_.get());
  AbortOnClose(target_.get());
  return Next::kRelease;
}

// --- The handshake -------------------------------------------------------------------------------------------------

Session::Received Session::ReceiveHandshake() {
  if (!client_events_.readable) return Received::kNotYet;
  const std::span room = std::span(handshake_->bytes).subspan(handshake_->end);
  assert(!room.empty());  // the longest messages fit (limits.h), and a whole one would have been decoded
  const IoResult read = Receive(client_.get(), room);
  switch (read.status) {
    case IoStatus::kDone:
      handshake_->end += read.bytes;
      if (read.bytes < room.size() && !client_events_.closing && !client_events_.urgent) {
        client_events_.readable = false;
      }
      return Received::kMore;
    case IoStatus::kAgain:
      client_events_.readable = false;
      return Received::kNotYet;
    case IoStatus::kEnd:
    case IoStatus::kFault:
      return Received::kGone;
  }
  return Received::kGone;
}

Session::Next Session::AfterReceiving(Received received) {
  return received == Received::kGone ? OverAs(End::kClientLeft) : Next::kWait;
}

// True when all of it went. The few bytes of a handshake always fit the send buffer of a client that reads its answers;
// with one that does not, there is nothing to talk about.
bool Session::SendWhole(std::span<const std::uint8_t> bytes) {
  const IoResult sent = Send(client_.get(), bytes);
  return sent.status == IoStatus::kDone && sent.bytes == bytes.size();
}

bool Session::SendReply(Reply reply, const Endpoint& bound, const SessionTools& tools) {
  std::array<std::uint8_t, socks5::kReplyBytesMax> room;
  reply_ = static_cast<std::uint8_t>(reply);
  tools.counters().replies[reply_].Add();
  return SendWhole(socks5::EncodeReply(reply, bound, room));
}

Session::Next Session::Refuse(Reply reply, const SessionTools& tools) {
  if (!SendReply(reply, socks5::Unbound(), tools)) return OverAs(End::kClientLeft);
  return CloseGently(End::kRefused, tools);
}

Session::Next Session::RefuseBadRequest(socks5::RequestFault fault, const SessionTools& tools) {
  tools.counters().malformed.Add();
  Complain("malformed-request", tools);
  switch (fault) {
    case socks5::RequestFault::kNone:  // the version
    case socks5::RequestFault::kEmptyName:
      return Refuse(Reply::kGeneralFailure, tools);
    case socks5::RequestFault::kCommand:
      return Refuse(Reply::kCommandNotSupported, tools);
    case socks5::RequestFault::kAddressType:
      return Refuse(Reply::kAddressTypeNotSupported, tools);
  }
  return Refuse(Reply::kGeneralFailure, tools);
}

void Session::Complain(std::string_view event, const SessionTools& tools) const {
  if (!tools.complaints.Due(tools.now())) return;
  tools.log.Write(LogLine(LogLevel::kWarn, event).Address("client", client_endpoint_));
}

Session::Next Session::CloseGently(End end, const SessionTools& tools) {
  end_ = end;
  ReturnHandshake(tools);
  ShutdownSend(client_.get());
  tools.deadlines.linger.Arm(deadline_, tools.now());
  state_ = State::kClosing;
  client_events_.readable = true;  // perhaps
  return Next::kWait;
}

Session::Next Session::OverAs(End end) {
  end_ = end;
  return Next::kRelease;
}

// --- Connecting, or waiting for a peer -----------------------------------------------------------------------------

Session::Next Session::Obey(const socks5::Request& request, const SessionTools& tools) {
  command_ = static_cast<std::uint8_t>(request.command);
  handshake_->port = request.port;
  target_endpoint_ = {request.address, request.port};
  KeepName(request.name, tools);
  switch (request.command) {
    case socks5::Command::kConnect:
      state_ = State::kConnecting;
      if (request.port == 0) return Refuse(Reply::kGeneralFailure, tools);
      return FindTarget(request, tools);
    case socks5::Command::kBind:
      state_ = State::kBinding;  // a peer's port is its own choice, so the request's means nothing
      return FindTarget(request, tools);
    case socks5::Command::kUdpAssociate:
      return BeginAssociation(tools);
  }
  return Refuse(Reply::kCommandNotSupported, tools);
}

Session::Next Session::FindTarget(const socks5::Request& request, const SessionTools& tools) {
  tools.deadlines.connect.Arm(deadline_, tools.now());
  const auto address = request.name.empty() ? std::optional(request.address) : AddressInName(request.name);
  if (!address) return LookUp(request.name, tools);
  target_endpoint_.ip = *address;
  if (state_ != State::kBinding || !address->is_unspecified()) return Reach({&*address, 1}, tools);
  // A wildcard address would say nothing in a reply: the client knows this host by the address that it has reached.
  if (name_ == nullptr) KeepName(address->ToString(), tools);
  const Endpoint at = LocalEndpoint(client_.get());
  return AfterListening(handshake_->bind_wait.ListenForAnyone(at, tools.settings.bind_ports, tools.bind()), tools);
}

Session::Next Session::LookUp(std::string_view name, const SessionTools& tools) {
  if (!IsHostName(name)) return Refuse(Reply::kHostUnreachable, tools);
  handshake_->resolving = true;
  if (const auto answer = tools.resolver.Resolve(name, handle_, client_endpoint_.ip)) return TakeName(*answer, tools);
  return Next::kWait;
}

Session::Next Session::TakeName(const NameAnswer& answer, const SessionTools& tools) {
  handshake_->resolving = false;
  if (answer.status != NameStatus::kFound) return Refuse(Reply::kHostUnreachable, tools);
  return Reach(answer.list(), tools);
}

// The deadline has passed: what was missing says which answer is true.
Session::Next Session::RefuseLate(const SessionTools& tools) {
  if (handshake_->resolving) return Refuse(Reply::kHostUnreachable, tools);
  if (state_ == State::kBinding) {
    tools.counters().bind_expired.Add();
    return Refuse(Reply::kTtlExpired, tools);
  }
  return Refuse(ReplyFor(MoreInformative(handshake_->dialer.fault(), Fault::kTimedOut)), tools);
}

// Begins to connect to, or to listen for, those of `addresses` that the client may reach.
Session::Next Session::Reach(std::span<const IpAddress> addresses, const SessionTools& tools) {
  std::array<IpAddress, kAddressesPerName> allowed;
  std::size_t count = 0;
  for (const IpAddress& address : addresses.first(std::min(addresses.size(), allowed.size()))) {
    if (tools.guard.Allows(client_endpoint_.ip, address)) allowed[count++] = address;
  }
  if (count == 0) return Refuse(Reply::kNotAllowed, tools);
  const auto targets = std::span(allowed).first(count);
  if (state_ == State::kBinding) {
    return AfterListening(handshake_->bind_wait.ListenFor(targets, tools.settings.bind_ports, tools.bind()), tools);
  }
  handshake_->dialer.Begin(targets, handshake_->port, tools.dial());
  return Next::kWait;
}

Session::Next Session::TakeTarget(const SessionTools& tools) {
  Dialer& dialer = handshake_->dialer;
  const Endpoint local = LocalEndpoint(dialer.socket());
  // Where nobody listens on a port of this host that the kernel may give out, it can connect a socket to itself.
  if (local == dialer.peer()) return Refuse(Reply::kConnectionRefused, tools);
  target_attempt_ = dialer.winner();
  target_ = dialer.TakeSocket();
  target_endpoint_ = dialer.peer();
  return BeginRelay(local, dialer.events(), tools);
}

// The first reply of a BIND: where the peer is to connect to.
Session::Next Session::AfterListening(Fault fault, const SessionTools& tools) {
  if (fault != Fault::kNone) return Refuse(ReplyFor(fault), tools);
  if (!SendReply(Reply::kSucceeded, handshake_->bind_wait.at(), tools)) return OverAs(End::kClientLeft);
  tools.deadlines.bind.Arm(deadline_, tools.now());
  return Next::kWait;
}

// The second reply of a BIND: who has connected.
Session::Next Session::TakePeer(const SessionTools& tools) {
  Accepted peer = handshake_->bind_wait.TakePeer();
  if (!tools.poller.Add(peer.socket.get(), {kTagTarget, handle_})) {
    AbortOnClose(peer.socket.get());
    return Refuse(Reply::kGeneralFailure, tools);
  }
  target_ = std::move(peer.socket);
  target_endpoint_ = peer.peer;
  Events events;  // the poller will tell the rest
  events.writable = true;
  return BeginRelay(target_endpoint_, events, tools);
}

// `bound`: what the reply tells. `target_events`: what is known of the target's socket.
Session::Next Session::BeginRelay(const Endpoint& bound, const Events& target_events, const SessionTools& tools) {
  if (!SendReply(Reply::kSucceeded, bound, tools)) {
    AbortOnClose(target_.get());
    return OverAs(End::kClientLeft);
  }
  client_events_.writable = true;
  if (!relay_.Begin(client_events_, target_events, target_.get(), handshake_->unread(), tools.flow)) {
    AbortOnClose(client_.get());
    AbortOnClose(target_.get());
    return OverAs(End::kExhausted);
  }
  ReturnHandshake(tools);
  tools.deadlines.relay_check.Arm(deadline_, tools.now());
  tools.counters().relays_begun.Add();
  active_ = tools.now();
  state_ = State::kRelay;
  return Next::kWait;
}

void Session::ReturnHandshake(const SessionTools& tools) {
  if (handshake_ == nullptr) return;
  if (handshake_->resolving) tools.resolver.Withdraw(handle_);
  tools.handshakes.Release(handshake_->self);
  handshake_ = nullptr;
}

// --- UDP -----------------------------------------------------------------------------------------------------------

AssociateTools Session::Associate(const SessionTools& tools) const {
  return {tools.settings,   tools.guard,        tools.poller,    tools.resolver,
          tools.counters(), tools.associations, client_endpoint_};
}

// DST.ADDR and DST.PORT of the request are not looked at: see associate.h.
Session::Next Session::BeginAssociation(const SessionTools& tools) {
  Association* const association = tools.associations.associations.Acquire(handle_, kTagUdp);
  if (association == nullptr) return Refuse(Reply::kGeneralFailure, tools);
  const AssociateTools lent = Associate(tools);
  if (association->Open(LocalEndpoint(client_.get()), lent) != Fault::kNone) {
    tools.associations.associations.Release(association->self());
    return Refuse(Reply::kGeneralFailure, tools);
  }
  ReturnHandshake(tools);
  association_ = association;
  tools.counters().associations_begun.Add();
  if (!SendReply(Reply::kSucceeded, association->Bound(lent), tools)) return OverAs(End::kClientLeft);
  tools.deadlines.udp_check.Arm(deadline_, tools.now());
  active_ = tools.now();
  state_ = State::kAssociated;
  client_events_.readable = true;  // perhaps
  return Next::kWait;
}

Session::Next Session::CheckAssociationIdle(const SessionTools& tools) {
  if (tools.now() - active_ >= tools.settings.udp_idle_timeout) return OverAs(End::kIdle);
  if (!keepalive_) EnableKeepAlive(client_.get(), tools.settings.keepalive);
  keepalive_ = true;
  tools.deadlines.udp_check.Arm(deadline_, tools.now());
  return Next::kWait;
}

// --- At rest, and at the end ---------------------------------------------------------------------------------------

// A session that lives long enough to meet this check is one whose peers may die unnoticed, so keepalive begins here:
// the many that are shorter save its system calls.
Session::Next Session::CheckIdle(const SessionTools& tools) {
  const auto limit = relay_.half_closed() ? tools.settings.half_close_timeout : tools.settings.idle_timeout;
  if (tools.now() - active_ >= limit) {
    tools.counters().relays_expired.Add();
    AbortOnClose(client_.get());
    AbortOnClose(target_.get());
    return OverAs(End::kIdle);
  }
  if (!keepalive_) {
    EnableKeepAlive(client_.get(), tools.settings.keepalive);
    EnableKeepAlive(target_.get(), tools.settings.keepalive);
    keepalive_ = true;
  }
  tools.deadlines.relay_check.Arm(deadline_, tools.now());
  return Next::kWait;
}

void Session::KeepName(std::string_view name, const SessionTools& tools) {
  if (name.empty() || !tools.log.wants(LogLevel::kInfo)) return;
  name_.reset(new (std::nothrow) char[name.size() + 1]);
  if (name_ == nullptr) return;
  // A name with a NUL inside is refused; the log shows it up to there.
  name_[name.copy(name_.get(), name.size())] = '\0';
}

void Session::LogEnd(const SessionTools& tools) const {
  LogLine line(LogLevel::kInfo, "session");
  line.Address("client", client_endpoint_);
  if (command_ != kNoCommand) {
    const auto command = static_cast<socks5::Command>(command_);
    line.Text("cmd", Describe(command));
    line.Text("asked", name_ != nullptr ? name_.get() : target_endpoint_.ip.ToString());
    if (command == socks5::Command::kConnect) line.Number("port", target_endpoint_.port);
    if (command == socks5::Command::kBind && target_.valid()) line.Address("bound", LocalEndpoint(target_.get()));
  }
  if (target_.valid()) line.Address("target", target_endpoint_);
  if (reply_ != kNoReply) line.Number("rep", reply_);
  if (association_ != nullptr) {
    line.Number("up", association_->up().bytes).Number("down", association_->down().bytes);
    line.Number("datagrams-up", association_->up().datagrams);
    line.Number("datagrams-down", association_->down().datagrams);
  } else {
    line.Number("up", relay_.bytes_up()).Number("down", relay_.bytes_down());
  }
  line.Seconds("seconds", tools.now() - begun_).Text("end", Describe(end_));
  tools.log.Write(line);
}

void Session::CheckInvariants(Next next) const {
  if (next == Next::kRelease) return;
  assert((handshake_ != nullptr) == (state_ <= State::kBinding));
  assert(target_.valid() == (state_ == State::kRelay || state_ == State::kResetting));
  assert((association_ != nullptr) == (state_ == State::kAssociated));
  assert(state_ != State::kConnecting || handshake_->resolving ||
         handshake_->dialer.status() == Dialer::Status::kTrying);
  assert(state_ != State::kBinding || handshake_->resolving || handshake_->bind_wait.listening());
  // Something will wake us, whatever the peers do.
  assert(deadline_.armed());
}

std::string_view Describe(Session::End end) {
  switch (end) {
    case Session::End::kNone:
      return "none";
    case Session::End::kClosed:
      return "closed";
    case Session::End::kReset:
      return "reset";
    case Session::End::kRefused:
      return "refused";
    case Session::End::kBadRequest:
      return "bad-request";
    case Session::End::kClientLeft:
      return "client-left";
    case Session::End::kHandshakeExpired:
      return "handshake-expired";
    case Session::End::kIdle:
      return "idle";
    case Session::End::kStopped:
      return "stopped";
    case Session::End::kExhausted:
      return "exhausted";
  }
  return "";
}

Reply ReplyFor(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return Reply::kSucceeded;
    case Fault::kRefused:
    case Fault::kReset:
      return Reply::kConnectionRefused;
    case Fault::kNetworkUnreachable:
      return Reply::kNetworkUnreachable;
    case Fault::kHostUnreachable:
      return Reply::kHostUnreachable;
    case Fault::kTimedOut:
      return Reply::kTtlExpired;
    case Fault::kDenied:
      return Reply::kNotAllowed;
    case Fault::kNoFamily:
      return Reply::kAddressTypeNotSupported;
    case Fault::kExhausted:
    case Fault::kOther:
      return Reply::kGeneralFailure;
  }
  return Reply::kGeneralFailure;
}

}  // namespace penstock
