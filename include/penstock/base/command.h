// What a client asks of the gateway, and how that went, in no protocol's own words: a codec translates (socks5.h).
// Plain values; any thread.
// Invariant: an outcome names a cause. Two causes that are one code of one protocol may be two codes of another.
// Deliberately not here: numbers on the wire (socks5.h), and what a system call says (Fault, os/io.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

enum class Command : std::uint8_t { kConnect, kBind, kUdpAssociate };

// The words of rules and of the log, in the order of Command.
inline constexpr std::string_view kCommandWords[] = {"connect", "bind", "udp-associate"};
constexpr std::string_view Describe(Command command) { return kCommandWords[static_cast<std::size_t>(command)]; }

enum class Outcome : std::uint8_t {
  kSucceeded,
  kGeneralFailure,  // no descriptor, memory or port is left; anything else that has no word of its own
  kMalformed,       // the request makes no sense
  kOverLimit,       // the client or the user has as many sessions, or the client comes as often, as it may
  kDenied,          // by a rule, by the guard, or by a local firewall
  kNetworkUnreachable,
  kHostUnreachable,
  kNameNotFound,  // the target's name has no address, or no name server answered in time
  kRefused,       // by the target
  kTimedOut,      // no answer of the target, or no peer, in time
  kCommandUnsupported,
  kAddressTypeUnsupported,  // by the codec, or by this host
};

}  // namespace penstock
