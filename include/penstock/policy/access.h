// Whether one client may reach a target: the operator's rules and the guard, together.
// Made for a turn of the session that asks; its worker's thread only.
// Invariant: a rule comes first, whichever it is. The guard closes what no rule denies, unless the rule that allows it
// names the address itself (rules.h).
// Deliberately not here: looking names up, and what a client is told.
#pragma once

#include <cstdint>
#include <string_view>

#include "penstock/base/command.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/names.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/rules.h"

namespace penstock {

struct AccessVerdict {
  bool allowed = false;
  bool by_guard = false;           // that it is not
  const RuleInfo* rule = nullptr;  // that decided; null: none did

  // Where to connect from; null: the kernel's choice.
  const Source* source() const { return rule != nullptr && rule->source.named() ? &rule->source : nullptr; }
};

// The name of a target, as the client wrote it and as the search list completed it. Rules are asked with each. When the
// first rule that matches with one of them denies it by that name, the target is denied. Else the earlier of the two
// rules decides.
struct TargetName {
  std::string_view requested;  // empty: the client asked for an address
  std::string_view completed;  // by way of the search list; empty: the name as it was asked for
};

struct Access {
  const RuleSet& rules;
  Guard& guard;
  const IpAddress& client;
  std::string_view user;  // empty: nobody has logged in
  Command command;

  // Not allowed: there is no target at all that the client may reach in this way.
  AccessVerdict EvaluateCommand() const;

  // Not allowed: whatever the addresses of `name` are, none may be reached. No name stands for any address.
  AccessVerdict EvaluateName(const TargetName& name, std::uint16_t port) const;

  AccessVerdict EvaluateAddress(const TargetName& name, const IpAddress& target, std::uint16_t port) const;

 private:
  RuleVerdict EvaluateRules(RuleQuery query, const TargetName& name) const;
};

// The names that the search list may make of what a client has asked for.
class AllowedNames final : public NameFilter {
 public:
  // The references must outlive it.
  AllowedNames(const Access& access, std::string_view requested, std::uint16_t port)
      : access_(access), requested_(requested), port_(port) {}

  bool Allows(std::string_view name) const override;

 private:
  const Access& access_;
  std::string_view requested_;
  std::uint16_t port_;
};

}  // namespace penstock
