#include "penstock/guard.h"

#include <chrono>
#include <optional>

namespace penstock {
namespace {

// 64:ff9b::/96, RFC 6052: a translator on the way makes IPv4 of it, so the IPv4 address inside is what is reached.
std::optional<IpAddress> TranslatedToV4(const IpAddress& address) {
  constexpr std::array<std::uint8_t, 12> kPrefix = {0, 0x64, 0xff, 0x9b};
  if (address.is_v4()) return std::nullopt;
  const auto bytes = address.bytes();
  for (std::size_t i = 0; i < kPrefix.size(); ++i) {
    if (bytes[i] != kPrefix[i]) return std::nullopt;
  }
  return IpAddress::FromV4(bytes.last<4>());
}

// fd00:ec2::/32 is where Amazon's machines find theirs; the others' metadata is link-local.
bool IsCloudMetadata(const IpAddress& address) {
  const auto bytes = address.bytes();
  return !address.is_v4() && bytes[0] == 0xfd && bytes[1] == 0x00 && bytes[2] == 0x0e && bytes[3] == 0xc2;
}

// What no route is needed to know.
bool IsClosed(const IpAddress& target) {
  // 0.0.0.0/8 reaches this host as 0.0.0.0 does (RFC 1122 section 3.2.1.3).
  return target.is_unspecified() || target.is_zero_net() || target.is_multicast() || target.is_broadcast() ||
         target.is_loopback() || target.is_link_local() || IsCloudMetadata(target);
}

std::size_t Hash(const IpAddress& address) {
  std::uint64_t hash = 0;
  for (const std::uint8_t byte : address.bytes()) hash = (hash ^ byte) * 0x100000001b3;  // FNV-1a
  return static_cast<std::size_t>(hash ^ hash >> 32);
}

}  // namespace

bool Guard::Allows(const IpAddress& client, const IpAddress& target) {
  if (client.is_loopback()) return true;
  if (const auto inside = TranslatedToV4(target); inside && IsClosed(*inside)) return false;
  return !IsClosed(target) && !IsLocal(target);
}

bool Guard::IsLocal(const IpAddress& target) {
  Judged& judged = judged_[Hash(target) % kRemembered];
  if (judged.until <= clock_.now() || judged.target != target) {
    const bool local = routes_.KindOf(target) != RouteKind::kElsewhere;
    judged = {target, clock_.now() + std::chrono::seconds(1), local};
  }
  return judged.local;
}

}  // namespace penstock
