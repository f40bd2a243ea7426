// What is known of names, for as long as the name servers said (RFC 1035 section 3.2.1, RFC 2308).
// Owned by a resolver; its own thread only. Names are in the form of NameText: lower case, no final dot.
// Invariant: at most `names_max` names are kept. Of the clients' share that has most, the name that nobody has asked
// for the longest makes room: who asks for many names drives out their own. A name that another share asks for moves
// there if that one has fewer. Nothing is handed out at or after its expiry.
// Deliberately not here: asking, and names that never expire (the hosts file).
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

// In the order in which addresses are handed out.
enum class Family : std::uint8_t { kIpv6, kIpv4 };
inline constexpr Family kFamilies[] = {Family::kIpv6, Family::kIpv4};
constexpr std::size_t IndexOf(Family family) { return static_cast<std::size_t>(family); }

// One family's half of an answer.
struct FamilyAnswer {
  NameStatus status = NameStatus::kNoAnswer;
  std::vector<IpAddress> addresses;  // kAddressesPerName at most
};

// Both halves as one answer. A null half is a family that was not asked for or is not known yet. When there are more
// than kAddressesPerName, each family keeps half of the room and takes what the other leaves.
NameAnswer Combine(const FamilyAnswer* ipv6, const FamilyAnswer* ipv4);

class NameCache {
 public:
  explicit NameCache(std::size_t names_max) : names_max_(names_max) {}
  NameCache(const NameCache&) = delete;
  NameCache& operator=(const NameCache&) = delete;

  // Keeps `answer` until `ttl` from now; a `ttl` of zero keeps nothing, and forgets what was there. `share` is that of
  // the client who asked, below kNameShares.
  void Store(std::string_view name, Family family, const FamilyAnswer& answer, std::chrono::seconds ttl, TimePoint now,
             std::size_t share = 0);

  // Null when nothing is known, or no longer. Valid until the next Store or Clear. Does not allocate.
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
  std::array<Entries, kNameShares> entries_;                       // of each share; asked for last comes first
  std::unordered_map<std::string_view, Entries::iterator> index_;  // keys are the entries' own names
};

}  // namespace penstock
