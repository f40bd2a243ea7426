#include "penstock/server/top_targets.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include "penstock/base/text.h"

namespace penstock {

void TargetKey::SetHead(bool is_address, std::uint16_t port, std::size_t size) {
  bytes_[0] = is_address ? 1 : 0;
  bytes_[1] = static_cast<std::uint8_t>(port >> 8);
  bytes_[2] = static_cast<std::uint8_t>(port);
  bytes_[kSize] = static_cast<std::uint8_t>(size);
}

TargetKey::TargetKey(const IpAddress& ip, std::uint16_t port) {
  const auto address = ip.bytes();
  SetHead(true, port, address.size());
  std::ranges::copy(address, bytes_.begin() + kHead);
}

TargetKey::TargetKey(std::string_view name, std::uint16_t port) {
  if (const auto address = AddressInName(name)) {
    *this = TargetKey(*address, port);
    return;
  }
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  name = name.substr(0, bytes_.size() - kHead);
  SetHead(false, port, name.size());
  std::ranges::transform(name, bytes_.begin() + kHead, [](char c) { return static_cast<std::uint8_t>(LowerCase(c)); });
}

std::optional<TargetKey> TargetKey::Of(const SessionView& session) {
  if (session.command != Command::kConnect) return std::nullopt;
  if (!session.name.empty()) return TargetKey(session.name, session.port);
  if (session.has_target_address()) return TargetKey(session.target.ip, session.port);
  return std::nullopt;
}

std::string TargetKey::ToString() const {
  const auto rest = bytes().subspan(kHead);
  const auto port = static_cast<std::uint16_t>(bytes_[1] << 8 | bytes_[2]);
  if (bytes_[0] == 0) {
    return std::string(reinterpret_cast<const char*>(rest.data()), rest.size()) + ':' + std::to_string(port);
  }
  const IpAddress ip = rest.size() == 4 ? IpAddress::FromV4(rest.first<4>()) : IpAddress::FromV6(rest.first<16>());
  return Endpoint{ip, port}.ToString();
}

TopTargets::TopTargets(std::size_t capacity, const DigestKey& key)
    : capacity_(capacity),
      key_(key),
      counters_(capacity),
      places_(capacity),
      buckets_(std::bit_ceil(2 * capacity), kNone) {
  assert(capacity > 0 && capacity < kNone);
  keys_.assign(capacity, TargetKey(IpAddress(), 0));
  heap_.reserve(capacity);
}

void TopTargets::Add(const TargetKey& target, Weight bytes) {
  const std::size_t hash = DigestHash()(SipHash(key_, target.bytes()));
  Index index = Find(target, hash);
  if (index == kNone && heap_.size() < capacity_) {
    index = static_cast<Index>(heap_.size());
    heap_.push_back(index);
    counters_[index] = {};
    places_[index].in_heap = index;
    Link(index, target, hash);
    SiftUp(index);
  } else if (index == kNone) {
    if (bytes.sum() == 0) return;
    index = heap_.front();
    Unlink(index);
    counters_[index].error = counters_[index].bytes.sum();
    counters_[index].sessions = 0;
    Link(index, target, hash);
  }
  counters_[index].bytes += bytes;
  ++counters_[index].sessions;
  SiftDown(places_[index].in_heap);
}

TopTargets::Weight TopTargets::floor() const {
  return heap_.size() < capacity_ ? Weight() : counters_[heap_.front()].bytes;
}

TopTargets::Index TopTargets::Find(const TargetKey& target, std::size_t hash) {
  Index index = BucketOf(hash);
  while (index != kNone && (places_[index].hash != hash || !std::ranges::equal(keys_[index].bytes(), target.bytes()))) {
    index = places_[index].next;
  }
  return index;
}

void TopTargets::Unlink(Index index) {
  Index* link = &BucketOf(places_[index].hash);
  while (*link != index) link = &places_[*link].next;
  *link = places_[index].next;
}

void TopTargets::Link(Index index, const TargetKey& target, std::size_t hash) {
  keys_[index] = target;
  places_[index].hash = hash;
  places_[index].next = std::exchange(BucketOf(hash), index);
}

void TopTargets::Swap(std::size_t one, std::size_t other) {
  std::swap(heap_[one], heap_[other]);
  places_[heap_[one]].in_heap = static_cast<Index>(one);
  places_[heap_[other]].in_heap = static_cast<Index>(other);
}

void TopTargets::SiftUp(std::size_t at) {
  for (; at > 0 && BytesAt(at) < BytesAt((at - 1) / 2); at = (at - 1) / 2) Swap(at, (at - 1) / 2);
}

void TopTargets::SiftDown(std::size_t at) {
  for (;;) {
    std::size_t least = at;
    for (std::size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_.size(); ++child) {
      if (BytesAt(child) < BytesAt(least)) least = child;
    }
    if (least == at) return;
    Swap(at, least);
    at = least;
  }
}

std::vector<TargetRow> Merge(std::span<const TopTargets> parts, std::size_t limit) {
  struct Sum {
    TopTargets::Counter counter;
    TopTargets::Weight floors;  // of the parts that count it
  };
  std::map<std::string, Sum> sums;
  TopTargets::Weight floors;
  for (const TopTargets& part : parts) {
    const TopTargets::Weight floor = part.floor();
    floors += floor;
    part.ForEach([&](const TargetKey& target, const TopTargets::Counter& counter) {
      Sum& sum = sums[target.ToString()];
      sum.counter.bytes += counter.bytes;
      sum.counter.error += counter.error;
      sum.counter.sessions += counter.sessions;
      sum.floors += floor;
    });
  }
  std::vector<TargetRow> rows;
  rows.reserve(sums.size());
  for (const auto& [target, sum] : sums) {
    rows.push_back({.target = target,
                    .sessions = sum.counter.sessions,
                    .bytes_up = sum.counter.bytes.up + (floors.up - sum.floors.up),
                    .bytes_down = sum.counter.bytes.down + (floors.down - sum.floors.down),
                    .error = sum.counter.error + (floors.sum() - sum.floors.sum())});
  }
  const auto order = [](const TargetRow& row) { return std::tuple(row.bytes_up + row.bytes_down, row.sessions); };
  const auto count = static_cast<std::ptrdiff_t>(std::min(limit, rows.size()));
  std::ranges::partial_sort(rows, rows.begin() + count, std::greater(), order);
  rows.resize(static_cast<std::size_t>(count));
  return rows;
}

}  // namespace penstock
