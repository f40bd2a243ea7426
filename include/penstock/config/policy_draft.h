// A Policy in the making: the options that a reload reads again, taken one by one.
// Owned by whoever reads options; one thread.
// Invariant: sets are known before any rule is read, and rules stand in the order in which they were given, wherever
// sets and rules stand: a rule on the command line may name a set of the file.
// Deliberately not here: the names of options (options.h), and whether the gateway would be an open proxy (config.h).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/config/file.h"
#include "penstock/login/users.h"
#include "penstock/policy/policy.h"
#include "penstock/policy/rule_text.h"

namespace penstock {

class PolicyDraft {
 public:
  using Error = std::optional<std::string>;

  // All but users and rules, which Finish adds.
  Policy& policy() { return policy_; }

  // Each takes the directive's value, or returns a sentence that says where it is and what is accepted. The text of a
  // rule must outlive the draft.
  Error AddUsersFile(const Directive& directive);
  Error AddUser(const Directive& directive);
  Error AddSet(const Directive& directive);
  Error AddSetFile(const Directive& directive);
  void AddRule(bool allows, const Directive& directive) { rules_.push_back({allows, directive}); }

  // All has been given: reads the rules and completes policy(). The draft is of no further use.
  Error Finish();

  const std::vector<std::string>& files() const { return files_; }  // that users and sets were read from
  bool exposes_password() const { return exposes_password_; }       // on the command line

 private:
  struct Rule {
    bool allows;
    Directive directive;
  };

  Policy policy_;
  std::optional<Users::Draft> users_;  // nothing: no login is required
  RuleText text_;
  std::vector<Rule> rules_;
  std::vector<std::string> files_;
  std::set<std::string> private_files_;  // of options, that hold passwords
  bool exposes_password_ = false;
};

}  // namespace penstock
