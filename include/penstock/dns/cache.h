// Caches what name servers answered, for the TTLs that they gave (RFC 1035 section 3.2.1, RFC 2308).
// Owned by NameLookups; one thread. Names are in the form of NameText: lower case, no final dot.
// Invariant: at most `names_max` names are kept. A full cache evicts the least recently used name of the share with the
// most names, so a client that resolves many names evicts its own. A name that another share uses moves there if that
// share has fewer. Nothing is returned at or after its expiry.
// Does not: query, hold names that never expire (the hosts file).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/os/clock.h"

namespace penstock {

// In the order of the addresses in an answer.
enum class Family : std::uint8_t { kIpv6, kIpv4 };
inline constexpr Family kFamilies[] = {Family::kIpv6, Family::kIpv4};
constexpr std::size_t IndexOf(Family family) { return static_cast<std::size_t>(family); }

// One family's half of an answer.
struct FamilyAnswer {
  NameStatus status = NameStatus::kNoAnswer;
  std::vector<IpAddress> addresses;  // kAddressesPerName at most
};

// Both families as one answer. Null: a family that was not queried or is not known yet. If there are more than
// kAddressesPerName addresses, each family keeps at least half of the room.
NameAnswer Combine(const FamilyAnswer* ipv6, const FamilyAnswer* ipv4);

class NameCache {
 public:
  explicit NameCache(std::size_t names_max) : names_max_(names_max) {}
  NameCache(const NameCache&) = delete;
  NameCache& operator=(const NameCache&) = delete;

  // Keeps `answer` until `now` + `ttl`; a `ttl` of zero removes what was there. `share` is that of the client that
  // asked, below kNameShares.
  void Store(std::string_view name, Family family, const FamilyAnswer& answer, std::chrono::seconds ttl, TimePoint now,
             std::size_t share = 0);

  // Null if nothing is cached, or it has expired. Valid until the next Store or Clear. Does not allocate.
  const FamilyAnswer* Find(std::string_view name, Family family, TimePoint now, std::size_t share = 0);

  void Clear();

  std::size_t size() const { return index_.size(); }

 private:
  struct Entry {
    std::string name;
    std::size_t share;
    std::array<FamilyAnswer, 2> answers;  // by Family
    std::array<TimePoint, 2> expires{};
  };

  using Entries = std::list<Entry>;

  Entry& EntryFor(std::string_view name, std::size_t share);
  Entry& Touch(Entries::iterator entry, std::size_t share);

  const std::size_t names_max_;
  std::array<Entries, kNameShares> entries_;                       // by share; most recently used first
  std::unordered_map<std::string_view, Entries::iterator> index_;  // keys refer to Entry::name
};

}  // namespace penstock
