// What rules cost: 10,000 blocks and 10,000 names with all below them, as two sets and as a rule each (deny and allow
// in turns), beside no rules at all.
//
// usage: rules       prints one line for each of the three:
//   KIND load_ms=X ns=Y cold_ns=Z
//
// A connection to a name is two questions: before the look-up and after it. Half of the connections are to something
// that is listed. `ns` is the mean over many in a row, `cold_ns` the median with the core's own caches emptied before
// each, as system calls and other sessions do in part.

#include "penstock/policy/rules.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using penstock::IpAddress;
using penstock::RuleQuery;
using penstock::RuleSet;
using penstock::RuleText;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kItems = 10'000;
constexpr std::size_t kConnections = 4'096;
constexpr std::size_t kColdConnections = 400;

std::mt19937 random_numbers(1);

std::uint32_t Random(std::uint32_t below) { return static_cast<std::uint32_t>(random_numbers() % below); }

std::string RandomAddress(bool v4) {
  char text[64];
  if (v4) {
    std::snprintf(text, sizeof text, "%u.%u.%u.%u", 1 + Random(223), Random(256), Random(256), Random(256));
  } else {
    std::snprintf(text, sizeof text, "2001:%x:%x:%x::%x", Random(65'536), Random(65'536), Random(65'536),
                  1 + Random(65'535));
  }
  return text;
}

// Blocks of all the lengths that lists of them have.
std::string RandomBlock() {
  const bool v4 = Random(4) != 0;
  const std::string text = RandomAddress(v4) + '/' + std::to_string(v4 ? 12 + Random(21) : 24 + Random(41));
  std::string accepted;
  if (const auto block = penstock::Prefix::Parse(text, &accepted)) return block->ToString();
  return accepted.substr(0, accepted.find(','));
}

std::string RandomName() {
  std::string name;
  for (std::uint32_t letters = 4 + Random(12); letters > 0; --letters) name += static_cast<char>('a' + Random(26));
  return name + (Random(2) == 0 ? ".com" : ".co.example");
}

void Must(const std::optional<std::string>& error) {
  if (!error) return;
  std::fprintf(stderr, "rules: %s\n", error->c_str());
  std::exit(1);
}

struct Connection {
  std::string name;
  IpAddress target;
};

std::uint64_t answers = 0;  // so that nothing is left out as having no use

void Evaluate(const RuleSet& rules, const IpAddress& client, const Connection& connection) {
  RuleQuery query{client, {}, penstock::Command::kConnect, connection.name, nullptr, 443};
  answers += static_cast<std::uint64_t>(rules.Evaluate(query).answer);
  query.target = &connection.target;
  answers += static_cast<std::uint64_t>(rules.Evaluate(query).answer);
}

double Nanoseconds(Clock::duration duration) { return std::chrono::duration<double, std::nano>(duration).count(); }

void Measure(const char* kind, const std::vector<std::pair<bool, std::string>>& texts,
             const std::vector<std::string>& sets, const std::vector<Connection>& connections) {
  const auto begin = Clock::now();
  RuleText text;
  for (const std::string& set : sets) Must(text.AddSet(set));
  for (const auto& [allows, rule] : texts) Must(text.AddRule(allows, rule, "bench"));
  const RuleSet rules(text);
  const double load_ms = Nanoseconds(Clock::now() - begin) / 1e6;

  const IpAddress client = *IpAddress::Parse("192.0.2.1");
  constexpr int kRounds = 50;
  const auto start = Clock::now();
  for (int round = 0; round < kRounds; ++round) {
    for (const Connection& connection : connections) Evaluate(rules, client, connection);
  }
  const double ns = Nanoseconds(Clock::now() - start) / (kRounds * static_cast<double>(connections.size()));

  std::vector<char> others(4 * 1024 * 1024);  // more than a core's own cache
  std::vector<double> cold;
  for (std::size_t i = 0; i < kColdConnections; ++i) {
    for (std::size_t at = 0; at < others.size(); at += 64) ++others[at];
    const auto before = Clock::now();
    Evaluate(rules, client, connections[i]);
    cold.push_back(Nanoseconds(Clock::now() - before));
  }
  const auto median = cold.begin() + static_cast<std::ptrdiff_t>(cold.size() / 2);
  std::ranges::nth_element(cold, median);
  std::printf("%s load_ms=%.3f ns=%.1f cold_ns=%.1f\n", kind, load_ms, ns, *median);
}

}  // namespace

int main() {
  std::vector<std::string> blocks;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kItems; ++i) {
    blocks.push_back(RandomBlock());
    names.push_back('.' + RandomName());
  }
  std::vector<Connection> connections;
  for (std::size_t i = 0; i < kConnections; ++i) {
    const bool listed = i % 2 == 0;
    const std::string block = blocks[Random(kItems)];
    const std::string name = "www" + (listed && i % 4 == 0 ? names[Random(kItems)] : '.' + RandomName());
    const std::string address = listed ? block.substr(0, block.find('/')) : RandomAddress(Random(4) != 0);
    connections.push_back({name, *IpAddress::Parse(address)});
  }

  std::vector<std::pair<bool, std::string>> each;
  std::string set_of_blocks = "blocks";
  std::string set_of_names = "names";
  for (std::size_t i = 0; i < kItems; ++i) {
    each.emplace_back(i % 2 == 0, "target " + blocks[i]);
    each.emplace_back(i % 2 != 0, "target " + names[i]);
    set_of_blocks += ' ' + blocks[i];
    set_of_names += ' ' + names[i];
  }
  each.emplace_back(true, "");
  Measure("none", {}, {}, connections);
  Measure("sets", {{false, "target names"}, {false, "target blocks"}, {true, ""}}, {set_of_blocks, set_of_names},
          connections);
  Measure("each", each, {}, connections);
  return answers == 0 ? 1 : 0;
}
