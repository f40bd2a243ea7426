#include "penstock/policy/rule_text.h"

#include <net/if.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/base/suggest.h"
#include "penstock/base/text.h"
#include "penstock/os/file.h"
#include "penstock/policy/guard.h"

namespace penstock {
namespace {

using Error = std::optional<std::string>;

constexpr std::string_view kKeywords[] = {"client", "user", "command", "target", "port", "source", "source-interface"};
constexpr const char* kCommandsAccepted = "connect, bind or udp-associate";

// The predefined sets beside kClosedGroups.
constexpr BlockGroup kOpenGroups[] = {
    {"any", {"0.0.0.0/0", "::/0"}},
    {"private", {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}},
    {"shared", {"100.64.0.0/10"}},
};

std::string NotAccepted(std::string_view word, const std::string& accepted) {
  return '\'' + std::string(word) + "' is not accepted; give " + accepted;
}

std::string NotAccepted(std::string_view word, std::span<const std::string_view> known, const std::string& accepted) {
  const auto nearest = Nearest(word, known);
  if (!nearest) return NotAccepted(word, accepted);
  return '\'' + std::string(word) + "' is not accepted; did you mean " + std::string(*nearest) + '?';
}

Error TakePorts(std::string_view word, std::vector<PortRange>& into) {
  const auto range = PortRange::Parse(word);
  if (!range) return NotAccepted(word, "a port such as 443, or a range such as 8000-8999");
  into.push_back(*range);
  return std::nullopt;
}

Error TakeCommand(std::string_view word, std::uint8_t& into) {
  const auto* const found = std::ranges::find(kCommandWords, word == "udp" ? "udp-associate" : word);
  if (found == std::end(kCommandWords)) return NotAccepted(word, kCommandWords, kCommandsAccepted);
  into |= CommandBit(static_cast<Command>(found - kCommandWords));
  return std::nullopt;
}

Error TakeSource(std::string_view word, Source& into) {
  const auto address = IpAddress::Parse(word);
  if (!address || address->is_unspecified() || address->is_multicast() || address->is_broadcast()) {
    return NotAccepted(word, "an address of this host such as 192.0.2.1 or 2001:db8::1");
  }
  std::optional<IpAddress>& family = address->is_v4() ? into.v4 : into.v6;
  if (family) return NotAccepted(word, "one source address of each family at most");
  family = *address;
  return std::nullopt;
}

// The kernel's rule: dev_valid_name() in net/core/dev.c.
Error TakeInterface(std::string_view word, std::string& into) {
  const bool good = !word.empty() && word.size() < IFNAMSIZ && word != "." && word != ".." &&
                    word.find_first_of(std::string_view("/:\0", 3)) == std::string_view::npos;
  if (!good)
    return NotAccepted(word, "the name of a network interface, of at most " + std::to_string(IFNAMSIZ - 1) + " bytes");
  into = word;
  return std::nullopt;
}

}  // namespace

// Splits a text into words and commas.
struct RuleText::Reader {
  // The next word; empty at the end of the text or before a comma.
  std::string_view Word() { return TakeWord(rest, kBlanksAndComma); }
  bool Comma() {
    if (Done() || !rest.starts_with(',')) return false;
    rest.remove_prefix(1);
    return true;
  }
  bool Done() {
    rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
    return rest.empty();
  }

  // A list of words, separated by commas. `take(word)` returns an error or nothing.
  template <class Take>
  Error List(std::string_view example, Take take) {
    do {
      const std::string_view word = Word();
      if (word.empty() && rest.empty()) return "unexpected end; give " + std::string(example);
      if (word.empty()) return NotAccepted(",", std::string(example));
      if (auto error = take(word)) return error;
    } while (Comma());
    return std::nullopt;
  }

  std::string_view rest;
};

RuleText::RuleText() {
  const auto add = [this](const BlockGroup& group) {
    RuleItems& set = sets_.emplace_back();
    numbers_.emplace(group.name, predefined_++);
    for (const std::string_view block : group.blocks) {
      if (!block.empty()) set.blocks.push_back(*Prefix::Parse(block));
    }
  };
  std::ranges::for_each(kOpenGroups, add);
  std::ranges::for_each(kClosedGroups, add);
  for_clients_.resize(sets_.size());
}

// --- Rules ---------------------------------------------------------------------------------------------------------

Error RuleText::AddRule(bool allows, std::string_view text, std::string where) {
  if (rules_.size() == kRulesMax) return "there are more than " + std::to_string(kRulesMax) + " rules";
  ParsedRule rule;
  rule.allows = allows;
  rule.where = std::move(where);
  Reader reader{text};
  std::vector<std::string_view> seen;
  while (!reader.Done()) {
    const std::string_view keyword = reader.Word();
    if (std::ranges::find(kKeywords, keyword) == std::end(kKeywords)) {
      return NotAccepted(keyword.empty() ? reader.rest.substr(0, 1) : keyword, kKeywords,
                         "client, user, command, target, port, source or source-interface");
    }
    if (std::ranges::find(seen, keyword) != seen.end()) {
      return std::string(keyword) + " is given twice; give it once, with commas between its values";
    }
    seen.push_back(keyword);
    if (auto error = TakeCondition(keyword, reader, rule)) return std::string(keyword) + ": " + *error;
  }
  if (!allows && rule.source.named()) {
    return "a deny rule cannot have a source; give it in an allow rule";
  }
  if (rule.client) MarkForClients(*rule.client);
  rules_.push_back(std::move(rule));
  return std::nullopt;
}

Error RuleText::TakeCondition(std::string_view keyword, Reader& reader, ParsedRule& rule) const {
  if (keyword == "client") return TakeItems(reader, true, rule.client);
  if (keyword == "target") return TakeItems(reader, false, rule.target);
  if (keyword == "port") {
    return reader.List("a port such as 443", [&](std::string_view word) { return TakePorts(word, rule.ports); });
  }
  if (keyword == "command") {
    rule.commands = 0;
    return reader.List(kCommandsAccepted, [&](std::string_view word) { return TakeCommand(word, rule.commands); });
  }
  if (keyword == "user") {
    return reader.List("the name of a user", [&](std::string_view word) {
      rule.users.emplace_back(word);
      return Error();
    });
  }
  if (keyword == "source") {
    return reader.List("an address of this host", [&](std::string_view word) { return TakeSource(word, rule.source); });
  }
  return TakeInterface(reader.Word(), rule.source.interface);
}

Error RuleText::TakeItems(Reader& reader, bool client, std::optional<RuleItems>& into) const {
  into.emplace();
  return reader.List(client ? "an address, a block such as 10.0.0.0/8, or a set"
                            : "an address, a block such as 10.0.0.0/8, a name, or a set",
                     [&](std::string_view word) { return TakeItem(word, client, *into); });
}

Error RuleText::TakeItem(std::string_view word, bool client, RuleItems& into) const {
  std::string accepted;
  if (word.find_first_of("/:") != std::string_view::npos || IpAddress::Parse(word)) {
    const auto block = Prefix::Parse(word, &accepted);
    if (!block) return NotAccepted(word, accepted);
    into.blocks.push_back(*block);
    return std::nullopt;
  }
  if (word.find('.') == std::string_view::npos) {
    const auto found = numbers_.find(word);
    if (found == numbers_.end()) return UnknownSet(word, client);
    if (client && HoldsDomains({{}, {}, {found->second}})) {
      return NotAccepted(word, "a set without names: a client is matched by its address");
    }
    into.sets.push_back(found->second);
    return std::nullopt;
  }
  auto domain = Domain::Parse(word, &accepted);
  if (domain && client)
    accepted = "an address, a block such as 10.0.0.0/8, or a set: a client is matched by its address";
  if (!domain || client) return NotAccepted(word, accepted);
  into.domains.push_back(std::move(*domain));
  return std::nullopt;
}

std::string RuleText::UnknownSet(std::string_view word, bool client) const {
  std::vector<std::string_view> names;
  for (const auto& [name, number] : numbers_) names.emplace_back(name);
  const std::string name(word);
  const bool is_name = !client && Domain::Parse(word);
  const std::string error = "unknown set '" + name + "'; ";
  if (const auto nearest = Nearest(word, names)) {
    return error + "did you mean " + std::string(*nearest) +
           (is_name ? ", or the host name '" + name + ".', which needs its final dot?" : "?");
  }
  return error + "define a set before it is used" +
         (is_name ? ", or write a host name without dots with a final one: '" + name + ".'" : "");
}

// --- Sets ----------------------------------------------------------------------------------------------------------

Error RuleText::AddSet(std::string_view text) {
  Reader reader{text};
  const std::string_view name = reader.Word();
  if (auto error = CheckSetName(name)) return error;
  RuleItems items;
  if (reader.Done()) return "set " + std::string(name) + " is empty; give an address, a block, a name or a set";
  while (!reader.Done()) {
    auto error = reader.List("an address, a block, a name or a set",
                             [&](std::string_view word) { return TakeItem(word, false, items); });
    if (error) return "set " + std::string(name) + ": " + *error;
  }
  return AddToSet(name, std::move(items));
}

Error RuleText::AddSetFile(std::string_view name, const std::string& path) {
  if (auto error = CheckSetName(name)) return error;
  if (path.empty()) return "set-file " + std::string(name) + " has no file; give its path";
  std::string read_error;
  const auto content = ReadFile(path, kSetFileBytesMax, &read_error);
  if (!content) return read_error;

  RuleItems items;
  std::string_view rest = *content;
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::string_view written = TakeLine(rest);
    const std::string_view word = Trimmed(written.substr(0, written.find('#')));
    if (word.empty()) continue;
    if (auto error = TakeItem(word, false, items)) return path + ':' + std::to_string(line) + ": " + *error;
  }
  return AddToSet(name, std::move(items));
}

Error RuleText::CheckSetName(std::string_view name) const {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  const bool all_digits = name.find_first_not_of("0123456789") == std::string_view::npos;  // also if empty
  if (all_digits || !std::ranges::all_of(name, good)) {
    return "set: " + NotAccepted(name, "a name of letters, digits, '-' and '_'");
  }
  const auto found = numbers_.find(name);
  if (found != numbers_.end() && found->second < predefined_) {
    return "set: '" + std::string(name) + "' is predefined and cannot be changed; give another name";
  }
  return std::nullopt;
}

Error RuleText::AddToSet(std::string_view name, RuleItems more) {
  const auto found = numbers_.find(name);
  const auto number = found != numbers_.end() ? found->second : static_cast<std::uint32_t>(sets_.size());
  if (number == sets_.size()) {
    numbers_.emplace(name, number);
    sets_.emplace_back();
    for_clients_.push_back(false);
  }
  if (for_clients_[number]) {
    if (HoldsDomains(more)) {
      return "set " + std::string(name) +
             " is used for clients and cannot contain names: a client is matched by its address";
    }
    MarkForClients(more);
  }
  RuleItems& set = sets_[number];
  const auto append = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  append(more.blocks, set.blocks);
  append(more.domains, set.domains);
  append(more.sets, set.sets);
  return std::nullopt;
}

std::vector<std::uint32_t> RuleText::SetsWithin(const RuleItems& items) const {
  std::vector<std::uint32_t> found;
  std::vector<std::uint32_t> pending = items.sets;
  while (!pending.empty()) {
    const std::uint32_t set = pending.back();
    pending.pop_back();
    const auto place = std::ranges::lower_bound(found, set);
    if (place != found.end() && *place == set) continue;
    found.insert(place, set);
    pending.insert(pending.end(), sets_[set].sets.begin(), sets_[set].sets.end());
  }
  return found;
}

bool RuleText::HoldsDomains(const RuleItems& items) const {
  return !items.domains.empty() ||
         std::ranges::any_of(SetsWithin(items), [&](std::uint32_t set) { return !sets_[set].domains.empty(); });
}

void RuleText::MarkForClients(const RuleItems& items) {
  for (const std::uint32_t set : SetsWithin(items)) for_clients_[set] = true;
}

}  // namespace penstock
