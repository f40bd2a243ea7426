// Who may use the gateway, for what, and how much of it: the part of what the operator has chosen that may change while
// sessions live.
// Immutable once it is made; shared by all threads as const and swapped whole. The last reader drops it.
// Invariant: whoever has taken a policy finds it unchanged until they take the next one, so that no decision is made of
// two policies' halves.
// Deliberately not here: what holds from start to end (settings.h), and reading it (config.h).
#pragma once

#include <memory>

#include "penstock/login/users.h"
#include "penstock/policy/limiter.h"
#include "penstock/policy/rules.h"

namespace penstock {

struct Policy {
  std::shared_ptr<const Users> users;                                        // who may log in; null: nobody has to
  std::shared_ptr<const RuleSet> rules = std::make_shared<const RuleSet>();  // who may reach what; never null
  Limits limits;
  bool reload_ends_denied = false;  // sessions that this policy would not have let begin end when it comes
};

}  // namespace penstock
