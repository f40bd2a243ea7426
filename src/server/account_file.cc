#include "penstock/server/account_file.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>

#include "penstock/base/digest.h"
#include "penstock/base/quantity.h"
#include "penstock/base/text.h"
#include "penstock/login/users.h"

namespace penstock {
namespace {

constexpr std::string_view kHead = "penstock-accounts 1";
constexpr std::string_view kAccount = "account";
constexpr std::string_view kSum = "sum ";

std::string SumLine(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string line(kSum);
  for (const std::uint8_t byte : SipHash({}, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()})) {
    (line += kHex[byte >> 4]) += kHex[byte & 15];
  }
  return line + '\n';
}

// Takes numbers off the front of a line.
template <std::size_t kCount>
bool TakeNumbers(std::string_view& line, std::array<std::uint64_t, kCount>& numbers) {
  for (std::uint64_t& number : numbers) {
    const auto parsed = ParseNumber(TakeWord(line), 0, std::numeric_limits<std::uint64_t>::max());
    if (!parsed) return false;
    number = *parsed;
  }
  return true;
}

std::optional<AccountRecord> ParseLine(std::string_view line) {
  std::array<std::uint64_t, 10> numbers{};
  if (TakeWord(line) != kAccount || !TakeNumbers(line, numbers)) return std::nullopt;
  const auto [up, down, datagrams_up, datagrams_down, sessions, failed_logins, first_seen, last_seen, quota_used,
              quota_ends] = numbers;
  const std::string_view user = Trimmed(line);
  if (!IsUserName(user)) return std::nullopt;
  using Time = std::chrono::milliseconds;
  return AccountRecord{.user = std::string(user),
                       .usage = {.bytes = {up, down}, .datagrams = {datagrams_up, datagrams_down}},
                       .sessions = sessions,
                       .failed_logins = failed_logins,
                       .first_seen = Time(static_cast<Time::rep>(first_seen)),
                       .last_seen = Time(static_cast<Time::rep>(last_seen)),
                       .quota_used = quota_used,
                       .quota_ends = std::chrono::seconds(static_cast<std::chrono::seconds::rep>(quota_ends))};
}

}  // namespace

std::string AccountFileText(std::span<const UserRow> accounts) {
  std::string text(kHead);
  text += '\n';
  for (const UserRow& row : accounts) {
    const AccountRecord& kept = row.kept;
    text += kAccount;
    for (const std::uint64_t number :
         {kept.usage.bytes.up, kept.usage.bytes.down, kept.usage.datagrams.up, kept.usage.datagrams.down, kept.sessions,
          kept.failed_logins, static_cast<std::uint64_t>(kept.first_seen.count()),
          static_cast<std::uint64_t>(kept.last_seen.count()), kept.quota_used,
          static_cast<std::uint64_t>(kept.quota_ends.count())}) {
      (text += ' ') += std::to_string(number);
    }
    ((text += ' ') += kept.user) += '\n';
  }
  text += SumLine(text);
  return text;
}

std::optional<std::vector<AccountRecord>> ParseAccountFile(std::string_view text) {
  const std::size_t sum = text.rfind(kSum);
  if (sum == std::string_view::npos || text.substr(sum) != SumLine(text.substr(0, sum))) return std::nullopt;
  std::string_view left = text.substr(0, sum);
  if (left.empty() || TakeLine(left) != kHead) return std::nullopt;
  std::vector<AccountRecord> accounts;
  while (!left.empty()) {
    auto account = ParseLine(TakeLine(left));
    if (!account) return std::nullopt;
    accounts.push_back(std::move(*account));
  }
  return accounts;
}

}  // namespace penstock
