#include "penstock/session/core.h"

#include <array>
#include <cassert>
#include <cstring>
#include <new>

#include "penstock/base/socks5.h"
#include "penstock/os/io.h"

namespace penstock {

Access SessionCore::access(const SessionTools& tools) const {
  const std::string_view who = user != nullptr ? std::string_view(user.get()) : std::string_view();
  assert(command);
  return {*tools.policy->rules, tools.guard, client.ip, who, *command};
}

std::unique_ptr<char[]> CopyStrings(std::string_view name, std::string_view second) {
  name = name.substr(0, name.find('\0'));
  std::unique_ptr<char[]> copy(new (std::nothrow) char[name.size() + 1 + second.size() + 1]);
  if (copy == nullptr) return copy;
  copy[name.copy(copy.get(), name.size())] = '\0';
  char* const rest = copy.get() + name.size() + 1;
  rest[second.copy(rest, second.size())] = '\0';
  return copy;
}

bool SessionCore::StoreUser(std::string_view who, const Digest& credential) {
  user = CopyStrings(who, {reinterpret_cast<const char*>(credential.data()), credential.size()});
  return user != nullptr;
}

bool SessionCore::login_valid(const SessionTools& tools) const {
  if (tools.users() == nullptr) return true;
  if (user == nullptr) return false;
  Digest kept;
  std::memcpy(kept.data(), user.get() + std::strlen(user.get()) + 1, kept.size());
  return tools.users()->Holds(user.get(), kept);
}

TargetName SessionCore::target_name() const {
  if (name == nullptr) return {};
  const std::string_view asked = name.get();
  return AddressInName(asked) ? TargetName() : TargetName{asked, name.get() + asked.size() + 1};
}

UserRefusal SessionCore::user_refusal() const {
  return meter != nullptr ? meter->account().refusal() : UserRefusal::kNone;
}

void SessionCore::NoteDenied(const AccessVerdict& verdict, const SessionTools& tools) {
  decider = verdict.decider();
  const Denial by = verdict.by_guard ? Denial::kGuard : verdict.rule != nullptr ? Denial::kRule : Denial::kDefault;
  tools.counters().denied[static_cast<std::size_t>(by)].Add();
  if (!tools.log.wants(LogLevel::kInfo)) return;
  LogLine line(LogLevel::kInfo, "denied");
  line.Address("client", client);
  if (user != nullptr) line.Text("user", user.get());
  line.Text("command", Describe(*command));
  line.Text("asked", name != nullptr ? name.get() : target.ip.ToString()).Number("port", port);
  line.Text("rule", Describe(decider));
  if (by == Denial::kRule) line.Text("where", verdict.rule->where);
  tools.log.Write(line);
}

bool SessionCore::Send(std::span<const std::uint8_t> bytes) const {
  const IoResult sent = penstock::Send(socket.get(), bytes);
  return sent.status == IoStatus::kDone && sent.bytes == bytes.size();
}

bool SessionCore::SendReply(Outcome outcome, const Endpoint& bound, const SessionTools& tools) {
  std::array<std::uint8_t, socks5::kReplyBytesMax> room;
  const bool last = state_ != SessionState::kBinding || outcome != Outcome::kSucceeded || reply.has_value();
  const std::size_t row = command ? static_cast<std::size_t>(*command) : Counters::kUnknownCommand;
  if (last) tools.counters().replies[row][socks5::Rep(outcome)].Add();
  reply = outcome;
  return Send(socks5::EncodeReply(outcome, bound, room));
}

void SessionCore::CountRelayEnd(Counters& counters) const {
  if (state_ != SessionState::kRelay && state_ != SessionState::kResetting) return;
  switch (end) {
    case SessionEnd::kClosed:
      return counters.relays_ended.Add();
    case SessionEnd::kReset:
      return counters.relays_reset.Add();
    case SessionEnd::kIdle:
      return counters.relays_expired.Add();
    case SessionEnd::kStopped:
      return counters.relays_stopped.Add();
    case SessionEnd::kForbidden:
      return counters.relays_forbidden.Add();
    case SessionEnd::kKilled:
      return counters.relays_killed.Add();
    case SessionEnd::kQuota:
    case SessionEnd::kExpired:
    case SessionEnd::kHours:
      return counters.relays_limited.Add();
    case SessionEnd::kNone:
    case SessionEnd::kMaxClients:
    case SessionEnd::kRefused:
    case SessionEnd::kOverLimit:
    case SessionEnd::kBadRequest:
    case SessionEnd::kLoginFailed:
    case SessionEnd::kLoginThrottled:
    case SessionEnd::kClientLeft:
    case SessionEnd::kHandshakeExpired:
    case SessionEnd::kExhausted:
      assert(false);  // it ends a handshake, before the relay
  }
}

void CountRefusal(UserRefusal refusal, Counters& counters) {
  switch (refusal) {
    case UserRefusal::kNone:
    case UserRefusal::kNoMemory:
      return;
    case UserRefusal::kSessions:
      return counters.over_user_limit.Add();
    case UserRefusal::kClients:
      return counters.over_clients.Add();
    case UserRefusal::kExpired:
      return counters.user_expired.Add();
    case UserRefusal::kHours:
      return counters.outside_hours.Add();
    case UserRefusal::kQuota:
      return counters.over_quota.Add();
  }
}

SessionEnd EndOf(UserRefusal refusal) {
  switch (refusal) {
    case UserRefusal::kNone:
      return SessionEnd::kNone;
    case UserRefusal::kNoMemory:
      return SessionEnd::kExhausted;
    case UserRefusal::kSessions:
      return SessionEnd::kOverLimit;
    case UserRefusal::kClients:
      return SessionEnd::kMaxClients;
    case UserRefusal::kExpired:
      return SessionEnd::kExpired;
    case UserRefusal::kHours:
      return SessionEnd::kHours;
    case UserRefusal::kQuota:
      return SessionEnd::kQuota;
  }
  return SessionEnd::kNone;
}

std::string_view Describe(SessionState state) {
  switch (state) {
    case SessionState::kNego:
      return "nego";
    case SessionState::kAuth:
      return "auth";
    case SessionState::kRequest:
      return "request";
    case SessionState::kConnecting:
      return "connecting";
    case SessionState::kBinding:
      return "binding";
    case SessionState::kRelay:
      return "relay";
    case SessionState::kAssociated:
      return "associated";
    case SessionState::kClosing:
      return "closing";
    case SessionState::kResetting:
      return "resetting";
  }
  return "";
}

std::string_view Describe(SessionEnd end) {
  switch (end) {
    case SessionEnd::kNone:
      return "none";
    case SessionEnd::kClosed:
      return "closed";
    case SessionEnd::kReset:
      return "reset";
    case SessionEnd::kRefused:
      return "refused";
    case SessionEnd::kOverLimit:
      return "over-limit";
    case SessionEnd::kBadRequest:
      return "bad-request";
    case SessionEnd::kLoginFailed:
      return "login-failed";
    case SessionEnd::kLoginThrottled:
      return "login-throttled";
    case SessionEnd::kClientLeft:
      return "client-left";
    case SessionEnd::kHandshakeExpired:
      return "handshake-expired";
    case SessionEnd::kIdle:
      return "idle";
    case SessionEnd::kStopped:
      return "stopped";
    case SessionEnd::kForbidden:
      return "forbidden";
    case SessionEnd::kKilled:
      return "killed";
    case SessionEnd::kQuota:
      return "quota";
    case SessionEnd::kExpired:
      return "expired";
    case SessionEnd::kHours:
      return "hours";
    case SessionEnd::kMaxClients:
      return "max-clients";
    case SessionEnd::kExhausted:
      return "exhausted";
  }
  return "";
}

}  // namespace penstock
