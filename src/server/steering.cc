#include "penstock/server/steering.h"

#include <algorithm>
#include <set>

#include "penstock/base/limits.h"

namespace penstock {

std::optional<Placement> PlaceWorkers(const CpuAffinity& affinity, std::size_t workers,
                                      std::span<const unsigned> usable) {
  Placement placement;
  switch (affinity.mode) {
    case CpuAffinity::Mode::kOff:
      return placement;
    case CpuAffinity::Mode::kAuto:
      if (workers == usable.size()) placement.cpus.assign(usable.begin(), usable.end());
      break;
    case CpuAffinity::Mode::kList:
      for (const unsigned cpu : affinity.cpus) {
        if (std::ranges::find(usable, cpu) == usable.end()) return std::nullopt;
      }
      for (std::size_t i = 0; i < workers; ++i) placement.cpus.push_back(affinity.cpus[i % affinity.cpus.size()]);
      break;
  }
  const std::set<unsigned> distinct(placement.cpus.begin(), placement.cpus.end());
  placement.steers = workers > 1 && distinct.size() == workers;
  return placement;
}

std::optional<Steering::Uneven> Steering::NoteAccepted(std::size_t worker) {
  Share& share = shares_[worker];
  const std::uint64_t own = share.accepted.load(std::memory_order_relaxed) + 1;
  share.accepted.store(own, std::memory_order_relaxed);
  if (own % kSteeringSample != 0) return std::nullopt;
  std::uint64_t all = 0;
  for (const Share& each : shares_) all += each.accepted.load(std::memory_order_relaxed);
  const std::uint64_t since = all - share.all_before;
  share.all_before = all;
  // own / (since / workers) > 1.5
  if (2 * kSteeringSample * shares_.size() <= 3 * since || !on_.exchange(false, std::memory_order_relaxed)) {
    return std::nullopt;
  }
  return Uneven{kSteeringSample, since};
}

}  // namespace penstock
