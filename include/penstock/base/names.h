// What rooms tell one another about names: which addresses are wanted, what may be looked up, and what was found.
// Plain values; whoever holds one owns it. Any thread.
// Invariant: an answer has addresses exactly when its status is kFound.
// Deliberately not here: looking names up (dns/resolver.h), and the text form of names (domain.h).
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

// Address families that are wanted.
struct Families {
  bool v4 = true;
  bool v6 = true;
};

enum class NameStatus : std::uint8_t {
  kFound,
  kNoName,    // it does not exist, or has no address of a family that this host can dial
  kNoAnswer,  // no name server answered, or none wanted to
  kDenied,    // a name that it may stand for may not be asked for, and no other was found
};

// What somebody who asked for a name is told: IPv6 addresses before IPv4.
struct NameAnswer {
  NameStatus status = NameStatus::kNoAnswer;
  std::array<IpAddress, kAddressesPerName> addresses;
  std::size_t count = 0;

  // Which name of the search list is meant, found or denied; empty: the name as it was asked for. Set by a Resolver,
  // and valid until it is asked again.
  std::string_view name{};

  std::span<const IpAddress> list() const { return std::span(addresses).first(count); }
};

// Says which names may be looked up in place of one that was asked for.
class NameFilter {
 public:
  virtual ~NameFilter() = default;
  virtual bool Allows(std::string_view name) const = 0;  // in the form of NameText
};

// What the operator has chosen about looking names up.
struct ResolverSettings {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string hosts_file = "/etc/hosts";
  std::optional<Families> families;  // which addresses to ask for; unless set, those of the families that the host has
  std::size_t tries_max = kNameTriesMax;  // sockets to name servers at a time; two at least
};

}  // namespace penstock
