// IP addresses, endpoints (an address with a port) and host names; conversion from and to text and sockaddr.
// Plain values; any thread.
// Invariant: each IPv4 address has one representation. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is that IPv4
// address, so it cannot bypass a check for IPv4.
// Deliberately not here: resolving names (dns/resolver.h), and which addresses are allowed (policy/guard.h).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace penstock {

class IpAddress {
 public:
  constexpr IpAddress() = default;  // ::
  static IpAddress FromV4(std::span<const std::uint8_t, 4> bytes);
  static IpAddress FromV6(std::span<const std::uint8_t, 16> bytes);

  // An address in the text form of inet_pton(3): a dotted quad, or RFC 4291 section 2.2. Nothing for any other text,
  // such as "1.2" or "0x7f.1".
  static std::optional<IpAddress> Parse(std::string_view text);

  bool is_v4() const;
  bool is_unspecified() const;  // 0.0.0.0 or ::
  bool is_loopback() const;     // 127.0.0.0/8 or ::1
  bool is_link_local() const;   // 169.254.0.0/16 (cloud metadata lives there) or fe80::/10
  bool is_multicast() const;    // 224.0.0.0/4 or ff00::/8
  bool is_broadcast() const;    // 255.255.255.255
  bool is_zero_net() const;     // 0.0.0.0/8, "this network" (RFC 1122 section 3.2.1.3)

  // The 4 or 16 bytes of the address, in network order; valid as long as this object.
  std::span<const std::uint8_t> bytes() const;

  std::string ToString() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

struct Endpoint {
  IpAddress ip;
  std::uint16_t port = 0;   // host order
  std::uint32_t scope = 0;  // interface index of a link-local IPv6 address, else 0

  // From an AF_INET or AF_INET6 sockaddr; [::]:0 from any other, such as that of an unnamed socket.
  static Endpoint FromSockaddr(const sockaddr_storage& address);

  // "127.0.0.1:1080", "[::1]:1080" or "[fe80::1%eth0]:1080", with a port from 0 to 65535. Nothing for any other text,
  // or if there is no such interface.
  static std::optional<Endpoint> Parse(std::string_view text);

  // Fills `address`, AF_INET for IPv4 and else AF_INET6, and returns its length.
  socklen_t ToSockaddr(sockaddr_storage* address) const;

  // "127.0.0.1:1080" or "[::1]:1080".
  std::string ToString() const;

  bool operator==(const Endpoint&) const = default;
};

// The bytes that identify a client: all 4 of an IPv4 address, the first 8 of an IPv6 address, for a host can use any
// address of its /64. The span refers to `address`.
std::span<const std::uint8_t> ClientBytes(const IpAddress& address);

// A range of ports, both ends included. 0-0: the kernel picks one.
struct PortRange {
  std::uint16_t low = 0;
  std::uint16_t high = 0;

  // "443" or "40000-49999", from 1 to 65535; nothing for any other text.
  static std::optional<PortRange> Parse(std::string_view text);

  std::size_t count() const { return std::size_t{high} - low + 1; }

  bool operator==(const PortRange&) const = default;
};

// The source of connections: at most one address of each family, and an interface. The kernel chooses what is not
// given. If an address of one family is given alone, the other family is not used.
struct Source {
  std::optional<IpAddress> v4;
  std::optional<IpAddress> v6;
  std::string interface;  // shorter than IFNAMSIZ; empty: none

  bool named() const { return v4 || v6 || !interface.empty(); }

  // The source address for connections to `peer`, and whether that family is not used.
  const std::optional<IpAddress>& towards(const IpAddress& peer) const { return peer.is_v4() ? v4 : v6; }
  bool excludes(const IpAddress& peer) const { return (v4 || v6) && !towards(peer); }

  bool operator==(const Source&) const = default;
};

// True exactly when a name server can be asked for `name`: 1 to 253 bytes without the final dot, labels of 1 to 63, and
// all bytes printable ASCII without blanks (RFC 1035 section 2.3.4). Underscores and the like are valid: real names
// have them.
bool IsHostName(std::string_view name);

// The address in the domain-name field of a request, where a client wrote "10.0.0.1", "::1" or "[::1]"; nothing if the
// field is a name.
std::optional<IpAddress> AddressInName(std::string_view name);

}  // namespace penstock
