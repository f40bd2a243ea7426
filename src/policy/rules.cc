#include "penstock/policy/rules.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "penstock/policy/guard.h"

namespace penstock {

// An array of up to `kMax` values.
template <class Value, std::size_t kMax>
struct RuleSet::Few {
  void Add(Value value) {
    assert(count < kMax);
    values[count++] = value;
  }
  auto begin() { return values.begin(); }
  auto begin() const { return values.begin(); }
  auto end() { return values.begin() + count; }
  auto end() const { return values.begin() + count; }

  std::array<Value, kMax> values;  // the first `count` are valid; the others are not initialised
  std::size_t count = 0;
};

// The lists that a query is in.
struct RuleSet::Facts {
  Few<std::uint32_t, PrefixTable::kMatchesMax> client;
  Few<std::uint32_t, 2 * PrefixTable::kMatchesMax> target;  // by the target, and by the address embedded in it
  Few<std::uint32_t, PrefixTable::kMatchesMax> overriding;  // by blocks of the target itself that override the guard
  Few<std::uint32_t, DomainTable::kMatchesMax> name;
  std::uint32_t user = kNoList;
  bool has_address = false;
};

// Merges lists of rules in the order of the rules: a heap, with the list of the next rule at the front.
struct RuleSet::Merge {
  struct Rest {
    const std::uint32_t* next;
    const std::uint32_t* end;
  };
  static constexpr std::size_t kListsMax = 4 * PrefixTable::kMatchesMax + DomainTable::kMatchesMax + 4;

  static bool IsLater(const Rest& one, const Rest& other) { return *one.next > *other.next; }

  void Add(const std::uint32_t* begin, const std::uint32_t* end) {
    if (begin != end) lists.Add({begin, end});
  }
  void Start() { std::make_heap(lists.begin(), lists.end(), IsLater); }
  bool Done() const { return lists.count == 0; }
  std::uint32_t Next() {
    std::pop_heap(lists.begin(), lists.end(), IsLater);
    Rest& rest = lists.values[lists.count - 1];
    const std::uint32_t rule = *rest.next++;
    if (rest.next == rest.end) {
      --lists.count;
    } else {
      std::push_heap(lists.begin(), lists.end(), IsLater);
    }
    return rule;
  }

  Few<Rest, kListsMax> lists;
};

void RuleSet::CollectFacts(const RuleQuery& query, Facts& facts) const {
  facts.has_address = query.target != nullptr;
  clients_.ForEach(query.client, [&](std::uint32_t list) { facts.client.Add(list); });
  if (query.target != nullptr && !targets_.empty()) {
    targets_.ForEach(*query.target, [&](std::uint32_t value) {
      facts.target.Add(value / 2);
      if (value % 2 != 0) facts.overriding.Add(value / 2);
    });
    if (query.embedded != nullptr) {
      targets_.ForEach(*query.embedded, [&](std::uint32_t value) { facts.target.Add(value / 2); });
    }
  }
  names_.ForEach(query.name, [&](std::uint32_t list) { facts.name.Add(list); });
  if (!users_.empty() && !query.user.empty()) {
    const auto found = users_.find(query.user);
    if (found != users_.end()) facts.user = found->second;
  }
}

RuleVerdict RuleSet::EvaluateRules(const RuleQuery& query) const {
  Facts facts;
  CollectFacts(query, facts);

  Merge merge;
  const auto add = [&](std::uint32_t number) {
    if (number == kNoList) return;
    const List& list = lists_[number];
    const auto* const all = numbers_.data();
    merge.Add(all + list.indexed, all + list.candidates);
    if (!facts.has_address) merge.Add(all + list.candidates, all + list.end);
  };
  std::ranges::for_each(facts.target, add);
  std::ranges::for_each(facts.name, add);
  std::ranges::for_each(facts.client, add);
  add(facts.user);
  add(others_);
  merge.Start();

  bool may_be_allowed = false;
  bool may_be_denied = false;
  RuleVerdict verdict;
  verdict.answer = allows_by_default_ ? RuleVerdict::Answer::kAllow : RuleVerdict::Answer::kDeny;
  while (!merge.Done() && !(may_be_allowed && may_be_denied)) {
    const std::uint32_t rule = merge.Next();
    const Match match = MatchOf(rule, query, facts);
    if (match == Match::kNo) continue;
    if (match == Match::kYes) {
      verdict = VerdictOf(rule, facts);
      break;
    }
    (rules_[rule].allows ? may_be_allowed : may_be_denied) = true;
  }
  const bool may_be_otherwise = verdict.answer == RuleVerdict::Answer::kAllow ? may_be_denied : may_be_allowed;
  return may_be_otherwise ? RuleVerdict{RuleVerdict::Answer::kNeedsAddress} : verdict;
}

// The condition by which a rule is indexed holds if the rule has been found, and is not checked again. The exception is
// a target condition while the address is unknown: the rule may have been found by another condition then.
RuleSet::Match RuleSet::MatchOf(std::uint32_t number, const RuleQuery& query, const Facts& facts) const {
  const Rule& rule = rules_[number];
  const auto is_in = [&](std::uint32_t list) { return IsIn(list, number); };
  if ((rule.commands & CommandBit(query.command)) == 0) return Match::kNo;
  const auto ports = std::span(ports_).subspan(rule.ports, rule.port_count);
  const auto in_range = [&](const PortRange& range) { return range.low <= query.port && query.port <= range.high; };
  if (!ports.empty() && !query.any_target && std::ranges::none_of(ports, in_range)) return Match::kNo;
  if (rule.has_client && rule.indexed_by != Key::kClient && std::ranges::none_of(facts.client, is_in))
    return Match::kNo;
  if (rule.has_user && rule.indexed_by != Key::kUser && !is_in(facts.user)) return Match::kNo;
  if (query.any_target) return rule.has_target || !ports.empty() ? Match::kMaybe : Match::kYes;
  if (!rule.has_target || (facts.has_address && rule.indexed_by == Key::kTarget)) return Match::kYes;
  if (std::ranges::any_of(facts.name, is_in)) return Match::kYes;
  if (!facts.has_address) return rule.has_blocks ? Match::kMaybe : Match::kNo;
  return std::ranges::any_of(facts.target, is_in) ? Match::kYes : Match::kNo;
}

bool RuleSet::IsIn(std::uint32_t list, std::uint32_t rule) const {
  if (list == kNoList) return false;
  const auto* const all = numbers_.data();
  return std::binary_search(all + lists_[list].members, all + lists_[list].indexed, rule);
}

RuleVerdict RuleSet::VerdictOf(std::uint32_t rule, const Facts& facts) const {
  RuleVerdict verdict;
  verdict.rule = &infos_[rule];
  verdict.answer = rules_[rule].allows ? RuleVerdict::Answer::kAllow : RuleVerdict::Answer::kDeny;
  verdict.overrides_guard = rules_[rule].allows &&
                            std::ranges::any_of(facts.overriding, [&](std::uint32_t list) { return IsIn(list, rule); });
  verdict.by_name =
      rules_[rule].has_target && std::ranges::any_of(facts.name, [&](std::uint32_t list) { return IsIn(list, rule); });
  return verdict;
}

// --- Compiling -----------------------------------------------------------------------------------------------------

// Builds a RuleSet. The condition of a rule consists of groups: the sets that it uses, and a group of its own for the
// items that the rule itself lists. All items that are in the same groups share one list of rules, so ten thousand
// blocks of one set have one list.
class RuleCompiler {
 public:
  RuleCompiler(const RuleText& text, RuleSet& into);

  void Compile();

 private:
  using Key = RuleSet::Key;
  using Numbers = std::vector<std::uint32_t>;
  template <class Name>
  using Grouped = std::vector<std::pair<Name, std::uint32_t>>;  // (name, a group that contains it)

  struct Draft {
    Key key;
    Numbers members;
    Numbers indexed;
    Numbers candidates;
  };

  // The rules by one kind of condition.
  struct Condition {
    std::vector<Numbers> rules_of_group;
    std::map<Numbers, std::uint32_t> drafts;  // groups -> index into drafts_
    std::vector<std::size_t> list_sizes;      // by rule: the length of the longest of its lists
  };

  // What items contain, as bits.
  static constexpr unsigned kAllV4 = 1;
  static constexpr unsigned kAllV6 = 2;
  static constexpr unsigned kBlocks = 4;
  static constexpr unsigned kRemote = 8;             // an address outside loopback
  static constexpr unsigned kPrivate = 16;           // and the next bits: the first block of `private`, the second...
  static constexpr unsigned kContainsPrivate = 256;  // the same: a block that contains it and is larger
  static constexpr unsigned kPrivateBlocks = kPrivate | 2 * kPrivate | 4 * kPrivate | 8 * kPrivate;
  unsigned TraitsOf(const RuleItems& items) const;

  Condition& condition(Key key) { return conditions_[static_cast<std::size_t>(key)]; }
  std::uint32_t OwnGroup(std::uint32_t rule) const { return static_cast<std::uint32_t>(traits_.size()) + rule; }
  const RuleItems& ItemsOf(std::uint32_t group, Key key) const;

  void TakeRule(std::uint32_t number);
  void CheckPrivate(const ParsedRule& parsed, unsigned client, unsigned target);
  unsigned TakeItems(Key key, std::uint32_t rule, const RuleItems& items);
  void MakeTables();
  PrefixTable MakeBlocks(Key key);
  template <class Name, class Take>
  void ForEachName(Key key, Grouped<Name> grouped, Take take);
  std::uint32_t DraftFor(Key key, const Numbers& groups);
  void BuildIndex();
  Key MostSelective(std::uint32_t number, bool with_target);
  bool IsFirstOfKind(std::uint32_t number);
  void Write();

  const RuleText& text_;
  RuleSet& set_;
  std::vector<unsigned> traits_;         // of the sets
  unsigned closed_private_ = 0;          // bits from kPrivate: closed by a rule so far
  unsigned exposed_private_ = 0;         // the same: opened by a rule, and not closed before
  std::array<Condition, 3> conditions_;  // by Key; kNothing has none
  std::vector<Draft> drafts_;

  // The rules that are indexed by their target, without the target: only whether it has blocks, since only then may a
  // name match or not.
  std::set<std::tuple<bool, bool, std::vector<Prefix>, Numbers, std::vector<std::string>, std::uint8_t,
                      std::vector<std::pair<std::uint16_t, std::uint16_t>>>>
      kinds_;
};

RuleSet::RuleSet(const RuleText& text) { RuleCompiler(text, *this).Compile(); }

RuleCompiler::RuleCompiler(const RuleText& text, RuleSet& into) : text_(text), set_(into) {
  for (const RuleItems& items : text.sets()) traits_.push_back(TraitsOf(items));
  for (Condition& condition : conditions_) {
    condition.rules_of_group.resize(text.sets().size() + text.rules().size());
    condition.list_sizes.resize(text.rules().size());
  }
}

void RuleCompiler::Compile() {
  bool allows_some = false;
  bool allows_anyone = false;
  for (std::uint32_t number = 0; number < text_.rules().size(); ++number) {
    const ParsedRule& parsed = text_.rules()[number];
    allows_some = allows_some || parsed.allows;
    allows_anyone = allows_anyone || (parsed.allows && !parsed.client);
    TakeRule(number);
  }
  set_.allows_by_default_ = !allows_some;
  set_.names_clients_ = allows_some && !allows_anyone;
  if (set_.allows_by_default_) exposed_private_ |= kPrivateBlocks & ~closed_private_;
  for (unsigned bit = kPrivate; const Prefix& block : text_.private_blocks()) {
    if ((exposed_private_ & bit) != 0) set_.exposed_private_.push_back(block);
    bit *= 2;
  }
  if (set_.empty()) return;
  MakeTables();
  BuildIndex();
  Write();
}

void RuleCompiler::TakeRule(std::uint32_t number) {
  const ParsedRule& parsed = text_.rules()[number];
  RuleSet::Rule rule;
  rule.allows = parsed.allows;
  rule.commands = parsed.commands;
  rule.ports = static_cast<std::uint32_t>(set_.ports_.size());
  rule.port_count = static_cast<std::uint32_t>(parsed.ports.size());
  set_.ports_.insert(set_.ports_.end(), parsed.ports.begin(), parsed.ports.end());
  // All of IPv4 and all of IPv6 together always hold.
  constexpr unsigned kEverything = kAllV4 | kAllV6;
  unsigned client = kRemote;
  unsigned target = kPrivateBlocks * (kContainsPrivate / kPrivate);
  if (parsed.client) {
    client = TakeItems(Key::kClient, number, *parsed.client);
    rule.has_client = (client & kEverything) != kEverything;
  }
  if (parsed.target) {
    target = TakeItems(Key::kTarget, number, *parsed.target);
    rule.has_target = (target & kEverything) != kEverything;
    rule.has_blocks = (target & kBlocks) != 0;
  }
  CheckPrivate(parsed, client, target);
  rule.has_user = !parsed.users.empty();
  if (rule.has_user) condition(Key::kUser).rules_of_group[OwnGroup(number)].push_back(number);
  set_.rules_.push_back(rule);
  set_.infos_.push_back({number + 1, parsed.where, parsed.source});
}

// A private block is exposed by an `allow` rule that includes remote clients and the block without naming it, unless an
// earlier rule closes the block: a `deny` rule for all ports and commands whose target includes it, or which has no
// target and is for all clients and users.
void RuleCompiler::CheckPrivate(const ParsedRule& parsed, unsigned client, unsigned target) {
  const unsigned contained = target / (kContainsPrivate / kPrivate) & kPrivateBlocks;
  if (parsed.allows) {
    if ((client & kRemote) != 0) exposed_private_ |= contained & ~closed_private_;
    return;
  }
  const bool for_some = !parsed.target && (parsed.client || !parsed.users.empty());
  const bool in_part = !parsed.ports.empty() || parsed.commands != kAllCommands;
  if (!for_some && !in_part) closed_private_ |= contained | (target & kPrivateBlocks);
}

unsigned RuleCompiler::TraitsOf(const RuleItems& items) const {
  static const Prefix kEveryV4 = Prefix::Parse("0.0.0.0/0").value();
  unsigned traits = items.blocks.empty() ? 0 : kBlocks;
  for (const Prefix& block : items.blocks) {
    if (block == kEveryV4) traits |= kAllV4;
    if (block == Prefix()) traits |= kAllV6;
    if (!block.address().is_loopback()) traits |= kRemote;
    constexpr unsigned kLongest = 96 + 16;  // the length of the longest private block, 192.168.0.0/16
    if (block.shared_bits() > kLongest) continue;
    for (unsigned bit = kPrivate; const Prefix& private_block : text_.private_blocks()) {
      if (block.Contains(private_block)) traits |= block == private_block ? bit : bit * (kContainsPrivate / kPrivate);
      bit *= 2;
    }
  }
  return traits;
}

// Adds the rule to the groups of its condition. Returns the traits of all of them.
unsigned RuleCompiler::TakeItems(Key key, std::uint32_t rule, const RuleItems& items) {
  unsigned traits = TraitsOf(items);
  for (const std::uint32_t set : text_.SetsWithin(items)) {
    condition(key).rules_of_group[set].push_back(rule);
    traits |= traits_[set];
  }
  condition(key).rules_of_group[OwnGroup(rule)].push_back(rule);
  return traits;
}

const RuleItems& RuleCompiler::ItemsOf(std::uint32_t group, Key key) const {
  if (group < traits_.size()) return text_.sets()[group];
  const ParsedRule& rule = text_.rules()[group - traits_.size()];
  return key == Key::kClient ? *rule.client : *rule.target;
}

// Builds the tables, and a draft of each list, with its members only.
void RuleCompiler::MakeTables() {
  set_.clients_ = MakeBlocks(Key::kClient);
  set_.targets_ = MakeBlocks(Key::kTarget);

  Grouped<Domain> domains;
  const auto& targets = condition(Key::kTarget).rules_of_group;
  for (std::uint32_t group = 0; group < targets.size(); ++group) {
    if (targets[group].empty()) continue;
    for (const Domain& domain : ItemsOf(group, Key::kTarget).domains) domains.emplace_back(domain, group);
  }
  std::vector<DomainTable::Entry> entries;
  ForEachName(Key::kTarget, std::move(domains), [&](const Domain& domain, std::uint32_t list) {
    entries.push_back({domain, list});
  });
  set_.names_ = DomainTable(entries);

  Grouped<std::string> users;
  for (std::uint32_t number = 0; number < text_.rules().size(); ++number) {
    for (const std::string& user : text_.rules()[number].users) users.emplace_back(user, OwnGroup(number));
  }
  ForEachName(Key::kUser, std::move(users),
              [&](const std::string& user, std::uint32_t list) { set_.users_.emplace(user, list); });
}

PrefixTable RuleCompiler::MakeBlocks(Key key) {
  Grouped<Prefix> blocks;
  const auto& rules_of_group = condition(key).rules_of_group;
  for (std::uint32_t group = 0; group < rules_of_group.size(); ++group) {
    if (rules_of_group[group].empty()) continue;
    for (const Prefix& block : ItemsOf(group, key).blocks) blocks.emplace_back(block, group);
  }
  std::vector<PrefixTable::Entry> entries;
  ForEachName(key, std::move(blocks), [&](const Prefix& block, std::uint32_t list) {
    const bool overrides = block.is_address() || IsClosed(block);
    entries.push_back({block, key == Key::kClient ? list : 2 * list + (overrides ? 1 : 0)});
  });
  return PrefixTable(std::move(entries));
}

// Calls `take(name, list)` once for each name.
template <class Name, class Take>
void RuleCompiler::ForEachName(Key key, Grouped<Name> grouped, Take take) {
  std::ranges::sort(grouped);
  Numbers groups;
  for (std::size_t i = 0; i < grouped.size(); ++i) {
    const auto& [name, group] = grouped[i];
    if (groups.empty() || groups.back() != group) groups.push_back(group);
    if (i + 1 < grouped.size() && grouped[i + 1].first == name) continue;
    take(name, DraftFor(key, groups));
    groups.clear();
  }
}

std::uint32_t RuleCompiler::DraftFor(Key key, const Numbers& groups) {
  Condition& of = condition(key);
  const auto [found, is_new] = of.drafts.try_emplace(groups, static_cast<std::uint32_t>(drafts_.size()));
  if (!is_new) return found->second;
  Draft& draft = drafts_.emplace_back(Draft{key, {}, {}, {}});
  for (const std::uint32_t group : groups) {
    draft.members.insert(draft.members.end(), of.rules_of_group[group].begin(), of.rules_of_group[group].end());
  }
  std::ranges::sort(draft.members);
  draft.members.erase(std::unique(draft.members.begin(), draft.members.end()), draft.members.end());
  for (const std::uint32_t rule : draft.members) {
    of.list_sizes[rule] = std::max(of.list_sizes[rule], draft.members.size());
  }
  return found->second;
}

// Chooses the condition by which each rule is indexed. While the target is unknown, a rule that is indexed by its
// target is not found there. Then only whether it may match counts, so of the rules that differ only in their targets,
// the first is made a candidate in a list of another condition.
void RuleCompiler::BuildIndex() {
  constexpr auto kNowhere = static_cast<Key>(0xff);
  std::vector<Key> candidate_by(set_.rules_.size(), kNowhere);
  for (std::uint32_t number = 0; number < set_.rules_.size(); ++number) {
    RuleSet::Rule& rule = set_.rules_[number];
    rule.indexed_by = MostSelective(number, true);
    if (rule.indexed_by == Key::kTarget && IsFirstOfKind(number)) {
      candidate_by[number] = MostSelective(number, false);
    }
  }
  set_.others_ = static_cast<std::uint32_t>(drafts_.size());
  drafts_.push_back({Key::kNothing, {}, {}, {}});
  for (std::uint32_t number = 0; number < set_.rules_.size(); ++number) {
    if (set_.rules_[number].indexed_by == Key::kNothing) drafts_.back().indexed.push_back(number);
    if (candidate_by[number] == Key::kNothing) drafts_.back().candidates.push_back(number);
  }
  for (Draft& draft : drafts_) {
    for (const std::uint32_t number : draft.members) {
      if (set_.rules_[number].indexed_by == draft.key) draft.indexed.push_back(number);
      if (candidate_by[number] == draft.key) draft.candidates.push_back(number);
    }
  }
}

RuleCompiler::Key RuleCompiler::MostSelective(std::uint32_t number, bool with_target) {
  const RuleSet::Rule& rule = set_.rules_[number];
  Key best = Key::kNothing;
  const auto compare = [&](bool has, Key key) {
    if (has && (best == Key::kNothing || condition(key).list_sizes[number] < condition(best).list_sizes[number]))
      best = key;
  };
  compare(rule.has_target && with_target, Key::kTarget);
  compare(rule.has_client, Key::kClient);
  compare(rule.has_user, Key::kUser);
  return best;
}

bool RuleCompiler::IsFirstOfKind(std::uint32_t number) {
  const ParsedRule& parsed = text_.rules()[number];
  RuleItems client;
  if (set_.rules_[number].has_client) client = *parsed.client;
  std::vector<std::string> users = parsed.users;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports;
  for (const PortRange& range : parsed.ports) ports.emplace_back(range.low, range.high);
  std::ranges::sort(client.blocks);
  std::ranges::sort(client.sets);
  std::ranges::sort(users);
  std::ranges::sort(ports);
  return kinds_
      .emplace(parsed.allows, set_.rules_[number].has_blocks, std::move(client.blocks), std::move(client.sets),
               std::move(users), parsed.commands, std::move(ports))
      .second;
}

void RuleCompiler::Write() {
  const auto position = [this] { return static_cast<std::uint32_t>(set_.numbers_.size()); };
  const auto append = [this](const Numbers& numbers) {
    set_.numbers_.insert(set_.numbers_.end(), numbers.begin(), numbers.end());
  };
  for (const Draft& draft : drafts_) {
    RuleSet::List& list = set_.lists_.emplace_back();
    list.members = position();
    append(draft.members);
    list.indexed = position();
    append(draft.indexed);
    list.candidates = position();
    append(draft.candidates);
    list.end = position();
  }
}

}  // namespace penstock
