// The operator's rules, compiled: who may reach what, first match wins.
// Made by whoever reads the configuration, const from then on; any thread may ask it.
// Invariant: an answer depends on the rules and the question alone, and is the one that reading the rules in order
// would give. With rules, the default is what nothing was said of: denied when any rule allows, else allowed.
// Deliberately not here: text (rule_text.h), what no rule needs to close (guard.h), and looking names up.
//
// A question is asked twice. Before the look-up of a name there is no address yet: then a rule about addresses may
// match or not, and unless it makes no difference the answer is kNeedsAddress. A name is never looked up when it is
// denied whatever its addresses are. After the look-up every address is judged, together with the name.
//
// The cost is flat. Each rule is indexed under that one of its conditions which the fewest rules share: target, client or
// user. A question looks up what it is in each of these, gets lists of rules, and walks them side by side in the order
// of the rules until one matches in all its conditions:
//
//     target address ──▶ blocks ──┐
//     name ──────────▶ domains ───┤
//     client ────────▶ blocks ────┼──▶ lists of rules, each in order ──▶ the first that matches
//     user ──────────▶ names ─────┤
//                      (neither) ─┘
//
// Rules without any of these, or which share all of them with many others, are walked one by one.
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

// May this client reach that target? In BIND the target is the peer.
struct RuleQuery {
  const IpAddress& client;
  std::string_view user;  // who has logged in; empty: nobody
  Command command = Command::kConnect;
  std::string_view name;              // as the client wrote it; empty when it asked for an address
  const IpAddress* target = nullptr;  // null: not known yet
  std::uint16_t port = 0;
  bool any_target = false;  // whichever target and port: denied only when all are (then neither is to be given)
  const IpAddress* embedded = nullptr;  // the target, when it means an IPv4 address (Translators): that; else null
};

// What a rule says beside yes and no.
struct RuleInfo {
  std::uint32_t number = 0;  // from 1 on, in the order in which they were written
  std::string where;
  Source source;
};

struct RuleVerdict {
  enum class Answer : std::uint8_t { kAllow, kDeny, kNeedsAddress };
  Answer answer = Answer::kAllow;

  // True exactly when the rule allows the address itself, by what holds for no more than the guard closes: an address,
  // or a block of what is closed (guard.h). Then the guard need not be asked.
  bool overrides_guard = false;

  // The rule that decided; null: none did. It lives as long as the rule set.
  const RuleInfo* rule = nullptr;

  // True exactly when that rule names the target by the name in the question.
  bool by_name = false;
};

class RuleSet {
 public:
  RuleSet() = default;  // allows everything
  explicit RuleSet(const RuleText& text);

  bool empty() const { return rules_.empty(); }

  // True exactly when something is allowed, and nothing without a `client`: whoever may use the gateway has been named.
  bool names_clients() const { return names_clients_; }

  // Private networks (the set `private`, block by block) into which clients beyond loopback may come because no rule
  // denies it: all of the block is open to some of them, by default or by a rule that does not name it.
  const std::vector<Prefix>& exposed_private() const { return exposed_private_; }

  // True if an address may be allowed at one port and denied at another.
  bool has_ports() const { return !ports_.empty(); }

  // Allocates nothing, and may be asked about anything: `name` and `user` are any bytes.
  RuleVerdict Evaluate(const RuleQuery& query) const { return empty() ? RuleVerdict{} : EvaluateRules(query); }

 private:
  friend class RuleCompiler;

  enum class Key : std::uint8_t { kTarget, kClient, kUser, kNothing };
  enum class Match : std::uint8_t { kNo, kMaybe, kYes };

  // What is needed to judge. A condition that always holds is not set.
  struct Rule {
    bool allows = false;
    Key indexed_by = Key::kNothing;
    bool has_client = false;
    bool has_user = false;
    bool has_target = false;
    bool has_blocks = false;  // among what its target may be
    std::uint8_t commands = kAllCommands;
    std::uint32_t ports = 0;  // where its ports begin in ports_; those of the next rule follow
    std::uint32_t port_count = 0;
  };

  // Rules that share something, in their order, one after the other in numbers_.
  struct List {
    std::uint32_t members = 0;     // begin: all rules for which it holds
    std::uint32_t indexed = 0;     // begin: those that are indexed here
    std::uint32_t candidates = 0;  // begin: those that are looked for here while the target's address is unknown
    std::uint32_t end = 0;
  };
  static constexpr std::uint32_t kNoList = 0xffffffff;

  struct Facts;
  struct Walk;

  // A user's name to a list, to be found by any text.
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library looks for this name
  };
  using Users = std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>>;

  RuleVerdict EvaluateRules(const RuleQuery& query) const;
  void LookUp(const RuleQuery& query, Facts& facts) const;
  Match MatchOf(std::uint32_t number, const RuleQuery& query, const Facts& facts) const;
  bool IsIn(std::uint32_t list, std::uint32_t rule) const;
  RuleVerdict Conclude(std::uint32_t rule, const Facts& facts) const;

  std::vector<Rule> rules_;
  std::vector<RuleInfo> infos_;
  std::vector<PortRange> ports_;
  std::vector<List> lists_;
  std::vector<std::uint32_t> numbers_;
  PrefixTable clients_;  // values: lists
  PrefixTable targets_;  // values: twice a list, and one more when the block lifts the guard
  DomainTable names_;    // values: lists
  Users users_;
  std::uint32_t others_ = kNoList;  // the list of what is indexed under nothing
  bool allows_by_default_ = true;
  bool names_clients_ = false;
  std::vector<Prefix> exposed_private_;
};

}  // namespace penstock
