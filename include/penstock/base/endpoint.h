// Where a peer is: an IP address, an address with a port, and what counts as a host name; to and from text and
// sockaddr. Plain values; any thread.
// Invariant: an IPv4 address has one form. ::ffff:a.b.c.d is that form inside, so an IPv4-mapped address cannot slip
// past a comparison that was written for IPv4.
// Deliberately not here: looking a name up (resolver.h), and whether an address may be used (guard.h).
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

  // Dotted quad or RFC 4291 text as inet_pton(3) takes it; nothing else ("1.2" and "0x7f.1" are no addresses).
  static std::optional<IpAddress> Parse(std::string_view text);

  bool is_v4() const;
  bool is_unspecified() const;  // 0.0.0.0 or ::
  bool is_loopback() const;     // 127.0.0.0/8 or ::1
  bool is_link_local() const;   // 169.254.0.0/16 (cloud metadata lives there) or fe80::/10
  bool is_multicast() const;    // 224.0.0.0/4 or ff00::/8
  bool is_broadcast() const;    // 255.255.255.255
  bool is_zero_net() const;     // 0.0.0.0/8, "this network" (RFC 1122 section 3.2.1.3)

  // The 4 or 16 bytes of the address in network order; the span lives as long as this object.
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

  // An AF_INET or AF_INET6 sockaddr; anything else (an unnamed peer) is [::]:0.
  static Endpoint FromSockaddr(const sockaddr_storage& address);

  // "127.0.0.1:1080", "[::1]:1080", "[fe80::1%eth0]:1080" with a port of 0 to 65535; nothing for any other text.
  static std::optional<Endpoint> Parse(std::string_view text);

  // Fills `address` and returns how many bytes of it count. An IPv4 address becomes AF_INET.
  socklen_t ToSockaddr(sockaddr_storage* address) const;

  // "127.0.0.1:1080" or "[::1]:1080".
  std::string ToString() const;

  bool operator==(const Endpoint&) const = default;
};

// The bytes that identify a client: all 4 of an IPv4 address, the first 8 of an IPv6 address, for a host usually gets a
// whole /64 and can use a new address for each connection. They lie in `address`.
std::span<const std::uint8_t> ClientBytes(const IpAddress& address);

// Ports that may be chosen from, both ends included. 0-0: any that the kernel picks.
struct PortRange {
  std::uint16_t low = 0;
  std::uint16_t high = 0;

  // "443" or "40000-49999", from 1 to 65535; nothing for any other text.
  static std::optional<PortRange> Parse(std::string_view text);

  std::size_t count() const { return std::size_t{high} - low + 1; }

  bool operator==(const PortRange&) const = default;
};

// From where to connect: one address of a family at most, and a network interface; what is not named is the kernel's
// choice. When an address is named, a family without one is not used.
struct Source {
  std::optional<IpAddress> v4;
  std::optional<IpAddress> v6;
  std::string interface;  // shorter than IFNAMSIZ

  bool named() const { return v4 || v6 || !interface.empty(); }

  // The address for connections to `peer`, and whether there can be none.
  const std::optional<IpAddress>& towards(const IpAddress& peer) const { return peer.is_v4() ? v4 : v6; }
  bool excludes(const IpAddress& peer) const { return (v4 || v6) && !towards(peer); }

  bool operator==(const Source&) const = default;
};

// True exactly when `name` can be asked of the DNS: 1 to 253 bytes without the final dot, labels of 1 to 63, every byte
// printable ASCII and no blank. Underscores and the like are let through: real names have them, and a name server
// is the judge.
bool IsHostName(std::string_view name);

// What a client put into a domain-name field: the text of an address ("10.0.0.1", "::1", "[::1]"), or nothing when it
// is a name.
std::optional<IpAddress> AddressInName(std::string_view name);

}  // namespace penstock
