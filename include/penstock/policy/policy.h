// What a reload replaces: who may use the gateway, for what, and how much of it, and what is logged. Immutable once it
// is made; shared by all threads as const and swapped whole. The last reader drops it. Invariant: a policy does not
// change while anyone holds it, so no decision mixes two policies. Deliberately not here: what needs a restart
// (settings.h), and reading it (config.h). An option can be reloaded exactly if its value is in here.
#pragma once

#include <memory>

#include "penstock/login/users.h"
#include "penstock/os/log.h"
#include "penstock/policy/limiter.h"
#include "penstock/policy/rules.h"

namespace penstock {

struct Policy {
  std::shared_ptr<const Users> users;                                        // who may log in; null: nobody has to
  std::shared_ptr<const RuleSet> rules = std::make_shared<const RuleSet>();  // who may reach what; never null
  Limits limits;
  bool reload_ends_denied = false;  // when this policy comes, the sessions that it denies end
  LogLevel log_level = LogLevel::kNotice;
};

}  // namespace penstock
