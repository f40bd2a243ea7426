// The guard: the targets that are closed to remote clients even if no rule denies them.
// Owned by a worker; its own thread only.
// Invariant: a remote client cannot use the gateway to reach what only this host may reach: its loopback, its links and
// its own addresses. Clients from this host's loopback may, unless the operator turns that off (behind a proxy on this
// host every client comes from loopback). The addresses of this host are those of the kernel's routing table, cached
// for one second, since a host gets and loses addresses.
// Does not: see names. Addresses are checked after resolution, so a name that resolves to 127.0.0.1 gains nothing.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/prefix.h"
#include "penstock/os/clock.h"
#include "penstock/os/route.h"

namespace penstock {

// Blocks under one name, which is also the name of a predefined set (rule_text.h).
struct BlockGroup {
  std::string_view name;
  std::array<std::string_view, 5> blocks;  // empty: unused
};

// The blocks that are closed to remote clients, whatever addresses this host has.
inline constexpr BlockGroup kClosedGroups[] = {
    {"loopback", {"127.0.0.0/8", "::1"}},
    {"link-local", {"169.254.0.0/16", "fe80::/10"}},  // cloud metadata lives there
    {"multicast", {"224.0.0.0/4", "ff00::/8"}},
    {"broadcast", {"255.255.255.255"}},
    {"unspecified", {"0.0.0.0/8", "::"}},  // they reach this host (RFC 1122 section 3.2.1.3)
    // Cloud metadata that is not link-local: Azure, Alibaba, Amazon, Google, Oracle.
    {"metadata", {"168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"}},
};
inline constexpr std::string_view kClosedAmazonServices = "fd00:ec2::/32";  // closed too: time and name servers

// True exactly when a block of kClosedGroups or kClosedAmazonServices contains all of `block`.
bool IsClosed(const Prefix& block);

struct GuardOptions {
  bool trust_loopback = true;          // clients from this host's loopback reach everything
  std::vector<Prefix> nat64_prefixes;  // beside the well-known ones (Translators)
};

class Guard {
 public:
  // `external`: addresses that lead to this host although it does not have them, because a NAT in front of it has. The
  // caller keeps them and the clock. Throws std::system_error if the system gives no netlink socket.
  explicit Guard(const Clock& clock, const GuardOptions& options = {}, std::span<const IpAddress> external = {})
      : clock_(clock),
        trusts_loopback_(options.trust_loopback),
        translators_(options.nat64_prefixes),
        configured_nat64_(options.nat64_prefixes),
        external_(external) {}

  // The IPv4 address that a NAT64 translator makes of `target`; nothing if it makes none. Allows() checks it too.
  std::optional<IpAddress> EmbeddedV4(const IpAddress& target) const { return translators_.EmbeddedV4(target); }

  // True exactly when `client` may reach `target` from `source` (null: the kernel chooses the source). An address that
  // is not cached costs two system calls, and up to five more if there is a source. A client on a trusted loopback
  // costs none.
  bool Allows(const IpAddress& client, const IpAddress& target, const Source* source = nullptr);

 private:
  struct CachedRoute {
    IpAddress target;
    Source source;
    TimePoint valid_until{};
    bool local = false;
  };
  static constexpr std::size_t kCached = 256;  // a power of two

  bool HasUnknownNat64Prefix(const IpAddress& target) const;
  bool IsOpen(const IpAddress& target, const Source* source);
  bool IsLocal(const IpAddress& target, const Source* source);

  const Clock& clock_;
  const bool trusts_loopback_;
  const Translators translators_;
  const std::vector<Prefix> configured_nat64_;
  const std::span<const IpAddress> external_;
  RouteTable routes_;
  std::array<CachedRoute, kCached> cache_;  // indexed by a hash of the target
};

}  // namespace penstock
