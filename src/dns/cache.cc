#include "penstock/dns/cache.h"

#include <algorithm>

namespace penstock {
NameAnswer Combine(const FamilyAnswer* ipv6, const FamilyAnswer* ipv4) {
  static const FamilyAnswer kNothing{NameStatus::kNoName, {}};
  const FamilyAnswer& six = ipv6 != nullptr ? *ipv6 : kNothing;
  const FamilyAnswer& four = ipv4 != nullptr ? *ipv4 : kNothing;
  constexpr std::size_t kHalf = kAddressesPerName / 2;
  const std::size_t fours = std::min(
      four.addresses.size(), std::max(kHalf, kAddressesPerName - std::min(kAddressesPerName, six.addresses.size())));
  const std::size_t sixes = std::min(six.addresses.size(), kAddressesPerName - fours);

  NameAnswer answer;
  auto end = std::copy_n(six.addresses.begin(), sixes, answer.addresses.begin());
  std::copy_n(four.addresses.begin(), fours, end);
  answer.count = sixes + fours;
  if (answer.count > 0) {
    answer.status = NameStatus::kFound;
  } else if (six.status != NameStatus::kNoAnswer && four.status != NameStatus::kNoAnswer) {
    answer.status = NameStatus::kNoName;
  }
  return answer;
}

void NameCache::Store(std::string_view name, Family family, const FamilyAnswer& answer, std::chrono::seconds ttl,
                      TimePoint now, std::size_t share) {
  if (ttl <= std::chrono::seconds(0) && index_.find(name) == index_.end()) return;
  Entry& entry = EntryFor(name, share);
  entry.answers[IndexOf(family)] = answer;
  entry.expires[IndexOf(family)] = now + ttl;
}

const FamilyAnswer* NameCache::Find(std::string_view name, Family family, TimePoint now, std::size_t share) {
  const auto found = index_.find(name);
  if (found == index_.end()) return nullptr;
  const Entry& entry = Touch(found->second, share);
  return entry.expires[IndexOf(family)] > now ? &entry.answers[IndexOf(family)] : nullptr;
}

void NameCache::Clear() {
  index_.clear();
  for (Entries& entries : entries_) entries.clear();
}

NameCache::Entry& NameCache::Touch(Entries::iterator entry, std::size_t share) {
  Entries& from = entries_[entry->share];
  if (entries_[share].size() + 1 < from.size()) entry->share = share;
  Entries& to = entries_[entry->share];
  to.splice(to.begin(), from, entry);
  return *entry;
}

// The entry of `name`; added if there is none.
NameCache::Entry& NameCache::EntryFor(std::string_view name, std::size_t share) {
  const auto found = index_.find(name);
  if (found != index_.end()) return Touch(found->second, share);
  if (index_.size() == names_max_) {
    Entries& most = *std::ranges::max_element(entries_, {}, &Entries::size);
    index_.erase(most.back().name);
    most.pop_back();
  }
  Entries& entries = entries_[share];
  entries.push_front(Entry{std::string(name), share, {}, {}});
  index_.emplace(entries.front().name, entries.begin());
  return entries.front();
}

}  // namespace penstock
