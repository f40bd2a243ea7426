// What an operator names hosts with: example.com, that name alone, or .example.com, which is example.com and all below
// it; and a table that tells what of that a name is.
// Plain values; a table is made once and then read by any thread.
// Invariant: capitals and a final dot make no difference, in what the operator writes and in what clients ask for.
// Labels are compared whole: .example.com has nothing to do with badexample.com.
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
  std::string name;         // small letters, no dot at either end
  bool with_below = false;  // what is below it, too

  // ".example.com" or "example.com", with or without a final dot. For any other text nothing; then `*accepted`, unless
  // null, tells what would be right.
  static std::optional<Domain> Parse(std::string_view text, std::string* accepted = nullptr);

  auto operator<=>(const Domain&) const = default;
};

// A hash table of names. A look-up asks it for the last label of a name, for the last two, and so on: as often as the
// longest name in the table has labels, however long the asked one is.
class DomainTable {
 public:
  struct Entry {
    Domain domain;
    std::uint32_t value = 0;
  };

  // A name has so many labels at most, and may itself be in the table twice: alone, and with what is below it.
  static constexpr std::size_t kMatchesMax = (kNameBytesMax + 1) / 2 + 1;

  DomainTable() = default;
  explicit DomainTable(const std::vector<Entry>& entries);  // each domain once

  bool empty() const { return names_.empty(); }

  // Calls `take` with the value of each domain that `name` belongs to. The name may be any bytes at all.
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
    std::uint32_t alone = kNone;  // values
    std::uint32_t with_below = kNone;
  };

  static std::uint64_t Extend(std::uint64_t hash, char c) {
    return (hash ^ static_cast<unsigned char>(LowerCase(c))) * 0x100000001b3;
  }
  std::size_t Place(std::uint64_t hash) const { return static_cast<std::size_t>(hash ^ hash >> 32) & mask_; }

  const Name* Find(std::string_view name, std::uint64_t hash) const;

  std::string text_;
  std::vector<Name> names_;
  std::vector<std::uint32_t> places_;  // of names_; at least half of them are kNone, so that every search ends
  std::size_t mask_ = 0;
  std::size_t labels_max_ = 0;
  std::size_t bytes_max_ = 0;
};

}  // namespace penstock
