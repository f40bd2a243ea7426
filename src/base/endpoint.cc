#include "penstock/base/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>

#include "penstock/base/limits.h"
#include "penstock/base/quantity.h"

namespace penstock {
namespace {

// ::ffff:0:0/96, RFC 4291 section 2.5.5.2.
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<std::uint16_t> ParsePort(std::string_view text, std::uint16_t low) {
  const auto port = ParseNumber(text, low, 65'535);
  return port ? std::optional(static_cast<std::uint16_t>(*port)) : std::nullopt;
}

}  // namespace

IpAddress IpAddress::FromV4(std::span<const std::uint8_t, 4> bytes) {
  IpAddress address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes_.begin());
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin() + 12);
  return address;
}

IpAddress IpAddress::FromV6(std::span<const std::uint8_t, 16> bytes) {
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof terminated) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // where inet_pton(3) would stop
  terminated[text.copy(terminated, text.size())] = '\0';
  std::array<std::uint8_t, 16> bytes;
  if (::inet_pton(AF_INET, terminated, bytes.data()) == 1) {
    return FromV4(std::span(bytes).first<4>());
  }
  if (::inet_pton(AF_INET6, terminated, bytes.data()) == 1) return FromV6(bytes);
  return std::nullopt;
}

bool IpAddress::is_v4() const { return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin()); }

std::span<const std::uint8_t> IpAddress::bytes() const {
  return is_v4() ? std::span(bytes_).subspan(12) : std::span<const std::uint8_t>(bytes_);
}

bool IpAddress::is_unspecified() const {
  return std::ranges::all_of(bytes(), [](auto byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes()[0] == 127;
  return bytes_[15] == 1 && std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto byte) { return byte == 0; });
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes()[0] == 169 && bytes()[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const { return is_v4() ? (bytes()[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

bool IpAddress::is_broadcast() const {
  return is_v4() && std::ranges::all_of(bytes(), [](auto byte) { return byte == 0xff; });
}

bool IpAddress::is_zero_net() const { return is_v4() && bytes()[0] == 0; }

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes().data(), text, sizeof text);
  return text;
}

Endpoint Endpoint::FromSockaddr(const sockaddr_storage& address) {
  Endpoint endpoint;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    endpoint.ip = IpAddress::FromV4(bytes);
    endpoint.port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    endpoint.ip = IpAddress::FromV6(bytes);
    endpoint.port = ntohs(v6.sin6_port);
    endpoint.scope = v6.sin6_scope_id;
  }
  return endpoint;
}

std::optional<Endpoint> Endpoint::Parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = ParsePort(text.substr(colon + 1), 0);
  if (!port) return std::nullopt;

  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  Endpoint endpoint;
  endpoint.port = *port;
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
    const std::size_t percent = host.find('%');
    if (percent != std::string_view::npos) {
      if (host.find('\0') != std::string_view::npos) return std::nullopt;  // where if_nametoindex(3) would stop
      endpoint.scope = ::if_nametoindex(std::string(host.substr(percent + 1)).c_str());
      if (endpoint.scope == 0) return std::nullopt;
      host = host.substr(0, percent);
    }
  }
  // "::1:1080" is ambiguous, so an IPv6 address must be in brackets.
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  const auto ip = IpAddress::Parse(host);
  if (!ip || (bracketed && host.find(':') == std::string_view::npos)) return std::nullopt;
  endpoint.ip = *ip;
  return endpoint;
}

socklen_t Endpoint::ToSockaddr(sockaddr_storage* address) const {
  *address = {};
  if (ip.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, ip.bytes().data(), sizeof v4.sin_addr);
    std::memcpy(address, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_scope_id = scope;
  std::memcpy(&v6.sin6_addr, ip.bytes().data(), sizeof v6.sin6_addr);
  std::memcpy(address, &v6, sizeof v6);
  return sizeof v6;
}

std::string Endpoint::ToString() const {
  const std::string host = ip.is_v4() ? ip.ToString() : '[' + ip.ToString() + ']';
  return host + ':' + std::to_string(port);
}

std::span<const std::uint8_t> ClientBytes(const IpAddress& address) {
  return address.bytes().first(address.is_v4() ? 4 : 8);
}

std::optional<PortRange> PortRange::Parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto low = ParsePort(text.substr(0, dash), 1);
  const auto high = dash == std::string_view::npos ? low : ParsePort(text.substr(dash + 1), 1);
  if (!low || !high || *low > *high) return std::nullopt;
  return PortRange{*low, *high};
}

bool IsHostName(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kNameBytesMax) return false;
  std::size_t label_bytes = 0;
  for (const char c : name) {
    if (c <= ' ' || c > '~') return false;
    label_bytes = c == '.' ? 0 : label_bytes + 1;
    if (label_bytes > kLabelBytesMax) return false;
  }
  return name.front() != '.' && name.back() != '.' && name.find("..") == std::string_view::npos;
}

std::optional<IpAddress> AddressInName(std::string_view name) {
  const bool bracketed = name.size() >= 2 && name.front() == '[' && name.back() == ']';
  if (!bracketed) return IpAddress::Parse(name);
  name = name.substr(1, name.size() - 2);
  return name.find(':') == std::string_view::npos ? std::nullopt : IpAddress::Parse(name);
}

}  // namespace penstock
