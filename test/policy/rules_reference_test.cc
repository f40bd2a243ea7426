// Compares RuleSet with a reference that evaluates rules one by one, without lists and tables.
#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/policy/rules.h"

namespace penstock {
namespace {

using Answer = RuleVerdict::Answer;

// A small set of names and addresses, so that rules match often.
constexpr std::string_view kAddresses[] = {
    "10.0.0.1",        "10.0.0.2", "10.0.1.1",         "10.1.0.1",     "127.0.0.1",  "169.254.1.1",
    "192.0.2.1",       "0.0.0.0",  "224.0.0.5",        "::",           "::1",        "2001:db8::1",
    "2001:db8:0:1::1", "fe80::1",  "fd00::1",          "fd00:ec2::2",  "100.64.0.1", "64:ff9b::a00:1",
    "ffff::ffff",      "8.8.8.8",  "64:ff9b::808:808", "168.63.129.16"};
constexpr std::string_view kBlocks[] = {"0.0.0.0/0",     "::/0",          "10.0.0.0/8",         "10.0.0.0/16",
                                        "10.0.0.0/24",   "10.0.0.1",      "10.0.0.2/31",        "128.0.0.0/1",
                                        "2001:db8::/32", "2001:db8::/64", "2001:db8::1",        "127.0.0.1",
                                        "127.0.0.0/8",   "64:ff9b::/96",  "169.254.0.0/16",     "fe80::/64",
                                        "192.0.2.0/24",  "::/1",          "::ffff:10.0.0.0/112"};
constexpr std::string_view kDomains[] = {"example.com",    ".example.com", ".com", "a.example.com",
                                         ".b.example.com", "local.",       ".org"};
constexpr std::string_view kNames[] = {"example.com", "A.Example.COM", "b.example.com.", "x.b.example.com", "com",
                                       "local",       "other.org",     "nothing.net",    "badexample.com"};
constexpr std::string_view kUsers[] = {"alice", "bob", "carol", "Alice"};
constexpr std::uint16_t kPorts[] = {1, 80, 443, 8080, 65535};
constexpr std::string_view kBuiltIn[] = {"any",       "loopback",    "link-local", "private", "shared",
                                         "multicast", "unspecified", "broadcast",  "metadata"};

// The meaning of an item, from its text alone.
struct Meaning {
  std::vector<Prefix> blocks;
  std::vector<std::string> domains;
};

struct Plain {
  bool allows = false;
  std::optional<Meaning> client;
  std::optional<Meaning> target;
  std::vector<std::string> users;
  std::vector<std::size_t> commands;
  std::vector<PortRange> ports;
  std::string text;
};

bool Holds(const Meaning& meaning, const IpAddress& address) {
  return std::ranges::any_of(meaning.blocks, [&](const Prefix& block) { return block.Contains(address); });
}

std::string Canonical(std::string_view name) {
  std::string text(name.ends_with('.') ? name.substr(0, name.size() - 1) : name);
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

bool Holds(const Meaning& meaning, std::string_view name) {
  const std::string requested = Canonical(name);
  return std::ranges::any_of(meaning.domains, [&](const std::string& domain) {
    const std::string mine = Canonical(domain);
    return mine.starts_with('.') ? ("." + requested).ends_with(mine) : requested == mine;
  });
}

class World {
 public:
  explicit World(std::uint32_t seed) : random_(seed) {
    for (std::size_t i = 0; i < 4; ++i) AddSet("set" + std::to_string(i), i);
    const std::size_t count = random_() % 12;
    for (std::size_t i = 0; i < count; ++i) AddRule();
    set_ = RuleSet(text_);
  }

  std::size_t Random(std::size_t below) { return random_() % below; }
  template <class Array>
  auto One(const Array& of) {
    return of[Random(std::size(of))];
  }

  const RuleSet& set() const { return set_; }
  const std::vector<Plain>& rules() const { return rules_; }
  std::string Described() const {
    std::string all = described_;
    for (const Plain& rule : rules_) all += (rule.allows ? "allow" : "deny") + rule.text + '\n';
    return all;
  }

  RuleVerdict Expected(const RuleQuery& query) const {
    const bool some_allow = std::ranges::any_of(rules_, [](const Plain& rule) { return rule.allows; });
    for (const Plain& rule : rules_) {
      if (Matches(rule, query)) {
        const bool overrides =
            rule.allows && rule.target && std::ranges::any_of(rule.target->blocks, [&](const Prefix& block) {
              return block.Contains(*query.target) && (block.is_address() || InClosed(block));
            });
        return {rule.allows ? Answer::kAllow : Answer::kDeny, overrides, nullptr};
      }
    }
    return {some_allow ? Answer::kDeny : Answer::kAllow, false, nullptr};
  }

  // The number of the rule, from 1, or 0.
  std::uint32_t ExpectedNumber(const RuleQuery& query) const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (Matches(rules_[i], query)) return static_cast<std::uint32_t>(i + 1);
    }
    return 0;
  }

 private:
  static bool InClosed(const Prefix& block) {
    for (const std::string_view closed :
         {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255", "::", "::1", "fe80::/10",
          "ff00::/8", "fd00:ec2::/32", "168.63.129.16", "100.100.100.200", "fd20:ce::254", "fd00:c1::a9fe:a9fe"}) {
      if (Prefix::Parse(closed)->Contains(block)) return true;
    }
    return false;
  }

  static bool Matches(const Plain& rule, const RuleQuery& query) {
    if (rule.client && !Holds(*rule.client, query.client)) return false;
    if (!rule.users.empty() && std::ranges::find(rule.users, query.user) == rule.users.end()) return false;
    const auto command = static_cast<std::size_t>(query.command);
    if (!rule.commands.empty() && std::ranges::find(rule.commands, command) == rule.commands.end()) return false;
    if (!rule.ports.empty() && std::ranges::none_of(rule.ports, [&](const PortRange& range) {
          return range.low <= query.port && query.port <= range.high;
        })) {
      return false;
    }
    if (!rule.target) return true;
    if (!query.name.empty() && Holds(*rule.target, query.name)) return true;
    return Holds(*rule.target, *query.target) || (query.embedded != nullptr && Holds(*rule.target, *query.embedded));
  }

  void Include(Meaning& into, const Meaning& more) {
    into.blocks.insert(into.blocks.end(), more.blocks.begin(), more.blocks.end());
    into.domains.insert(into.domains.end(), more.domains.begin(), more.domains.end());
  }

  static Meaning BuiltIn(std::string_view name) {
    Meaning meaning;
    const auto add = [&](std::initializer_list<std::string_view> blocks) {
      for (const std::string_view block : blocks) meaning.blocks.push_back(*Prefix::Parse(block));
    };
    if (name == "any") add({"0.0.0.0/0", "::/0"});
    if (name == "loopback") add({"127.0.0.0/8", "::1"});
    if (name == "link-local") add({"169.254.0.0/16", "fe80::/10"});
    if (name == "private") add({"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"});
    if (name == "shared") add({"100.64.0.0/10"});
    if (name == "multicast") add({"224.0.0.0/4", "ff00::/8"});
    if (name == "unspecified") add({"0.0.0.0/8", "::"});
    if (name == "broadcast") add({"255.255.255.255"});
    if (name == "metadata") {
      add({"168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"});
    }
    return meaning;
  }

  // Returns an item as text and adds it to its meaning. Sets with even numbers have only addresses.
  std::string Item(bool addresses_only, Meaning& meaning, std::size_t sets) {
    const std::size_t kind = Random(10);
    if (kind == 0) {
      const std::string_view name = One(kBuiltIn);
      Include(meaning, BuiltIn(name));
      return std::string(name);
    }
    if (kind < 3 && sets > 0) {
      const std::size_t number = addresses_only ? Random((sets + 1) / 2) * 2 : Random(sets);
      Include(meaning, sets_[number]);
      return "set" + std::to_string(number);
    }
    if (kind < 6 && !addresses_only) {
      meaning.domains.emplace_back(One(kDomains));
      return meaning.domains.back();
    }
    const std::string_view block = One(kBlocks);
    meaning.blocks.push_back(*Prefix::Parse(block));
    return std::string(block);
  }

  void AddSet(const std::string& name, std::size_t number) {
    Meaning meaning;
    std::string items;
    for (std::size_t i = Random(4) + 1; i > 0; --i) items += ' ' + Item(number % 2 == 0, meaning, number);
    REQUIRE_FALSE(text_.AddSet(name + items));
    described_ += "set " + name + items + '\n';
    sets_.push_back(meaning);
  }

  std::string Items(bool addresses_only, Meaning& meaning) {
    std::string items = Item(addresses_only, meaning, sets_.size());
    while (Random(3) == 0) items += (Random(2) == 0 ? "," : ", ") + Item(addresses_only, meaning, sets_.size());
    return items;
  }

  void AddRule() {
    Plain rule;
    rule.allows = Random(2) == 0;
    if (Random(3) == 0) rule.text += " client " + Items(true, rule.client.emplace());
    if (Random(4) != 0) rule.text += " target " + Items(false, rule.target.emplace());
    if (Random(4) == 0) {
      rule.users = {std::string(One(kUsers)), std::string(One(kUsers))};
      rule.text += " user " + rule.users[0] + ',' + rule.users[1];
    }
    if (Random(5) == 0) {
      rule.commands = {Random(3)};
      rule.text += " command " + std::string(kCommandWords[rule.commands[0]]);
    }
    if (Random(5) == 0) {
      const std::uint16_t port = One(kPorts);
      rule.ports = {{port, port}, {443, 8000}};
      rule.text += " port " + std::to_string(port) + ",443-8000";
    }
    const auto error = text_.AddRule(rule.allows, rule.text, "here");
    REQUIRE_MESSAGE(!error, rule.text);
    rules_.push_back(rule);
  }

  std::mt19937 random_;
  RuleText text_;
  RuleSet set_;
  std::vector<Meaning> sets_;
  std::vector<Plain> rules_;
  std::string described_;
};

TEST_CASE("rules: random rules have the verdicts of a reference that evaluates them in order") {
  for (std::uint32_t seed = 1; seed <= 600; ++seed) {
    CAPTURE(seed);
    World world(seed);
    const std::string described = world.Described();
    CAPTURE(described);
    for (int i = 0; i < 60; ++i) {
      const IpAddress client = *IpAddress::Parse(world.One(kAddresses));
      const std::string_view name = world.Random(3) == 0 ? std::string_view() : world.One(kNames);
      const std::string_view user = world.Random(3) == 0 ? std::string_view() : world.One(kUsers);
      const auto command = static_cast<Command>(world.Random(3));
      RuleQuery query{client, user, command, name, nullptr, world.One(kPorts)};
      CAPTURE(client.ToString());
      CAPTURE(name);
      CAPTURE(user);
      CAPTURE(static_cast<int>(command));
      CAPTURE(query.port);

      const Translators translators;
      const RuleVerdict before = world.set().Evaluate(query);
      bool some_allowed = false;
      bool some_denied = false;
      for (const std::string_view text : kAddresses) {
        CAPTURE(text);
        const IpAddress target = *IpAddress::Parse(text);
        const auto embedded = translators.EmbeddedV4(target);
        query.target = &target;
        query.embedded = embedded ? &*embedded : nullptr;
        const RuleVerdict expected = world.Expected(query);
        const RuleVerdict verdict = world.set().Evaluate(query);
        // One CHECK for many verdicts, since each takes time.
        const bool same = verdict.answer == expected.answer && verdict.overrides_guard == expected.overrides_guard &&
                          (verdict.rule == nullptr ? 0 : verdict.rule->number) == world.ExpectedNumber(query);
        if (!same) {
          CHECK(static_cast<int>(verdict.answer) == static_cast<int>(expected.answer));
          CHECK(verdict.overrides_guard == expected.overrides_guard);
          CHECK((verdict.rule == nullptr ? 0 : verdict.rule->number) == world.ExpectedNumber(query));
        }
        (expected.answer == Answer::kAllow ? some_allowed : some_denied) = true;
      }
      const RuleVerdict for_any_target =
          world.set().Evaluate({.client = client, .user = user, .command = command, .any_target = true});
      if (for_any_target.answer == Answer::kAllow) CHECK_FALSE(some_denied);
      if (for_any_target.answer == Answer::kDeny) CHECK_FALSE(some_allowed);
      // A verdict before resolution is right for every address; where addresses differ there is none.
      if (before.answer == Answer::kAllow) CHECK_FALSE(some_denied);
      if (before.answer == Answer::kDeny) CHECK_FALSE(some_allowed);
      if (some_allowed && some_denied) CHECK(before.answer == Answer::kNeedsAddress);
      CHECK_FALSE(before.overrides_guard);
    }
  }
}

}  // namespace
}  // namespace penstock
