#include "penstock/policy/access.h"

namespace penstock {

std::string Describe(Decider decider) {
  if (decider == Decider::kNone) return {};
  if (decider == Decider::kDefault) return "default";
  if (decider == Decider::kGuard) return "guard";
  return std::to_string(static_cast<std::uint32_t>(decider));
}

AccessVerdict Access::EvaluateCommand() const {
  const RuleVerdict verdict = rules.Evaluate({.client = client, .user = user, .command = command, .any_target = true});
  return {verdict.answer != RuleVerdict::Answer::kDeny, false, verdict.rule};
}

AccessVerdict Access::EvaluateName(const TargetName& name, std::uint16_t port) const {
  const RuleVerdict verdict = EvaluateRules({.client = client, .user = user, .command = command, .port = port}, name);
  return {verdict.answer != RuleVerdict::Answer::kDeny, false, verdict.rule};
}

AccessVerdict Access::EvaluateAddress(const TargetName& name, const IpAddress& target, std::uint16_t port) const {
  const auto embedded = guard.EmbeddedV4(target);
  const RuleVerdict verdict = EvaluateRules({.client = client,
                                             .user = user,
                                             .command = command,
                                             .target = &target,
                                             .port = port,
                                             .embedded = embedded ? &*embedded : nullptr},
                                            name);
  if (verdict.answer != RuleVerdict::Answer::kAllow) return {false, false, verdict.rule};
  AccessVerdict access{true, false, verdict.rule};
  access.allowed = verdict.overrides_guard || guard.Allows(client, target, access.source());
  access.by_guard = !access.allowed;
  return access;
}

RuleVerdict Access::EvaluateRules(RuleQuery query, const TargetName& name) const {
  query.name = name.requested;
  const RuleVerdict as_requested = rules.Evaluate(query);
  if (name.completed.empty()) return as_requested;
  query.name = name.completed;
  const RuleVerdict as_completed = rules.Evaluate(query);
  for (const RuleVerdict& verdict : {as_requested, as_completed}) {
    if (verdict.answer == RuleVerdict::Answer::kDeny && verdict.by_name) return verdict;
  }
  for (const RuleVerdict& verdict : {as_requested, as_completed}) {
    if (verdict.answer == RuleVerdict::Answer::kNeedsAddress) return verdict;
  }
  if (as_requested.rule == nullptr || as_completed.rule == nullptr)
    return as_requested.rule != nullptr ? as_requested : as_completed;
  return as_requested.rule->number <= as_completed.rule->number ? as_requested : as_completed;
}

// The search list appends a domain: a candidate that is not longer is the requested name itself.
bool AllowedNames::Allows(std::string_view name) const {
  return access_.EvaluateName({requested_, name.size() > requested_.size() ? name : std::string_view()}, port_).allowed;
}

}  // namespace penstock
