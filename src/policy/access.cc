#include "penstock/policy/access.h"

namespace penstock {

Ruling Access::ForeseeAnything() const {
  const Verdict verdict = rules.Judge({.client = client, .user = user, .command = command, .anything = true});
  return {verdict.answer != Verdict::Answer::kDeny, false, verdict.rule};
}

Ruling Access::Foresee(const TargetName& name, std::uint16_t port) const {
  const Verdict verdict = AskRules({.client = client, .user = user, .command = command, .port = port}, name);
  return {verdict.answer != Verdict::Answer::kDeny, false, verdict.rule};
}

Ruling Access::Judge(const TargetName& name, const IpAddress& target, std::uint16_t port) const {
  const auto inside = guard.Inside(target);
  const Verdict verdict = AskRules({.client = client,
                                    .user = user,
                                    .command = command,
                                    .target = &target,
                                    .port = port,
                                    .inside = inside ? &*inside : nullptr},
                                   name);
  if (verdict.answer != Verdict::Answer::kAllow) return {false, false, verdict.rule};
  Ruling ruling{true, false, verdict.rule};
  ruling.allowed = verdict.lifts_guard || guard.Allows(client, target, ruling.source());
  ruling.by_guard = !ruling.allowed;
  return ruling;
}

Verdict Access::AskRules(Ask ask, const TargetName& name) const {
  ask.name = name.asked;
  const Verdict as_asked = rules.Judge(ask);
  if (name.found.empty()) return as_asked;
  ask.name = name.found;
  const Verdict as_found = rules.Judge(ask);
  for (const Verdict& verdict : {as_asked, as_found}) {
    if (verdict.answer == Verdict::Answer::kDeny && verdict.by_name) return verdict;
  }
  for (const Verdict& verdict : {as_asked, as_found}) {
    if (verdict.answer == Verdict::Answer::kNeedsAddress) return verdict;
  }
  if (as_asked.rule == nullptr || as_found.rule == nullptr) return as_asked.rule != nullptr ? as_asked : as_found;
  return as_asked.rule->number <= as_found.rule->number ? as_asked : as_found;
}

// A domain makes a name longer, so what is not longer is the name itself.
bool AllowedNames::Allows(std::string_view name) const {
  return access_.Foresee({asked_, name.size() > asked_.size() ? name : std::string_view()}, port_).allowed;
}

}  // namespace penstock
