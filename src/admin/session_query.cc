#include "penstock/admin/session_query.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string_view>
#include <tuple>

#include "penstock/base/command.h"
#include "penstock/base/quantity.h"

namespace penstock {
namespace {

using Error = std::optional<std::string>;

constexpr std::array<std::string_view, 3> kSorts{"age", "bytes", "rate"};

constexpr auto kStates = [] {
  std::array<SessionState, std::tuple_size_v<decltype(Gauges::sessions)>> states{};
  for (std::size_t i = 0; i < states.size(); ++i) states[i] = static_cast<SessionState>(i);
  return states;
}();

// "one of a, b, c" from words.
template <class Words>
std::string OneOf(const Words& words) {
  std::string text = "one of";
  for (const auto& word : words) text += (text.ends_with("of") ? " " : ", ") + std::string(word);
  return text;
}

Error NotAccepted(std::string_view name, const std::string& accepted) {
  return "the value of " + std::string(name) + " is not accepted; give " + accepted;
}

Error SetFilter(std::string_view name, std::string_view value, SessionFilter& filter) {
  std::string accepted;
  if (name == "user") {
    filter.user = value;
  } else if (name == "client") {
    filter.client = Prefix::Parse(value, &accepted);
    if (!filter.client) return NotAccepted(name, accepted);
  } else if (name == "target") {
    filter.target = Prefix::Parse(value);
    if (!filter.target) filter.target_name = Domain::Parse(value);
    if (!filter.target && !filter.target_name) {
      return NotAccepted(name, "a block or an address, or a name such as example.com or .example.com");
    }
  } else if (name == "state") {
    const auto* const state = std::ranges::find(kStates, value, [](SessionState s) { return Describe(s); });
    if (state == kStates.end()) {
      std::array<std::string_view, kStates.size()> words;
      std::ranges::transform(kStates, words.begin(), [](SessionState s) { return Describe(s); });
      return NotAccepted(name, OneOf(words));
    }
    filter.state = *state;
  } else {
    const auto* const word = std::ranges::find(kCommandWords, value);
    if (word == std::end(kCommandWords)) return NotAccepted(name, OneOf(kCommandWords));
    filter.command = static_cast<Command>(word - std::begin(kCommandWords));
  }
  return std::nullopt;
}

Error SetOfList(std::string_view name, std::string_view value, SessionQuery& query) {
  if (name == "limit") {
    const auto limit = ParseNumber(value, 1, kRowsMax);
    if (!limit) return NotAccepted(name, "a number from 1 to " + std::to_string(kRowsMax));
    query.limit = static_cast<std::size_t>(*limit);
  } else if (name == "after") {
    query.after = SessionId::Parse(value);
    if (!query.after) return NotAccepted(name, "the id of a session, such as 0-17-3");
  } else {
    const auto* const word = std::ranges::find(kSorts, value);
    if (word == kSorts.end()) return NotAccepted(name, OneOf(kSorts));
    query.sort = static_cast<SessionQuery::Sort>(word - kSorts.begin() + 1);
  }
  return std::nullopt;
}

bool IsIn(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::optional<std::string> ParseSessionQuery(const Request& request, bool for_list, SessionQuery* query) {
  constexpr std::array<std::string_view, 5> kFilters{"client", "user", "target", "state", "command"};
  constexpr std::array<std::string_view, 3> kOfList{"limit", "after", "sort"};
  for (const auto& parameter : request.query) {
    if (IsIn(kFilters, parameter.first) || (for_list && IsIn(kOfList, parameter.first))) continue;
    return "there is no parameter '" + parameter.first + "'; " + OneOf(kFilters) +
           (for_list ? ", limit, after, sort" : "") + " is accepted";
  }
  if (auto mistake = request.QueryMistake()) return mistake;
  for (const auto& [name, value] : request.query) {
    const bool filters = IsIn(kFilters, name);
    Error error = filters ? SetFilter(name, value, query->filter) : SetOfList(name, value, *query);
    if (error) return error;
    query->filters |= filters;
  }
  if (query->after && query->sort != SessionQuery::Sort::kNone) {
    return "a sorted list has no rest: give after or sort, not both";
  }
  return std::nullopt;
}

}  // namespace penstock
