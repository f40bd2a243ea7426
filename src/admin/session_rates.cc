#include "penstock/admin/session_rates.h"

#include "penstock/base/limits.h"

namespace penstock {

std::optional<std::uint64_t> SessionRates::Update(const SessionRow& row, TimePoint now) {
  const std::uint64_t key = std::uint64_t{row.id.worker} << 32 | row.id.handle.slot;
  const Sample sample{row.bytes_up + row.bytes_down, row.age};
  auto found = sessions_.find(key);
  if (found == sessions_.end() && sessions_.size() == kRatesMax) return std::nullopt;
  if (found == sessions_.end() || found->second.generation != row.id.handle.generation) {
    sessions_[key] = {row.id.handle.generation, std::nullopt, sample, now};
    return std::nullopt;
  }
  Known& known = found->second;
  known.listed = now;
  if (sample.age - known.last.age >= kRateTimeMin) {
    known.before = known.last;
    known.last = sample;
  }
  if (!known.before) return std::nullopt;
  const double seconds = std::chrono::duration<double>(sample.age - known.before->age).count();
  return static_cast<std::uint64_t>(static_cast<double>(sample.bytes - known.before->bytes) / seconds);
}

// Seldom enough that it costs little beside the lists.
void SessionRates::Forget(TimePoint now) {
  if (now - forgotten_ < kRateTimeMax / 4) return;
  forgotten_ = now;
  std::erase_if(sessions_, [now](const auto& entry) { return now - entry.second.listed > kRateTimeMax; });
}

}  // namespace penstock
