#include "penstock/name_cache.h"

#include <algorithm>
#include <cassert>

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
                      TimePoint now) {
  if (ttl <= std::chrono::seconds(0) && index_.find(name) == index_.end()) return;
  Entry& entry = EntryFor(name);
  entry.answers[IndexOf(family)] = answer;
  entry.expires[IndexOf(family)] = now + ttl;
}

const FamilyAnswer* NameCache::Find(std::string_view name, Family family, TimePoint now) {
  const auto found = index_.find(name);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  const Entry& entry = entries_.front();
  return entry.expires[IndexOf(family)] > now ? &entry.answers[IndexOf(family)] : nullptr;
}

void NameCache::Clear() {
  index_.clear();
  entries_.clear();
}

// The entry of `name`, made if need be, at the front.
NameCache::Entry& NameCache::EntryFor(std::string_view name) {
  const auto found = index_.find(name);
  if (found != index_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front();
  }
  if (entries_.size() == names_max_) {
    index_.erase(entries_.back().name);
    entries_.pop_back();
  }
  entries_.push_front(Entry{std::string(name), {}, {}});
  index_.emplace(entries_.front().name, entries_.begin());
  assert(index_.size() == entries_.size());
  return entries_.front();
}

}  // namespace penstock
