// A rule or a set a line, as in a configuration file: accepted rules can be evaluated, and the three verdicts about a
// name agree with each other.

#include "penstock/policy/rules.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Ask(const penstock::RuleSet& rules, std::string_view name, std::string_view user) {
  using Answer = penstock::RuleVerdict::Answer;
  using penstock::Command;
  for (const std::string_view client : {"192.0.2.1", "::1"}) {
    const penstock::IpAddress from = *penstock::IpAddress::Parse(client);
    const Answer before = rules.Evaluate({from, user, Command::kConnect, name, nullptr, 80}).answer;
    for (const std::string_view target : {"10.0.0.1", "127.0.0.1", "2001:db8::1", "64:ff9b::a00:1"}) {
      const penstock::IpAddress to = *penstock::IpAddress::Parse(target);
      const penstock::RuleVerdict after = rules.Evaluate({from, user, Command::kConnect, name, &to, 80});
      Require(after.answer != Answer::kNeedsAddress);
      Require(before == Answer::kNeedsAddress || before == after.answer);
      Require(!after.overrides_guard || (after.answer == Answer::kAllow && after.rule != nullptr));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  penstock::RuleText written;
  std::string_view line;
  while (!text.empty()) {
    line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    const auto had = written.rules().size();
    const std::string_view word = line.substr(0, line.find(' '));
    const std::string_view rest = line.substr(word.size());
    const auto error = word == "set" ? written.AddSet(rest) : written.AddRule(word == "allow", rest, "fuzz");
    Require(!error || (!error->empty() && written.rules().size() == had));
  }
  const penstock::RuleSet rules(written);
  Require(rules.empty() == written.rules().empty());
  for (const std::string_view name : {"www.example.com", "example.com.", ""}) Ask(rules, name, "alice");
  Ask(rules, line, line);  // a client's bytes
  return 0;
}
