#include "penstock/config/policy_draft.h"

#include <memory>

#include "penstock/base/digest.h"
#include "penstock/base/limits.h"
#include "penstock/base/secret.h"
#include "penstock/base/text.h"
#include "penstock/os/file.h"
#include "penstock/os/random.h"
#include "penstock/policy/rules.h"

namespace penstock {
namespace {

Users::Draft NewUsers() {
  static const DigestKey kKey =
      RandomKey();  // the same for all tables, so that equal users have equal credentials after a reload
  return Users::Draft(kKey);
}

PolicyDraft::Error At(const Directive& directive, const PolicyDraft::Error& error) {
  return error ? directive.where + ": " + *error : error;
}

}  // namespace

PolicyDraft::Error PolicyDraft::AddUsersFile(const Directive& directive) {
  if (!users_) users_ = NewUsers();
  files_.push_back(PathIn(directive, directive.value));
  std::string error;
  return users_->AddFile(files_.back(), &error) ? std::nullopt : Error(error);
}

// A configuration file with a password must be readable by its owner alone.
PolicyDraft::Error PolicyDraft::AddUser(const Directive& directive) {
  if (!users_) users_ = NewUsers();
  std::string error;
  const bool unchecked = !directive.file.empty() && private_files_.insert(directive.file).second;
  if (unchecked && !ReadPrivateFile(directive.file, kConfigBytesMax, &error)) return error;
  exposes_password_ = exposes_password_ || directive.file.empty();
  return users_->AddPair(SecretView(directive.value), directive.where, &error) ? std::nullopt : Error(error);
}

PolicyDraft::Error PolicyDraft::AddSet(const Directive& directive) {
  return At(directive, text_.AddSet(directive.value));
}

// NAME FILE
PolicyDraft::Error PolicyDraft::AddSetFile(const Directive& directive) {
  std::string_view rest = directive.value;
  const std::string_view name = TakeWord(rest);
  const std::string_view path = Trimmed(rest);
  if (path.empty()) return At(directive, text_.AddSetFile(name, {}));
  files_.push_back(PathIn(directive, path));
  return At(directive, text_.AddSetFile(name, files_.back()));
}

PolicyDraft::Error PolicyDraft::Finish() {
  for (const Rule& rule : rules_) {
    const Directive& directive = rule.directive;
    auto error = text_.AddRule(rule.allows, directive.value, directive.where);
    if (error) return At(directive, error);
  }
  policy_.rules = std::make_shared<const RuleSet>(text_);
  if (users_) policy_.users = users_->Finish();
  return std::nullopt;
}

}  // namespace penstock
