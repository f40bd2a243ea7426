// What an operator writes about who may reach what: rules and sets, taken word by word.
// Filled before anything runs, or before a reload, by one thread; rules.h makes what judges of it.
// Invariant: what has been taken is valid. An error changes nothing, and is one sentence that names the word and tells
// what would be right.
// Deliberately not here: lines, comments and flags (config.h), and judging (rules.h).
//
// A rule is what stands behind the word allow or deny: any of these, each once at most, in any order; all must hold.
//
//     client ITEM[,ITEM...]       an address, a block (10.0.0.0/8), or a set
//     user NAME[,NAME...]         who has logged in
//     command WORD[,WORD...]      connect, bind, udp-associate (or udp for short)
//     target ITEM[,ITEM...]       an address, a block, a set, a name (example.com), or a name and all below it
//                                 (.example.com); a name without a dot has a final one (printer.)
//     port N or LO-HI[,...]       of the target
//     source ADDR[,ADDR]          where to connect from, one address of a family (allow only)
//     source-interface DEV        the same as an interface (allow only)
//
// Sets that are there already: any; loopback, link-local, multicast, broadcast; unspecified (all of 0.0.0.0/8, which
// reaches this host as 0.0.0.0 does, and ::); private (RFC 1918, RFC 4193); shared (100.64.0.0/10, RFC 6598, which is a
// provider's: neighbours one does not know are in it, so it is no part of private); metadata (where the machines of a
// cloud find their metadata and credentials, beside link-local: Azure, Alibaba, Amazon, Google, Oracle).
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

// What a list holds. Sets are numbers: places in RuleText::sets().
struct RuleItems {
  std::vector<Prefix> blocks;
  std::vector<Domain> domains;
  std::vector<std::uint32_t> sets;
};

// Bits of WrittenRule::commands.
inline constexpr std::uint8_t kAllCommands = 0b111;
constexpr std::uint8_t CommandBit(Command command) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(command));
}

// A condition that was not written always holds.
struct WrittenRule {
  bool allows = false;
  std::string where;  // it was written: "penstock.conf:12", "--allow"
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

  // Each returns an error, or nothing. `where` is for the log.
  std::optional<std::string> AddRule(bool allows, std::string_view text, std::string where);
  std::optional<std::string> AddSet(std::string_view text);  // NAME ITEM...; a set that is there already grows
  std::optional<std::string> AddSetFile(std::string_view name, const std::string& path);  // an item a line, # comments

  const std::vector<WrittenRule>& rules() const { return rules_; }
  const std::vector<RuleItems>& sets() const { return sets_; }

  // The blocks of the set `private`.
  const std::vector<Prefix>& private_blocks() const { return sets_[numbers_.find("private")->second].blocks; }

  // The sets that a list is made of, those inside its sets included; sorted, each once.
  std::vector<std::uint32_t> SetsWithin(const RuleItems& items) const;

 private:
  std::optional<std::string> Grow(std::string_view name, RuleItems more);
  std::optional<std::string> CheckSetName(std::string_view name) const;
  bool HoldsDomains(const RuleItems& items) const;
  void MarkForClients(const RuleItems& items);
  std::optional<std::string> TakeItem(std::string_view word, bool client, RuleItems& into) const;
  std::string UnknownSet(std::string_view word, bool client) const;

  // A part of a rule, behind its keyword.
  struct Reader;
  std::optional<std::string> TakePart(std::string_view keyword, Reader& reader, WrittenRule& rule) const;
  std::optional<std::string> TakeItems(Reader& reader, bool client, std::optional<RuleItems>& into) const;

  std::vector<WrittenRule> rules_;
  std::vector<RuleItems> sets_;
  std::vector<bool> for_clients_;  // sets that some rule's client condition is made of: they may not hold names
  std::map<std::string, std::uint32_t, std::less<>> numbers_;  // of sets
  std::uint32_t built_in_ = 0;                                 // sets: the first ones
};

}  // namespace penstock
