#include "penstock/policy/access.h"

namespace penstock {

AccessVerdict Access::EvaluateCommand() const {
  const RuleVerdict verdict = rules.Evaluate({.client = client, .user = user, .command = command, .anything = true});
  return {verdict.answer != RuleVerdict::Answer::kDeny, false, verdict.rule};
}

AccessVerdict Access::EvaluateName(const TargetName& name, std::uint16_t port) const {
  const RuleVerdict verdict = EvaluateRules({.client = client, .user = user, .command = command, .port = port}, name);
  return {verdict.answer != RuleVerdict::Answer::kDeny, false, verdict.rule};
}

AccessVerdict Access::EvaluateAddress(const TargetName& name, const IpAddress& target, std::uint16_t port) const {
  const auto inside = guard.Inside(target);
  const RuleVerdict verdict = EvaluateRules({.client = client,
                                             .user = user,
                                             .command = command,
                                             .target = &target,
                                             .port = port,
                                             .inside = inside ? &*inside : nullptr},
                                            name);
  if (verdict.answer != RuleVerdict::Answer::kAllow) return {false, false, verdict.rule};
  AccessVerdict ruling{true, false, verdict.rule};
  ruling.allowed = verdict.lifts_guard || guard.Allows(client, target, ruling.source());
  ruling.by_guard = !ruling.allowed;
  return ruling;
}

RuleVerdict Access::EvaluateRules(Ask ask, const TargetName& name) const {
  ask.name = name.asked;
  const RuleVerdict as_asked = rules.Evaluate(ask);
  if (name.found.empty()) return as_asked;
  ask.name = name.found;
  const RuleVerdict as_found = rules.Evaluate(ask);
  for (const RuleVerdict& verdict : {as_asked, as_found}) {
    if (verdict.answer == RuleVerdict::Answer::kDeny && verdict.by_name) return verdict;
  }
  for (const RuleVerdict& verdict : {as_asked, as_found}) {
    if (verdict.answer == RuleVerdict::Answer::kNeedsAddress) return verdict;
  }
  if (as_asked.rule == nullptr || as_found.rule == nullptr) return as_asked.rule != nullptr ? as_asked : as_found;
  return as_asked.rule->number <= as_found.rule->number ? as_asked : as_found;
}

// A domain makes a name longer, so what is not longer is the name itself.
bool AllowedNames::Allows(std::string_view name) const {
  return access_.EvaluateName({asked_, name.size() > asked_.size() ? name : std::string_view()}, port_).allowed;
}

}  // namespace penstock
