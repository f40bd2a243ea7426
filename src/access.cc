#include "penstock/access.h"

namespace penstock {

Ruling Access::ForeseeAnything() const {
  const Verdict verdict = rules.Judge({.client = client, .user = user, .command = command, .anything = true});
  return {verdict.answer != Verdict::Answer::kDeny, false, verdict.rule};
}

Ruling Access::Foresee(std::string_view name, std::uint16_t port) const {
  const Verdict verdict = rules.Judge({.client = client, .user = user, .command = command, .name = name, .port = port});
  return {verdict.answer != Verdict::Answer::kDeny, false, verdict.rule};
}

Ruling Access::Judge(std::string_view name, const IpAddress& target, std::uint16_t port) const {
  const auto inside = guard.Inside(target);
  const Verdict verdict = rules.Judge({.client = client,
                                       .user = user,
                                       .command = command,
                                       .name = name,
                                       .target = &target,
                                       .port = port,
                                       .inside = inside ? &*inside : nullptr});
  if (verdict.answer != Verdict::Answer::kAllow) return {false, false, verdict.rule};
  Ruling ruling{true, false, verdict.rule};
  ruling.allowed = verdict.lifts_guard || guard.Allows(client, target, ruling.source());
  ruling.by_guard = !ruling.allowed;
  return ruling;
}

}  // namespace penstock
