// The operator's rules, compiled: the first rule that matches a query decides.
// Built by the thread that reads the options, then const and shared through the policy (policy.h). Any thread may
// evaluate.
// Invariant: a verdict depends on the rules and the query alone, and is the verdict of evaluating the rules in their
// order. If no rule matches, the query is denied if there is any `allow` rule, and allowed otherwise.
// Does not: parse text (rule_text.h), close targets that no rule denies (guard.h), resolve names.
//
// A name is evaluated twice. Before it is resolved no address is known: a rule about addresses may match or not, and
// the verdict is kNeedsAddress if that makes a difference. So a name is not resolved if it is denied whatever its
// addresses are. After it is resolved, each address is evaluated together with the name.
//
// The time hardly depends on the number of rules. Each rule is indexed by one of its conditions, the most selective of
// target, client and user: the one that it shares with the fewest rules. A query is looked up in the table of each kind
// of condition. This yields lists of rules, which are merged in the order of the rules until one matches in all its
// conditions:
//
//     target address ──▶ blocks ──┐
//     name ──────────▶ domains ───┤
//     client ────────▶ blocks ────┼──▶ lists of rules, each in order ──▶ the first that matches
//     user ──────────▶ names ─────┤
//                      (neither) ─┘
//
// Rules without these conditions, and rules that share all of them with many others, are evaluated one after another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "penstock/base/command.h"
#include "penstock/base/domain.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/prefix.h"
#include "penstock/policy/rule_text.h"

namespace penstock {

// May this client reach this target? For BIND the target is the peer. The references must outlive the query.
struct RuleQuery {
  const IpAddress& client;
  std::string_view user;  // empty: no login
  Command command = Command::kConnect;
  std::string_view name;              // of the target, as the client sent it; empty if the request has an address
  const IpAddress* target = nullptr;  // null: not resolved yet
  std::uint16_t port = 0;
  bool any_target = false;  // the query is for all targets and ports (`name`, `target` and `port` are not set)
  const IpAddress* embedded = nullptr;  // the IPv4 address embedded in `target` (Translators); null: none
};

// What a verdict needs of its rule.
struct RuleInfo {
  std::uint32_t number = 0;  // from 1, in the order of the rules
  std::string where;         // its place, for the log
  Source source;             // of the connection
};

struct RuleVerdict {
  enum class Answer : std::uint8_t {
    kAllow,
    kDeny,
    kNeedsAddress,  // it depends on the target, which the query does not have; then nothing below is set
  };
  Answer answer = Answer::kAllow;

  // True exactly when the rule allows the target by naming its address, or a block that the guard closes as a whole
  // (IsClosed, guard.h). Then the guard is not evaluated.
  bool overrides_guard = false;

  // The rule that matched; null: none. It lives as long as the rule set.
  const RuleInfo* rule = nullptr;

  // True exactly when the target condition of that rule contains the query's name.
  bool by_name = false;
};

class RuleSet {
 public:
  RuleSet() = default;  // allows everything
  explicit RuleSet(const RuleText& text);

  bool empty() const { return rules_.empty(); }

  // True exactly when there is an `allow` rule, and each of them has a `client` condition.
  bool names_clients() const { return names_clients_; }

  // The blocks of the set `private` that are open as a whole to some remote client although no rule names them: by
  // default, or by a rule for a larger block or for every target.
  const std::vector<Prefix>& exposed_private() const { return exposed_private_; }

  // True if a rule has a port condition, so that an address may be allowed at one port and denied at another.
  bool has_ports() const { return !ports_.empty(); }

  // The query's `name` and `user` may be any bytes. Allocates nothing.
  RuleVerdict Evaluate(const RuleQuery& query) const { return empty() ? RuleVerdict{} : EvaluateRules(query); }

 private:
  friend class RuleCompiler;

  enum class Key : std::uint8_t { kTarget, kClient, kUser, kNothing };
  enum class Match : std::uint8_t { kNo, kMaybe, kYes };  // maybe: depends on the target, which is unknown

  // A condition that always holds is not set.
  struct Rule {
    bool allows = false;
    Key indexed_by = Key::kNothing;
    bool has_client = false;
    bool has_user = false;
    bool has_target = false;
    bool has_blocks = false;  // in its target condition
    std::uint8_t commands = kAllCommands;
    std::uint32_t ports = 0;  // index in ports_ of the first of its port_count ranges
    std::uint32_t port_count = 0;
  };

  // The rules that share a block, a domain or a user, as three runs of numbers_, one after another, each sorted. The
  // values are indices into numbers_.
  struct List {
    std::uint32_t members = 0;     // begin of all rules whose condition contains it
    std::uint32_t indexed = 0;     // begin of those that are indexed by it
    std::uint32_t candidates = 0;  // begin of those that are indexed by a target, and found here while it is unknown
    std::uint32_t end = 0;
  };
  static constexpr std::uint32_t kNoList = 0xffffffff;

  template <class Value, std::size_t kMax>
  struct Few;
  struct Facts;
  struct Merge;

  // User name -> list, with lookup by string_view.
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library looks for this name
  };
  using Users = std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>>;

  RuleVerdict EvaluateRules(const RuleQuery& query) const;
  void CollectFacts(const RuleQuery& query, Facts& facts) const;
  Match MatchOf(std::uint32_t number, const RuleQuery& query, const Facts& facts) const;
  bool IsIn(std::uint32_t list, std::uint32_t rule) const;
  RuleVerdict VerdictOf(std::uint32_t rule, const Facts& facts) const;

  std::vector<Rule> rules_;
  std::vector<RuleInfo> infos_;
  std::vector<PortRange> ports_;
  std::vector<List> lists_;
  std::vector<std::uint32_t> numbers_;  // of rules, from 0
  PrefixTable clients_;                 // values: lists
  PrefixTable targets_;                 // values: 2 * list, plus 1 if the block overrides the guard
  DomainTable names_;                   // values: lists
  Users users_;
  std::uint32_t others_ = kNoList;  // the list of the rules that are indexed by nothing
  bool allows_by_default_ = true;
  bool names_clients_ = false;
  std::vector<Prefix> exposed_private_;
};

}  // namespace penstock
