// Domains of rules, and a table to find the domains of a name. "example.com" is that name alone; ".example.com" is
// example.com and all names below it.
// Plain values. A table is const after construction; any thread may read it.
// Invariant: case and a final dot make no difference, neither in rules nor in requests. Whole labels are compared:
// .example.com does not contain badexample.com.
// Deliberately not here: addresses (prefix.h), and whether a name exists.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/limits.h"
#include "penstock/base/text.h"

namespace penstock {

struct Domain {
  std::string name;         // in lower case, without a dot at either end
  bool with_below = false;  // whether the names below it belong to it

  // ".example.com" or "example.com", with or without a final dot. Nothing for any other text; then `*accepted`, unless
  // null, says what is accepted instead.
  static std::optional<Domain> Parse(std::string_view text, std::string* accepted = nullptr);

  // True if the name `other`, which may be any bytes, is in this domain. For many domains, use a DomainTable.
  bool Contains(std::string_view other) const;

  auto operator<=>(const Domain&) const = default;
};

// A hash table of names. A lookup searches for the last label of a name, for the last two, and so on, at most as often
// as the longest name in the table has labels.
class DomainTable {
 public:
  struct Entry {
    Domain domain;
    std::uint32_t value = 0;
  };

  // The maximum number of domains that contain one name: one for each label, and one for the name alone.
  static constexpr std::size_t kMatchesMax = (kNameBytesMax + 1) / 2 + 1;

  DomainTable() = default;
  explicit DomainTable(const std::vector<Entry>& entries);  // no domain twice

  bool empty() const { return names_.empty(); }

  // Calls `take(value)` for each domain that contains `name`, which may be any bytes.
  template <class Take>
  void ForEach(std::string_view name, Take take) const {
    if (name.ends_with('.')) name.remove_suffix(1);
    std::uint64_t hash = kHashStart;
    std::size_t labels = 0;
    for (std::size_t at = name.size(); at > 0 && name.size() - at < bytes_max_;) {
      hash = Extend(hash, name[--at]);
      const bool whole = at == 0;
      if (!whole && name[at - 1] != '.') continue;
      if (const Name* const found = Find(name.substr(at), hash)) {
        if (found->with_below != kNone) take(found->with_below);
        if (whole && found->alone != kNone) take(found->alone);
      }
      if (++labels == labels_max_) break;
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint64_t kHashStart = 0xcbf29ce484222325;  // FNV-1a

  struct Name {
    std::uint64_t hash = 0;
    std::uint32_t offset = 0;  // in text_
    std::uint32_t size = 0;
    std::uint32_t alone = kNone;       // the value of the domain without the names below it
    std::uint32_t with_below = kNone;  // and of the one with them
  };

  static std::uint64_t Extend(std::uint64_t hash, char c) {
    return (hash ^ static_cast<unsigned char>(LowerCase(c))) * 0x100000001b3;
  }
  std::size_t Place(std::uint64_t hash) const { return static_cast<std::size_t>(hash ^ hash >> 32) & mask_; }

  const Name* Find(std::string_view name, std::uint64_t hash) const;

  std::string text_;
  std::vector<Name> names_;
  std::vector<std::uint32_t> places_;  // indices into names_; at least half are kNone, so that every search ends
  std::size_t mask_ = 0;
  std::size_t labels_max_ = 0;
  std::size_t bytes_max_ = 0;
};

}  // namespace penstock
