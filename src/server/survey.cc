#include "penstock/server/survey.h"

#include <array>
#include <cassert>

#include "penstock/base/quantity.h"

namespace penstock {
void Totals::Add(const Totals& other) {
  AddTo(counters, other.counters);
  AddTo(gauges, other.gauges);
  assert(accepted.size() == other.accepted.size());
  for (std::size_t i = 0; i < accepted.size(); ++i) accepted[i] += other.accepted[i];
  workers_missing += other.workers_missing;
}

std::string SessionId::ToString() const {
  return std::to_string(worker) + '-' + std::to_string(handle.slot) + '-' + std::to_string(handle.generation);
}

std::optional<SessionId> SessionId::Parse(std::string_view text) {
  std::array<std::uint32_t, 3> parts{};
  constexpr std::array<std::uint32_t, 3> kMax{Handle::kNoSlot - 1, Handle::kNoSlot - 1, Handle::kGenerationMask};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    const std::size_t end = last ? text.size() : text.find('-');
    if (end == std::string_view::npos) return std::nullopt;
    const auto number = ParseNumber(text.substr(0, end), 0, kMax[i]);
    if (!number) return std::nullopt;
    parts[i] = static_cast<std::uint32_t>(*number);
    text.remove_prefix(last ? end : end + 1);
  }
  return SessionId{parts[0], {parts[1], parts[2]}};
}

bool SessionFilter::Matches(const SessionView& session) const {
  if (client && !client->Contains(session.client.ip)) return false;
  if (user && *user != session.user) return false;
  if (target && (!session.has_target_address() || !target->Contains(session.target.ip))) return false;
  if (target_name && (session.name.empty() || !target_name->Contains(session.name))) return false;
  if (command && session.command != command) return false;
  return !state || session.state == *state;
}

}  // namespace penstock
