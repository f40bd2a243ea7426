// The values that rooms exchange about names: which families to query, which names may be resolved, and the answer.
// Plain values; any thread.
// Invariant: an answer has addresses if and only if its status is kFound.
// Does not: resolve names (dns/resolver.h), compare names (domain.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"

namespace penstock {

// The address families to query.
struct Families {
  bool v4 = true;
  bool v6 = true;
};

enum class NameStatus : std::uint8_t {
  kFound,
  kNoName,    // the name does not exist, or has no address of a family that this host can dial
  kNoAnswer,  // no name server answered, or all refused
  kDenied,    // a filter denied a candidate of the search list, and no other candidate was found
};

// The answer to a question for a name: IPv6 addresses before IPv4.
struct NameAnswer {
  NameStatus status = NameStatus::kNoAnswer;
  std::array<IpAddress, kAddressesPerName> addresses;
  std::size_t count = 0;

  // The candidate of the search list that was found or denied; empty: the name as it was asked for. Set by a Resolver,
  // and valid until its next call.
  std::string_view name{};

  std::span<const IpAddress> list() const { return std::span(addresses).first(count); }
};

// Decides which candidates of the search list may be queried.
class NameFilter {
 public:
  virtual ~NameFilter() = default;
  virtual bool Allows(std::string_view name) const = 0;  // in the form of NameText
};

// The operator's settings for resolving names.
struct ResolverSettings {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string hosts_file = "/etc/hosts";
  std::optional<Families> families;             // families to query; default: those of the host's addresses
  std::size_t attempts_max = kNameAttemptsMax;  // sockets to name servers at a time; at least two
};

}  // namespace penstock
