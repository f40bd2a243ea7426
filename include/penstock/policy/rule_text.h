// Parses the text of rules and sets, which an operator writes.
// Owned by a PolicyDraft, at the start or for a reload; one thread. RuleSet compiles the result (rules.h).
// Invariant: rules() and sets() are valid. An error changes nothing; it is one sentence that names the word and what is
// accepted.
// Does not: read lines, comments and options (config/file.h), evaluate rules (rules.h).
//
// A rule is the text after the word allow or deny: conditions and sources, each at most once, in any order. It matches
// if all its conditions hold.
//
//     client ITEM[,ITEM...]       an address, a block (10.0.0.0/8), or a set
//     user NAME[,NAME...]         the user who has logged in
//     command WORD[,WORD...]      connect, bind, udp-associate (udp for short)
//     target ITEM[,ITEM...]       an address, a block, a set, a name (example.com), or a name and all names below it
//                                 (.example.com); a name without dots needs a final one (printer.)
//     port N or LO-HI[,...]       the target's port
//     source ADDR[,ADDR]          the source of the connection, at most one address of each family (allow only)
//     source-interface DEV        the interface of the connection (allow only)
//
// Predefined sets: any; loopback, link-local, multicast, broadcast; unspecified (:: and 0.0.0.0/8, all of which reaches
// this host); private (RFC 1918, RFC 4193); shared (100.64.0.0/10, RFC 6598; not part of private, because a provider's
// other customers are in it); metadata (the metadata services of clouds outside link-local: Azure, Alibaba, Amazon,
// Google, Oracle).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/command.h"
#include "penstock/base/domain.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/prefix.h"

namespace penstock {

// The items of a condition or a set. Sets are indices into RuleText::sets().
struct RuleItems {
  std::vector<Prefix> blocks;
  std::vector<Domain> domains;
  std::vector<std::uint32_t> sets;
};

// The bits of ParsedRule::commands.
inline constexpr std::uint8_t kAllCommands = 0b111;
constexpr std::uint8_t CommandBit(Command command) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(command));
}

// A condition that is empty always holds.
struct ParsedRule {
  bool allows = false;
  std::string where;  // its place, for the log: "penstock.conf:12", "--allow"
  std::optional<RuleItems> client;
  std::vector<std::string> users;
  std::uint8_t commands = kAllCommands;
  std::optional<RuleItems> target;
  std::vector<PortRange> ports;
  Source source;
};

class RuleText {
 public:
  RuleText();

  // Each returns an error, or nothing. `where` is the place of the rule, for the log.
  std::optional<std::string> AddRule(bool allows, std::string_view text, std::string where);
  std::optional<std::string> AddSet(std::string_view text);  // NAME ITEM...; adds to an existing set
  std::optional<std::string> AddSetFile(std::string_view name, const std::string& path);  // one item a line; # comments

  const std::vector<ParsedRule>& rules() const { return rules_; }
  const std::vector<RuleItems>& sets() const { return sets_; }

  // The blocks of the predefined set `private`.
  const std::vector<Prefix>& private_blocks() const { return sets_[numbers_.find("private")->second].blocks; }

  // The sets of `items` and all sets that they contain; sorted, each once.
  std::vector<std::uint32_t> SetsWithin(const RuleItems& items) const;

 private:
  std::optional<std::string> AddToSet(std::string_view name, RuleItems more);
  std::optional<std::string> CheckSetName(std::string_view name) const;
  bool HoldsDomains(const RuleItems& items) const;
  void MarkForClients(const RuleItems& items);
  std::optional<std::string> TakeItem(std::string_view word, bool client, RuleItems& into) const;
  std::string UnknownSet(std::string_view word, bool client) const;

  // Parses the list after a keyword.
  struct Reader;
  std::optional<std::string> TakeCondition(std::string_view keyword, Reader& reader, ParsedRule& rule) const;
  std::optional<std::string> TakeItems(Reader& reader, bool client, std::optional<RuleItems>& into) const;

  std::vector<ParsedRule> rules_;
  std::vector<RuleItems> sets_;
  std::vector<bool> for_clients_;  // by set: part of the client condition of a rule, so it cannot contain names
  std::map<std::string, std::uint32_t, std::less<>> numbers_;  // name -> set
  std::uint32_t predefined_ = 0;                               // the first sets
};

}  // namespace penstock
