// The SOCKS5 wire format (RFC 1928, and RFC 1929 for logins): decoding what a client sends, encoding what it is
// answered. CMD becomes a Command, and an Outcome becomes REP (command.h).
// Pure functions over bytes, any thread.
// Invariant: a decoder looks at a message only from its first byte and consumes it only when it is whole, so a stream
// may be split or glued anywhere and the decoder need not remember anything.
// Deliberately not here: what to answer to what (handshake.h).
//
//   greeting   VER=5 | NMETHODS | METHODS (NMETHODS bytes)
//   choice     VER=5 | METHOD
//   login      VER=1 | ULEN | UNAME (ULEN bytes) | PLEN | PASSWD (PLEN bytes)
//   verdict    VER=1 | STATUS
//   request    VER=5 | CMD | RSV | ATYP | DST.ADDR | DST.PORT
//   reply      VER=5 | REP | RSV=0 | ATYP | BND.ADDR | BND.PORT
//   datagram   RSV(2)=0 | FRAG | ATYP | DST.ADDR | DST.PORT | DATA          between a UDP client and the gateway
//
//   ADDR is 4 bytes (ATYP 1), a length byte and a name (ATYP 3), or 16 bytes (ATYP 4); PORT is big-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "penstock/base/command.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/secret.h"

namespace penstock::socks5 {

inline constexpr std::uint8_t kVersion = 5;

enum class Method : std::uint8_t {
  kNone = 0x00,          // no authentication required
  kPassword = 0x02,      // RFC 1929
  kUnacceptable = 0xff,  // none of the offered methods will do
};

enum class Decoded : std::uint8_t {
  kIncomplete,  // a good beginning: come back with more
  kWhole,       // the fields are valid and `size` bytes belong to the message
  kNotSocks5,   // the first byte is not version 5
  kMalformed,   // see the message's own rule
};

struct Greeting {
  Decoded decoded = Decoded::kIncomplete;
  std::size_t size = 0;
  bool offers_none = false;      // the client listed method 00
  bool offers_password = false;  // the client listed method 02
};

// Malformed: NMETHODS is 0.
Greeting DecodeGreeting(std::span<const std::uint8_t> bytes);

inline constexpr std::uint8_t kCredentialsVersion = 1;  // RFC 1929 has a version of its own

// What a client logs in with. Both point into the decoded bytes, and whoever owns those wipes `size` of them.
struct Credentials {
  Decoded decoded = Decoded::kIncomplete;
  std::size_t size = 0;
  std::string_view name;  // any bytes
  SecretView password;    // may be empty: some clients send that, and it is a wrong password, no protocol error
};

// Malformed: VER is not 1, or ULEN is 0.
Credentials DecodeCredentials(std::span<const std::uint8_t> bytes);

enum class RequestFault : std::uint8_t {
  kNone,
  kCommand,      // unknown CMD, told once the message is whole
  kAddressType,  // unknown ATYP: where the message would end cannot be known
  kEmptyName,    // a name of length 0
};

struct Request {
  Decoded decoded = Decoded::kIncomplete;
  RequestFault fault = RequestFault::kNone;  // why, when malformed
  std::size_t size = 0;
  Command command = Command::kConnect;
  IpAddress address;      // when `name` is empty
  std::string_view name;  // as the client wrote it; points into the decoded bytes
  std::uint16_t port = 0;
};

// RSV is not looked at: RFC 1928 asks senders to clear it, and robust peers do not punish those who forget.
Request DecodeRequest(std::span<const std::uint8_t> bytes);

// REP that tells of `outcome` (RFC 1928 section 6), 0 to 8. What has no code of its own is 1, general failure.
std::uint8_t Rep(Outcome outcome);

inline constexpr std::size_t kReplyBytesMax = 4 + 16 + 2;

std::array<std::uint8_t, 2> EncodeChoice(Method method);

// STATUS: 0 is success, anything else a failure after which the connection is to be closed.
std::array<std::uint8_t, 2> EncodeVerdict(bool accepted);

// Writes a reply into `room` and returns the part that was written. `bound` is BND in the family of its address; the
// BND of a refusal is Unbound().
std::span<const std::uint8_t> EncodeReply(Outcome outcome, const Endpoint& bound,
                                          std::span<std::uint8_t, kReplyBytesMax> room);

// 0.0.0.0:0, for replies that have no address to tell. (A client that cannot read ATYP 4 can read its refusal.)
Endpoint Unbound();

// --- UDP (RFC 1928 section 7) --------------------------------------------------------------------------------------

enum class UdpFault : std::uint8_t {
  kNone,
  kMalformed,  // cut off, an unknown ATYP, a name of length 0, or port 0
  kFragment,   // FRAG is not 0: a part of a larger datagram, which this gateway does not put together
};

// What stands in front of a datagram's data: where a client wants it to go.
struct UdpHeader {
  UdpFault fault = UdpFault::kMalformed;
  std::size_t size = 0;   // the data begins here
  IpAddress address;      // when `name` is empty
  std::string_view name;  // as the client wrote it; points into the decoded bytes
  std::uint16_t port = 0;
};

// `datagram` is whole: a datagram comes as one or not at all. RSV is not looked at, as in a request.
UdpHeader DecodeUdpHeader(std::span<const std::uint8_t> datagram);

// How long the header of an answer is.
inline constexpr std::size_t kUdpHeaderBytesMax = 4 + 16 + 2;
inline std::size_t UdpHeaderBytes(const IpAddress& from) { return from.is_v4() ? 4 + 4 + 2 : kUdpHeaderBytesMax; }

// Writes the header of an answer that came from `from` so that it ends where `room` ends: in front of the data.
// Returns the part that was written, of UdpHeaderBytes(from.ip).
std::span<std::uint8_t> EncodeUdpHeader(const Endpoint& from, std::span<std::uint8_t, kUdpHeaderBytesMax> room);

}  // namespace penstock::socks5
