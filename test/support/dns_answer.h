// Answers to queries of names as text, for comparisons.
// Plain values; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "penstock/dns/lookups.h"
#include "penstock/dns/message.h"

namespace penstock::test {

using Strings = std::vector<std::string>;

inline constexpr auto kA = DnsType::kA;
inline constexpr auto kAaaa = DnsType::kAaaa;

// The addresses of an answer.
template <class Answer>
Strings Addresses(const Answer& answer) {
  Strings texts;
  for (const IpAddress& address : answer.list()) texts.push_back(address.ToString());
  return texts;
}

inline Strings Texts(const DnsAnswer& answer) { return Addresses(answer); }

// "no name", "no answer", "denied" with the name, or the addresses; "nothing" if there is no answer yet.
inline Strings Texts(const std::optional<NameAnswer>& answer) {
  if (!answer) return {"nothing"};
  if (answer->status == NameStatus::kNoName) return {"no name"};
  if (answer->status == NameStatus::kNoAnswer) return {"no answer"};
  if (answer->status == NameStatus::kDenied) return {"denied", std::string(answer->name)};
  return Addresses(*answer);
}

}  // namespace penstock::test
