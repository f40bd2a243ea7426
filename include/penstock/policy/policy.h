// The settings that a reload replaces: users, rules, limits, and the level and format of the log.
// Shared by all threads as const, and replaced as a whole; the last reader deletes it.
// Invariant: a policy is immutable, so no verdict mixes two policies. An option can be reloaded exactly if its value is
// here.
// Does not: hold what needs a restart (settings.h), read options (config.h).
#pragma once

#include <memory>

#include "penstock/login/user_limits.h"
#include "penstock/login/users.h"
#include "penstock/os/log.h"
#include "penstock/policy/limiter.h"
#include "penstock/policy/rules.h"

namespace penstock {

struct Policy {
  std::shared_ptr<const Users> users;                                        // null: no login is required
  std::shared_ptr<const RuleSet> rules = std::make_shared<const RuleSet>();  // never null
  Limits limits;
  UserLimits user_limits;           // of each user without ones of its own
  bool reload_ends_denied = false;  // a reload ends the sessions that it denies
  LogLevel log_level = LogLevel::kNotice;
  LogFormat log_format = LogFormat::kText;
};

}  // namespace penstock
