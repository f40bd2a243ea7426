// Who may reach what.
// Owned by a worker; its own thread only.
// Invariant: the gateway never lends its own position to a remote client: what only this host may reach (its loopback,
// its link, itself) stays closed to everyone who does not come from this host's loopback; and to those as well where
// the operator does not trust it, for behind a proxy on this host everybody comes from there. What counts as "itself"
// is the kernel's answer, a second old at most, for hosts get and lose addresses.
// Deliberately not here: names. Addresses are evaluated after resolution, so a name that resolves to 127.0.0.1 changes
// nothing.
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

// Blocks under one name, which is also that of a built-in set (rule_text.h).
struct BlockGroup {
  std::string_view name;
  std::array<std::string_view, 5> blocks;  // empty ones do not count
};

// What is closed to all clients that do not come from loopback, whatever this host's addresses are.
inline constexpr BlockGroup kClosedGroups[] = {
    {"loopback", {"127.0.0.0/8", "::1"}},
    {"link-local", {"169.254.0.0/16", "fe80::/10"}},  // cloud metadata lives there
    {"multicast", {"224.0.0.0/4", "ff00::/8"}},
    {"broadcast", {"255.255.255.255"}},
    {"unspecified", {"0.0.0.0/8", "::"}},  // which reach this host (RFC 1122 section 3.2.1.3)
    // Cloud metadata that is not link-local: Azure, Alibaba, Amazon, Google, Oracle.
    {"metadata", {"168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"}},
};
inline constexpr std::string_view kClosedBesides = "fd00:ec2::/32";  // Amazon's time and name servers, beside metadata

// True exactly when every address of `block` is in kClosedGroups or in kClosedBesides.
bool IsClosed(const Prefix& block);

struct GuardOptions {
  bool trust_loopback = true;          // who comes from this host's loopback reaches everything
  std::vector<Prefix> nat64_prefixes;  // beside those that everybody knows (Translators)
};

class Guard {
 public:
  // `more_own`: addresses that lead to this host though it does not have them (a NAT in front has); kept by the caller.
  explicit Guard(const Clock& clock, const GuardOptions& options = {}, std::span<const IpAddress> more_own = {})
      : clock_(clock),
        trusts_loopback_(options.trust_loopback),
        translators_(options.nat64_prefixes),
        translators_named_(options.nat64_prefixes),
        more_own_(more_own) {}

  // The IPv4 address that `target` means, if it means one. It is evaluated as well.
  std::optional<IpAddress> EmbeddedV4(const IpAddress& target) const { return translators_.EmbeddedV4(target); }

  // True exactly when `client` may be connected to `target` from `source` (null: from where the kernel chooses). Costs
  // two system calls for an address that it has not evaluated within a second, and up to five more with a source; none
  // for clients on a trusted loopback.
  bool Allows(const IpAddress& client, const IpAddress& target, const Source* source = nullptr);

 private:
  struct Evaluated {
    IpAddress target;
    Source source;
    TimePoint until{};
    bool local = false;
  };
  static constexpr std::size_t kCached = 256;  // a power of two

  bool IsUnclear(const IpAddress& target) const;
  bool IsOpen(const IpAddress& target, const Source* source);
  bool IsLocal(const IpAddress& target, const Source* source);

  const Clock& clock_;
  const bool trusts_loopback_;
  const Translators translators_;
  const std::vector<Prefix> translators_named_;  // by the operator
  const std::span<const IpAddress> more_own_;
  RouteTable routes_;
  std::array<Evaluated, kCached> evaluated_;
};

}  // namespace penstock
