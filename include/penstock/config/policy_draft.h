// Builds a Policy from the options that a reload applies.
// Owned by the reader of the options (config.h); one thread.
// Invariant: rules keep their order, and are parsed after all sets, so a rule may use a set that is defined after it: a
// rule on the command line may use a set of the file.
// Does not: know the names of options (options.h), detect an open proxy (config.h).
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

  // The policy. Users and rules are set by Finish.
  Policy& policy() { return policy_; }

  // Each adds the value of the directive, or returns an error, which begins with a place and says what is accepted. The
  // value of a rule must outlive the draft.
  Error AddUsersFile(const Directive& directive);
  Error AddUser(const Directive& directive);
  Error AddSet(const Directive& directive);
  Error AddSetFile(const Directive& directive);
  void AddRule(bool allows, const Directive& directive) { rules_.push_back({allows, directive}); }

  // Parses the rules and completes policy(). Call it once, after everything has been added.
  Error Finish();

  const std::vector<std::string>& files() const { return files_; }  // the files of users and sets
  bool exposes_password() const { return exposes_password_; }       // --user is on the command line

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
  std::set<std::string> private_files_;  // configuration files with passwords, whose mode has been checked
  bool exposes_password_ = false;
};

}  // namespace penstock
