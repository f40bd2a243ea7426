#include "penstock/base/domain.h"

#include <algorithm>
#include <bit>

#include "penstock/base/endpoint.h"

namespace penstock {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<Domain> Domain::Parse(std::string_view text, std::string* accepted) {
  const auto fail = [&](std::string_view what) {
    if (accepted != nullptr) *accepted = what;
    return std::nullopt;
  };
  if (text.starts_with("*.") && Parse(text.substr(1))) {
    return fail(std::string(text.substr(1)) + ", which is that name and all names below it");
  }
  Domain domain;
  domain.with_below = text.starts_with('.');
  std::string_view name = text.substr(domain.with_below ? 1 : 0);
  if (!IsHostName(name) || name.find_first_of("*,") != std::string_view::npos) {
    return fail(
        "a name such as example.com, or .example.com for that name and all names below it; what is not ASCII is "
        "written as xn--");
  }
  if (name.ends_with('.')) name.remove_suffix(1);
  // No host name has a last label of digits alone (RFC 1123 section 2.1): such text is meant as an address.
  if (std::ranges::all_of(name.substr(name.rfind('.') + 1), IsDigit)) {
    return fail("a whole address such as 192.0.2.1, or a block such as 10.0.0.0/8");
  }
  std::ranges::transform(name, std::back_inserter(domain.name), LowerCase);
  return domain;
}

bool Domain::Contains(std::string_view other) const {
  if (other.ends_with('.')) other.remove_suffix(1);
  if (other.size() < name.size()) return false;
  const std::string_view tail = other.substr(other.size() - name.size());
  if (!SameButForCase(tail, name)) return false;
  return tail.size() == other.size() || (with_below && other[other.size() - tail.size() - 1] == '.');
}

DomainTable::DomainTable(const std::vector<Entry>& entries) {
  if (entries.empty()) return;
  mask_ = std::bit_ceil(entries.size() * 2) - 1;
  places_.assign(mask_ + 1, kNone);
  for (const auto& [domain, value] : entries) {
    std::uint64_t hash = kHashStart;
    for (std::size_t at = domain.name.size(); at > 0;) hash = Extend(hash, domain.name[--at]);
    std::size_t place = Place(hash);
    while (places_[place] != kNone) {
      const Name& there = names_[places_[place]];
      if (there.hash == hash && std::string_view(text_).substr(there.offset, there.size) == domain.name) break;
      place = (place + 1) & mask_;
    }
    if (places_[place] == kNone) {
      places_[place] = static_cast<std::uint32_t>(names_.size());
      names_.push_back(
          {hash, static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(domain.name.size())});
      text_ += domain.name;
    }
    Name& name = names_[places_[place]];
    (domain.with_below ? name.with_below : name.alone) = value;
    bytes_max_ = std::max(bytes_max_, domain.name.size());
    labels_max_ = std::max(labels_max_, static_cast<std::size_t>(std::ranges::count(domain.name, '.')) + 1);
  }
}

const DomainTable::Name* DomainTable::Find(std::string_view name, std::uint64_t hash) const {
  for (std::size_t place = Place(hash); places_[place] != kNone; place = (place + 1) & mask_) {
    const Name& there = names_[places_[place]];
    if (there.hash == hash && there.size == name.size() &&
        std::ranges::equal(name, std::string_view(text_).substr(there.offset, there.size), {}, LowerCase)) {
      return &there;
    }
  }
  return nullptr;
}

}  // namespace penstock
