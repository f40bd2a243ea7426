// The commands of a client and the outcomes of its requests, independent of the protocol. A codec translates them
// (socks5.h).
// Plain values; any thread.
// Invariant: an outcome is a cause. Causes that share a code in one protocol may have different codes in another.
// Does not: define numbers on the wire (socks5.h), describe errors of system calls (Fault, os/io.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

enum class Command : std::uint8_t { kConnect, kBind, kUdpAssociate };

// The names of the commands in rules and in the log, in the order of Command.
inline constexpr std::string_view kCommandWords[] = {"connect", "bind", "udp-associate"};
constexpr std::string_view Describe(Command command) { return kCommandWords[static_cast<std::size_t>(command)]; }

enum class Outcome : std::uint8_t {
  kSucceeded,
  kGeneralFailure,  // no descriptor, memory or port is left, or any other cause
  kMalformed,       // the request is malformed
  kOverLimit,       // the client or the user is over a limit on sessions, or the client over its connect rate
  kDenied,          // by a rule, by the guard, or by a local firewall
  kNetworkUnreachable,
  kHostUnreachable,
  kNameNotFound,  // the target's name has no address, or no name server answered in time
  kRefused,       // the target refused the connection
  kTimedOut,      // the target did not answer, or no peer connected, in time
  kCommandUnsupported,
  kAddressTypeUnsupported,  // the codec does not know it, or this host cannot dial it
};

}  // namespace penstock
