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

bool SessionCore::Send(std::span<const std::uint8_t> bytes) const {
  const IoResult sent = penstock::Send(socket.get(), bytes);
  return sent.status == IoStatus::kDone && sent.bytes == bytes.size();
}

bool SessionCore::SendReply(Outcome outcome, const Endpoint& bound, const SessionTools& tools) {
  std::array<std::uint8_t, socks5::kReplyBytesMax> room;
  reply = outcome;
  tools.counters().replies[socks5::Rep(outcome)].Add();
  return Send(socks5::EncodeReply(outcome, bound, room));
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
    case SessionEnd::kExhausted:
      return "exhausted";
  }
  return "";
}

}  // namespace penstock
