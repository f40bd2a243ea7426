#include "penstock/session/handshake.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "penstock/base/secret.h"
#include "penstock/dns/resolver.h"
#include "penstock/os/io.h"
#include "penstock/os/socket.h"

namespace penstock {

using socks5::Decoded;

Handshake::Handshake(Handle self, SessionCore& core)
    : self_(self),
      core_(core),
      dialer_(core.handle, kTagTarget, kTagAttemptDelay),
      bind_wait_(core.handle, kTagBindListener, kTagAttemptDelay) {}

// A password may still be in the buffer: part of one if the client left, or one that was sent although none was
// requested.
Handshake::~Handshake() { Wipe(std::span(bytes_).first(end_)); }

// --- Events --------------------------------------------------------------------------------------------------------

void Handshake::OnTarget(std::size_t attempt, const Events& events, const SessionTools& tools) {
  if (core_.state() == SessionState::kConnecting) dialer_.OnEvent(attempt, events, dial_tools(tools));
}

// For the retry of a BIND there is nothing to record: the step that follows accepts again.
void Handshake::OnAttemptDelay(const SessionTools& tools) {
  if (core_.state() == SessionState::kConnecting) dialer_.OnDelay(dial_tools(tools));
}

Handshake::Progress Handshake::OnName(const NameAnswer& answer, const SessionTools& tools) {
  if (!resolving_) return Progress::kWaiting;
  resolving_ = false;
  const TargetName name{name_, answer.name};
  if (answer.status == NameStatus::kDenied) return Deny(core_.access(tools).EvaluateName(name, core_.port), tools);
  if (answer.status != NameStatus::kFound) return Refuse(Outcome::kNameNotFound, tools);
  if (!answer.name.empty()) StoreName(name, tools);
  return ConnectOrListen(name, answer.list(), tools);
}

Handshake::Progress Handshake::OnLogin(const LoginAnswer& answer, const SessionTools& tools) {
  if (!checking_login_) return Progress::kWaiting;
  checking_login_ = false;
  if (answer.outcome != LoginOutcome::kAccepted) return FinishLogin(answer.outcome, tools);
  // A reload may have changed the users while the hash was computed.
  if (!core_.StoreUser(answer.user->name, answer.user->credential)) return EndWith(SessionEnd::kExhausted);
  return FinishLogin(core_.login_valid(tools) ? LoginOutcome::kAccepted : LoginOutcome::kWrong, tools);
}

// The reply says what was missing when the timeout passed: the name, the target or the peer.
Handshake::Progress Handshake::OnDeadline(const SessionTools& tools) {
  if (resolving_) return Refuse(Outcome::kNameNotFound, tools);
  switch (core_.state()) {
    case SessionState::kNego:
    case SessionState::kAuth:
    case SessionState::kRequest:
      tools.counters().handshake_expired.Add();
      return EndWith(SessionEnd::kHandshakeExpired);
    case SessionState::kConnecting:
      return Refuse(OutcomeOf(MoreInformative(dialer_.fault(), Fault::kTimedOut)), tools);
    case SessionState::kBinding:
      tools.counters().bind_expired.Add();
      return Refuse(Outcome::kTimedOut, tools);
    case SessionState::kRelay:
    case SessionState::kAssociated:
    case SessionState::kClosing:
    case SessionState::kResetting:
      break;
  }
  assert(false);  // the handshake has been returned by then
  return Progress::kEnded;
}

void Handshake::Cancel(const SessionTools& tools) {
  if (resolving_) tools.resolver.Withdraw({kTagTargetName, core_.handle});
  resolving_ = false;
  if (checking_login_) tools.logins.Withdraw(login_ticket_, waiter(tools));
  checking_login_ = false;
  dialer_.Stop(dial_tools(tools));
}

bool Handshake::awaits_event() const {
  return resolving_ || dialer_.status() == Dialer::Status::kConnecting || bind_wait_.listening();
}

// --- Steps ---------------------------------------------------------------------------------------------------------

Handshake::Progress Handshake::Step(const SessionTools& tools) {
  switch (core_.state()) {
    case SessionState::kNego:
      return StepNego(tools);
    case SessionState::kAuth:
      return StepAuth(tools);
    case SessionState::kRequest:
      return StepRequest(tools);
    case SessionState::kConnecting:
      return StepConnecting(tools);
    case SessionState::kBinding:
      return StepBinding(tools);
    case SessionState::kRelay:
    case SessionState::kAssociated:
    case SessionState::kClosing:
    case SessionState::kResetting:
      break;
  }
  assert(false);  // the handshake has been returned by then
  return Progress::kEnded;
}

Handshake::Progress Handshake::StepNego(const SessionTools& tools) {
  for (;;) {
    const socks5::Greeting greeting = socks5::DecodeGreeting(unread());
    switch (greeting.decoded) {
      case Decoded::kIncomplete:
        if (const Received received = Receive(); received != Received::kBytes) return AfterReceiving(received, tools);
        continue;
      case Decoded::kNotSocks5:
        // A client of another protocol would not understand an answer.
        tools.counters().not_socks5.Add();
        Warn("not-socks5", tools);
        return CloseWith(SessionEnd::kBadRequest);
      case Decoded::kMalformed:
        tools.counters().malformed.Add();
        Warn("malformed-greeting", tools);
        core_.Send(socks5::EncodeChoice(socks5::Method::kUnacceptable));
        return CloseWith(SessionEnd::kBadRequest);
      case Decoded::kComplete:
        break;
    }
    begin_ += greeting.size;
    const bool login = tools.users() != nullptr;
    if (login ? !greeting.offers_password : !greeting.offers_none) {
      tools.counters().no_method.Add();
      core_.Send(socks5::EncodeChoice(socks5::Method::kUnacceptable));
      return CloseWith(SessionEnd::kRefused);
    }
    const auto method = login ? socks5::Method::kPassword : socks5::Method::kNone;
    if (!core_.Send(socks5::EncodeChoice(method))) return EndWith(SessionEnd::kClientLeft);
    core_.Advance(login ? SessionState::kAuth : SessionState::kRequest, tools);
    return Progress::kWaiting;
  }
}

Handshake::Progress Handshake::StepAuth(const SessionTools& tools) {
  // A client that has only finished sending still gets its verdict.
  if (checking_login_) return core_.events.broken ? EndWith(SessionEnd::kClientLeft) : Progress::kWaiting;
  for (;;) {
    const socks5::Credentials credentials = socks5::DecodeCredentials(unread());
    switch (credentials.decoded) {
      case Decoded::kIncomplete:
        if (const Received received = Receive(); received != Received::kBytes) return AfterReceiving(received, tools);
        continue;
      case Decoded::kNotSocks5:
      case Decoded::kMalformed:
        tools.counters().malformed.Add();
        Warn("malformed-login", tools);
        return RefuseLogin(SessionEnd::kBadRequest);
      case Decoded::kComplete:
        break;
    }
    return CheckLogin(credentials, tools);
  }
}

Handshake::Progress Handshake::StepRequest(const SessionTools& tools) {
  for (;;) {
    const socks5::Request request = socks5::DecodeRequest(unread());
    switch (request.decoded) {
      case Decoded::kIncomplete:
        if (const Received received = Receive(); received != Received::kBytes) return AfterReceiving(received, tools);
        continue;
      case Decoded::kNotSocks5:
      case Decoded::kMalformed:
        return RefuseBadRequest(request.fault, tools);
      case Decoded::kComplete:
        break;
    }
    begin_ += request.size;
    return BeginCommand(request, tools);
  }
}

Handshake::Progress Handshake::StepConnecting(const SessionTools& tools) {
  // A client that has only finished sending still gets its reply.
  if (core_.events.broken) return EndWith(SessionEnd::kClientLeft);
  switch (dialer_.status()) {
    case Dialer::Status::kIdle:
    case Dialer::Status::kConnecting:
      return Progress::kWaiting;
    case Dialer::Status::kConnected:
      return FinishConnect(tools);
    case Dialer::Status::kFailed:
      return Refuse(OutcomeOf(dialer_.fault()), tools);
  }
  return Progress::kWaiting;
}

// A client that has finished sending has left, even if it sent data ahead: its FIN looks the same whether it still
// reads or not, and no port may stay open for a client that no longer exists.
Handshake::Progress Handshake::StepBinding(const SessionTools& tools) {
  if (core_.events.closing) return EndWith(SessionEnd::kClientLeft);
  if (resolving_) return Progress::kWaiting;
  switch (bind_wait_.Step(core_.port, bind_tools(tools))) {
    case BindWait::Progress::kWaiting:
      return Progress::kWaiting;
    case BindWait::Progress::kUnfinished:
      return Progress::kUnfinished;
    case BindWait::Progress::kAccepted:
      return FinishBind(tools);
  }
  return Progress::kWaiting;
}

// --- Messages ------------------------------------------------------------------------------------------------------

Handshake::Received Handshake::Receive() {
  if (!core_.events.readable) return Received::kNothing;
  const std::span room = std::span(bytes_).subspan(end_);
  assert(!room.empty());  // the longest messages fit (limits.h), and a complete one has been decoded and consumed
  const IoResult read = penstock::Receive(core_.socket.get(), room);
  switch (read.status) {
    case IoStatus::kDone:
      end_ += read.bytes;
      if (read.bytes < room.size() && !core_.events.closing && !core_.events.urgent) core_.events.readable = false;
      return Received::kBytes;
    case IoStatus::kAgain:
      core_.events.readable = false;
      return Received::kNothing;
    case IoStatus::kEnd:
    case IoStatus::kFault:
      return Received::kEnd;
  }
  return Received::kEnd;
}

Handshake::Progress Handshake::AfterReceiving(Received received, const SessionTools& tools) {
  if (received != Received::kEnd) return Progress::kWaiting;
  tools.counters().handshake_left.Add();
  return EndWith(SessionEnd::kClientLeft);
}

Handshake::Progress Handshake::Refuse(Outcome outcome, const SessionTools& tools) {
  if (!core_.SendReply(outcome, socks5::Unbound(), tools)) return EndWith(SessionEnd::kClientLeft);
  return CloseWith(outcome == Outcome::kOverLimit ? SessionEnd::kOverLimit : SessionEnd::kRefused);
}

Handshake::Progress Handshake::RefuseUser(const SessionTools& tools) {
  const Outcome outcome = user_refusal_ == UserRefusal::kSessions ? Outcome::kOverLimit : Outcome::kDenied;
  if (!core_.SendReply(outcome, socks5::Unbound(), tools)) return EndWith(SessionEnd::kClientLeft);
  return CloseWith(EndOf(user_refusal_));
}

Handshake::Progress Handshake::Deny(const AccessVerdict& verdict, const SessionTools& tools) {
  core_.NoteDenied(verdict, tools);
  return Refuse(Outcome::kDenied, tools);
}

// Without rules there is nothing to tell.
void Handshake::NoteAllowed(const AccessVerdict& verdict, const SessionTools& tools) {
  core_.decider = tools.policy->rules->empty() ? Decider::kNone : verdict.decider();
}

Handshake::Progress Handshake::RefuseBadRequest(socks5::RequestFault fault, const SessionTools& tools) {
  tools.counters().malformed.Add();
  Warn("malformed-request", tools);
  switch (fault) {
    case socks5::RequestFault::kNone:  // wrong version
    case socks5::RequestFault::kEmptyName:
      break;
    case socks5::RequestFault::kCommand:
      return Refuse(Outcome::kCommandUnsupported, tools);
    case socks5::RequestFault::kAddressType:
      return Refuse(Outcome::kAddressTypeUnsupported, tools);
  }
  return Refuse(Outcome::kMalformed, tools);
}

void Handshake::Warn(std::string_view event, const SessionTools& tools) const {
  if (!tools.warnings.Due(event, tools.now())) return;
  LogLine line(LogLevel::kWarn, event);
  line.Address("client", core_.client);
  if (core_.user != nullptr) line.Text("user", core_.user.get());
  tools.log.Write(line);
}

Handshake::Progress Handshake::CloseWith(SessionEnd end) {
  core_.end = end;
  return Progress::kRefused;
}

Handshake::Progress Handshake::EndWith(SessionEnd end) {
  core_.end = end;
  return Progress::kEnded;
}

// --- Logging in ----------------------------------------------------------------------------------------------------

Handshake::Progress Handshake::CheckLogin(const socks5::Credentials& credentials, const SessionTools& tools) {
  // A reload since the greeting may have removed all users: then any credentials are accepted.
  LoginCheck check{LoginOutcome::kAccepted};
  if (tools.users() != nullptr) {
    if (!core_.StoreUser(credentials.name)) return EndWith(SessionEnd::kExhausted);
    const LoginAttempt attempt{credentials.name, credentials.password, core_.client.ip};
    check = tools.logins.Check(tools.users(), attempt, waiter(tools), tools.now());
    if (check.user != nullptr && !core_.StoreUser(credentials.name, check.user->credential)) {
      return EndWith(SessionEnd::kExhausted);
    }
  }
  Wipe(std::span(bytes_).subspan(begin_, credentials.size));
  begin_ += credentials.size;
  if (check.outcome != LoginOutcome::kPending) return FinishLogin(check.outcome, tools);
  checking_login_ = true;
  login_ticket_ = check.ticket;
  return Progress::kWaiting;
}

Handshake::Progress Handshake::FinishLogin(LoginOutcome outcome, const SessionTools& tools) {
  switch (outcome) {
    case LoginOutcome::kPending:
      break;
    case LoginOutcome::kAccepted:
      tools.counters().logins_accepted.Add();
      if (!AdmitUser(tools)) return EndWith(SessionEnd::kExhausted);
      if (!core_.Send(socks5::EncodeVerdict(true))) return EndWith(SessionEnd::kClientLeft);
      core_.Advance(SessionState::kRequest, tools);
      break;
    case LoginOutcome::kWrong:
      tools.counters().logins_failed.Add();
      NoteFailedLogin(tools);
      Warn("login-failed", tools);
      return RefuseLogin(SessionEnd::kLoginFailed);
    case LoginOutcome::kThrottled:
      tools.counters().logins_throttled.Add();
      Warn("login-throttled", tools);
      return RefuseLogin(SessionEnd::kLoginThrottled);
  }
  return Progress::kWaiting;
}

// Counts the session towards its user after an accepted login. If a limit of the user does not allow it, the request is
// refused later, with a reply that says so. False if there is no memory.
bool Handshake::AdmitUser(const SessionTools& tools) {
  if (tools.users() == nullptr) return true;
  const std::uint32_t max = tools.policy->limits.connections_per_user_max;
  const auto admitted = tools.meters.Admit(core_.user.get(), max, core_.client.ip);
  core_.meter = admitted.meter;
  user_refusal_ = admitted.refusal;
  CountRefusal(user_refusal_, tools.counters());
  return user_refusal_ != UserRefusal::kNoMemory;
}

// Only configured users have accounts. An unknown name takes the same path.
void Handshake::NoteFailedLogin(const SessionTools& tools) const {
  if (tools.users() == nullptr) return;
  const User* const known = tools.users()->Find(core_.user.get());
  tools.meters.NoteFailedLogin(known != nullptr ? std::string_view(known->name) : std::string_view());
}

Handshake::Progress Handshake::RefuseLogin(SessionEnd end) {
  if (!core_.Send(socks5::EncodeVerdict(false))) return EndWith(SessionEnd::kClientLeft);
  return CloseWith(end);
}

// --- Connecting, or waiting for a peer -----------------------------------------------------------------------------

Handshake::Progress Handshake::BeginCommand(const socks5::Request& request, const SessionTools& tools) {
  core_.command = request.command;
  core_.target = {request.address, request.port};
  core_.port = request.port;
  StoreName({request.name}, tools);
  // A reload since the login may have changed the user, or one since the greeting may require a login.
  if (!core_.login_valid(tools)) return Deny({}, tools);
  const bool client_over_limit =
      core_.admission == Admission::kOverConnections || core_.admission == Admission::kOverRate;
  if (client_over_limit) return Refuse(Outcome::kOverLimit, tools);
  if (user_refusal_ == UserRefusal::kNone) {  // when the login was accepted
    user_refusal_ = core_.user_refusal();
    CountRefusal(user_refusal_, tools.counters());
  }
  if (user_refusal_ != UserRefusal::kNone) return RefuseUser(tools);
  switch (request.command) {
    case Command::kConnect:
      core_.Advance(SessionState::kConnecting, tools);
      if (request.port == 0) return Refuse(Outcome::kMalformed, tools);
      return ResolveTarget(request, tools);
    case Command::kBind:
      // DST.PORT may be 0: peers connect from ephemeral ports. Only the rules evaluate it.
      core_.Advance(SessionState::kBinding, tools);
      return ResolveTarget(request, tools);
    case Command::kUdpAssociate:
      if (const AccessVerdict verdict = core_.access(tools).EvaluateCommand(); !verdict.allowed) {
        return Deny(verdict, tools);
      } else {
        NoteAllowed(verdict, tools);
        return Progress::kAssociate;
      }
  }
  return Refuse(Outcome::kCommandUnsupported, tools);
}

Handshake::Progress Handshake::ResolveTarget(const socks5::Request& request, const SessionTools& tools) {
  tools.deadlines.connect.Arm(core_.deadline, tools.now());
  const auto address = request.name.empty() ? std::optional(request.address) : AddressInName(request.name);
  if (!address) return ResolveName(request.name, tools);
  core_.target.ip = *address;
  if (core_.state() != SessionState::kBinding || !address->is_unspecified())
    return ConnectOrListen({}, {&*address, 1}, tools);
  const AccessVerdict verdict = core_.access(tools).EvaluateName({}, core_.port);
  if (!verdict.allowed) return Deny(verdict, tools);
  NoteAllowed(verdict, tools);
  // BND must be an address that a peer can reach: the listener is bound to the address that the client reached, not to
  // the wildcard address.
  if (core_.name == nullptr) StoreName({address->ToString()}, tools);
  const Endpoint at = LocalEndpoint(core_.socket.get());
  return AfterListening(bind_wait_.ListenForAnyPeer(at, bind_tools(tools)), tools);
}

Handshake::Progress Handshake::ResolveName(std::string_view name, const SessionTools& tools) {
  if (!IsHostName(name)) return Refuse(Outcome::kNameNotFound, tools);
  name_ = name;
  resolving_ = true;
  const Access access = core_.access(tools);
  const AllowedNames allowed(access, name, core_.port);
  const auto answer = tools.resolver.Resolve(name, {kTagTargetName, core_.handle}, core_.client.ip, &allowed);
  return answer ? OnName(*answer, tools) : Progress::kWaiting;
}

// Connects to the addresses that the client may reach or, for BIND, listens for a peer at one of them.
Handshake::Progress Handshake::ConnectOrListen(const TargetName& name, std::span<const IpAddress> addresses,
                                               const SessionTools& tools) {
  std::array<IpAddress, kAddressesPerName> allowed;
  std::array<const Source*, kAddressesPerName> all_sources;
  std::size_t count = 0;
  AccessVerdict denial;
  const Access access = core_.access(tools);
  for (const IpAddress& address : addresses.first(std::min(addresses.size(), allowed.size()))) {
    const AccessVerdict verdict = access.EvaluateAddress(name, address, core_.port);
    if (!verdict.allowed) {
      denial = verdict;
      continue;
    }
    const Decider before = core_.decider;
    NoteAllowed(verdict, tools);
    deciders_differ_ |= count > 0 && core_.decider != before;
    if (verdict.source() != nullptr) rules_ = tools.policy->rules;
    all_sources[count] = verdict.source();
    allowed[count++] = address;
  }
  if (count == 0) return Deny(denial, tools);
  const auto targets = std::span(allowed).first(count);
  const auto sources = std::span(all_sources).first(count);
  if (core_.state() == SessionState::kBinding) {
    return AfterListening(bind_wait_.ListenFor(targets, bind_tools(tools), sources), tools);
  }
  dial_begun_ = tools.now();
  dialer_.Begin(targets, core_.port, dial_tools(tools), sources);
  return Progress::kWaiting;
}

Handshake::Progress Handshake::FinishConnect(const SessionTools& tools) {
  const Endpoint local = LocalEndpoint(dialer_.socket());
  if (deciders_differ_) {
    NoteAllowed(core_.access(tools).EvaluateAddress(core_.target_name(), dialer_.peer().ip, core_.port), tools);
  }
  // A connect(2) to a free ephemeral port of this host can connect the socket to itself (TCP simultaneous open).
  if (local == dialer_.peer()) return Refuse(Outcome::kRefused, tools);
  tools.counters().durations.connect.Observe(tools.now() - dial_begun_);
  connection_.attempt = dialer_.winner();
  connection_.peer = dialer_.peer();
  connection_.bound = local;
  connection_.events = dialer_.events();
  connection_.socket = dialer_.TakeSocket();
  return Progress::kConnected;
}

// The first reply of BIND: BND is the address to which the peer should connect (RFC 1928 section 6).
Handshake::Progress Handshake::AfterListening(Fault fault, const SessionTools& tools) {
  if (fault != Fault::kNone) return Refuse(OutcomeOf(fault), tools);
  if (!core_.SendReply(Outcome::kSucceeded, bind_wait_.at(), tools)) return EndWith(SessionEnd::kClientLeft);
  tools.deadlines.bind.Arm(core_.deadline, tools.now());
  return Progress::kWaiting;
}

// The second reply of BIND is due: BND is the address of the peer (RFC 1928 section 6).
Handshake::Progress Handshake::FinishBind(const SessionTools& tools) {
  Accepted peer = bind_wait_.TakePeer();
  if (!tools.poller.Add(peer.socket.get(), {kTagTarget, core_.handle})) {
    AbortOnClose(peer.socket.get());
    return Refuse(Outcome::kGeneralFailure, tools);
  }
  connection_.socket = std::move(peer.socket);
  connection_.peer = peer.peer;
  connection_.bound = peer.peer;
  connection_.events.writable = true;
  return Progress::kConnected;
}

void Handshake::StoreName(const TargetName& name, const SessionTools& tools) {
  const bool wanted = tools.settings.store_names || tools.log.wants(LogLevel::kInfo) || !tools.policy->rules->empty();
  if (name.requested.empty() || !wanted) return;
  core_.name = CopyStrings(name.requested, name.completed);
}

Outcome OutcomeOf(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return Outcome::kSucceeded;
    case Fault::kRefused:
    case Fault::kReset:
      return Outcome::kRefused;
    case Fault::kNetworkUnreachable:
      return Outcome::kNetworkUnreachable;
    case Fault::kHostUnreachable:
      return Outcome::kHostUnreachable;
    case Fault::kTimedOut:
      return Outcome::kTimedOut;
    case Fault::kDenied:
      return Outcome::kDenied;
    case Fault::kNoFamily:
      return Outcome::kAddressTypeUnsupported;
    case Fault::kExhausted:
    case Fault::kOther:
      return Outcome::kGeneralFailure;
  }
  return Outcome::kGeneralFailure;
}

}  // namespace penstock
