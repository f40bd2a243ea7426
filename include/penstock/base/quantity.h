// Numbers, durations and rates as an operator writes them, and back to text.
// Stateless; any thread.
// Invariant: what is written by Format is read back by Parse as the same value.
// Deliberately not here: which options take them, and what a mistake is told (config.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

// Digits and nothing else, from `low` to `high`.
std::optional<std::uint64_t> ParseNumber(std::string_view text, std::uint64_t low, std::uint64_t high);

// "250ms", "10s", "10" (seconds), "5m", "2h"; 1 ms to 365 days. Nothing for any other text.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "250ms", "10s", "5m", "2h": the largest unit that divides it.
std::string FormatDuration(std::chrono::milliseconds duration);

// Bytes per second: "64k", "10M", "1G" (powers of 1000), "64Ki", "10Mi", "1Gi" (of 1024), "100000"; kRateMin to
// kRateMax. Nothing for any other text. Case counts: to some, "K" is 1000, and to others 1024.
inline constexpr std::uint64_t kRateMin = 1'000;
inline constexpr std::uint64_t kRateMax = 100'000'000'000;
std::optional<std::uint64_t> ParseRate(std::string_view text);

// "64k", "10Mi": the largest unit that divides it.
std::string FormatRate(std::uint64_t bytes_per_second);

}  // namespace penstock
