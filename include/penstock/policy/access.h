// The access verdict: whether a client may reach a target, from the operator's rules and the guard together.
// Created by a session for one verdict or a few, on its stack; the worker's thread only.
// Invariant: the rules are evaluated first, and a denial by a rule is final. The guard is evaluated if the rules allow
// the address, unless the rule overrides the guard (rules.h).
// Does not: resolve names, choose the reply to the client.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "penstock/base/command.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/names.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/rules.h"

namespace penstock {

// What decided a verdict: the rule of this number (from 1), or one of these.
enum class Decider : std::uint32_t {
  kNone = 0,               // nothing has been evaluated
  kDefault = 0xffff'fffe,  // no rule matched
  kGuard = 0xffff'ffff,    // it denied what the rules allow
};

struct AccessVerdict {
  bool allowed = false;
  bool by_guard = false;           // the guard denied it
  const RuleInfo* rule = nullptr;  // the rule that matched; null: none. It lives as long as the rule set.

  Decider decider() const {
    if (by_guard) return Decider::kGuard;
    return rule != nullptr ? static_cast<Decider>(rule->number) : Decider::kDefault;
  }

  // The source for the connection; null: the kernel chooses.
  const Source* source() const { return rule != nullptr && rule->source.named() ? &rule->source : nullptr; }
};

// For the log and lists: the rule's number, "default" or "guard"; empty for kNone.
std::string Describe(Decider decider);

// The name of a target, as the client sent it and as the search list completed it. The rules are evaluated with each.
// If the rule that matches either name denies it by that name, the target is denied. Otherwise the earlier of the two
// matching rules decides.
struct TargetName {
  std::string_view requested;  // empty: the request has an address
  std::string_view completed;  // by the search list; empty: the same as requested
};

// The references must outlive it.
struct Access {
  const RuleSet& rules;
  Guard& guard;
  const IpAddress& client;
  std::string_view user;  // empty: no login
  Command command;

  // Before the target is known. Not allowed: the client may reach no target with this command.
  AccessVerdict EvaluateCommand() const;

  // Before the name is resolved. Not allowed: the rules deny every address that it may have. Without a name (`name` is
  // empty) every address counts.
  AccessVerdict EvaluateName(const TargetName& name, std::uint16_t port) const;

  // For an address: of the request, or one that `name` resolved to. Final.
  AccessVerdict EvaluateAddress(const TargetName& name, const IpAddress& target, std::uint16_t port) const;

 private:
  RuleVerdict EvaluateRules(RuleQuery query, const TargetName& name) const;
};

// Decides which names the search list may complete a requested name to: those that the rules may allow.
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
