// The SOCKS5 wire format (RFC 1928, and RFC 1929 for logins): decodes the messages of a client and encodes the answers.
// It translates CMD to a Command and an Outcome to REP (command.h).
// Pure functions over bytes; any thread.
// Invariant: a decoder starts at the first byte of a message and has no state, so a stream may be split and joined
// anywhere: call it again with more bytes until the message is complete. Bytes after the message are ignored.
// Does not: choose the answers (handshake.h).
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
  kUnacceptable = 0xff,  // none of the offered methods is acceptable
};

enum class Decoded : std::uint8_t {
  kIncomplete,  // valid so far: call again with more bytes
  kComplete,    // the fields are valid, and the message is `size` bytes long
  kNotSocks5,   // the first byte is not version 5
  kMalformed,   // the rule is at the decoder of the message
};

struct Greeting {
  Decoded decoded = Decoded::kIncomplete;
  std::size_t size = 0;
  bool offers_none = false;      // the client listed method 00
  bool offers_password = false;  // the client listed method 02
};

// RFC 1928 section 3. Malformed: NMETHODS is 0.
Greeting DecodeGreeting(std::span<const std::uint8_t> bytes);

inline constexpr std::uint8_t kCredentialsVersion = 1;  // VER of RFC 1929

// A name and a password, as views of the decoded bytes. The owner of those bytes wipes the first `size` of them after
// use.
struct Credentials {
  Decoded decoded = Decoded::kIncomplete;
  std::size_t size = 0;
  std::string_view name;  // any bytes
  SecretView password;    // may be empty, as some clients send it: a wrong password, not malformed
};

// RFC 1929 section 2. Malformed: VER is not 1, or ULEN is 0.
Credentials DecodeCredentials(std::span<const std::uint8_t> bytes);

enum class RequestFault : std::uint8_t {
  kNone,
  kCommand,      // unknown CMD; reported once the message is complete
  kAddressType,  // unknown ATYP; reported at once, since the length of the message is unknown
  kEmptyName,    // a name of length 0
};

struct Request {
  Decoded decoded = Decoded::kIncomplete;
  RequestFault fault = RequestFault::kNone;  // set if malformed
  std::size_t size = 0;
  Command command = Command::kConnect;
  IpAddress address;      // valid if `name` is empty
  std::string_view name;  // as the client sent it; a view of the decoded bytes
  std::uint16_t port = 0;
};

// RFC 1928 section 4. Malformed: see RequestFault. RSV is ignored, although RFC 1928 requires 0: clients that leave it
// set are served.
Request DecodeRequest(std::span<const std::uint8_t> bytes);

// The REP of `outcome`, 0 to 8 (RFC 1928 section 6). An outcome without a code of its own is 1, general failure.
std::uint8_t Rep(Outcome outcome);

// The words for REP 0 to 8 in lists, such as "general-failure".
inline constexpr std::array<std::string_view, 9> kReplyWords{
    "succeeded",          "general-failure", "not-allowed",           "network-unreachable",       "host-unreachable",
    "connection-refused", "timed-out",       "command-not-supported", "address-type-not-supported"};

inline constexpr std::size_t kReplyBytesMax = 4 + 16 + 2;

// RFC 1928 section 3.
std::array<std::uint8_t, 2> EncodeChoice(Method method);

// RFC 1929 section 2. STATUS is 0 for success. After any other the connection must be closed.
std::array<std::uint8_t, 2> EncodeVerdict(bool accepted);

// Writes a reply to the beginning of `buffer` and returns the written part (RFC 1928 section 6). `bound` is BND.ADDR
// and BND.PORT; ATYP is the family of its address. For a refusal pass Unbound().
std::span<const std::uint8_t> EncodeReply(Outcome outcome, const Endpoint& bound,
                                          std::span<std::uint8_t, kReplyBytesMax> buffer);

// 0.0.0.0:0, for replies without an address. It is IPv4, so a client that does not know ATYP 4 can decode a refusal.
Endpoint Unbound();

// --- UDP (RFC 1928 section 7) --------------------------------------------------------------------------------------

enum class UdpFault : std::uint8_t {
  kNone,
  kMalformed,  // truncated, an unknown ATYP, a name of length 0, or port 0
  kFragment,   // FRAG is not 0: a part of a larger datagram; this gateway does not reassemble
};

// The header of a client's datagram: the target of its data.
struct UdpHeader {
  UdpFault fault = UdpFault::kMalformed;
  std::size_t size = 0;   // the data begins here
  IpAddress address;      // valid if `name` is empty
  std::string_view name;  // as the client sent it; a view of the decoded bytes
  std::uint16_t port = 0;
};

// RFC 1928 section 7. `datagram` is one complete datagram. RSV is ignored, as in a request.
UdpHeader DecodeUdpHeader(std::span<const std::uint8_t> datagram);

// The length of the header of a datagram from `from`.
inline constexpr std::size_t kUdpHeaderBytesMax = 4 + 16 + 2;
inline std::size_t UdpHeaderBytes(const IpAddress& from) { return from.is_v4() ? 4 + 4 + 2 : kUdpHeaderBytesMax; }

// Writes the header of a datagram from `from` to the end of `headroom`, which is before the data. Returns the written
// part, UdpHeaderBytes(from.ip) bytes long.
std::span<std::uint8_t> EncodeUdpHeader(const Endpoint& from, std::span<std::uint8_t, kUdpHeaderBytesMax> headroom);

}  // namespace penstock::socks5
