// Numbers, durations and rates of the configuration, from and to text.
// Stateless; any thread.
// Invariant: Parse returns the value that Format was given.
// Deliberately not here: the options that take them, and the messages about errors (config/options.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

// A decimal number from `low` to `high`; nothing for any other text, signs and blanks included.
std::optional<std::uint64_t> ParseNumber(std::string_view text, std::uint64_t low, std::uint64_t high);

// Numbers and ranges from 0 to `max` in ascending order, such as "0-3,8"; nothing for any other text.
std::optional<std::vector<unsigned>> ParseNumberList(std::string_view text, unsigned max);

// "250ms", "10s", "10" (seconds), "5m", "2h"; 1 ms to 365 days. Nothing for any other text.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "250ms", "10s", "5m", "2h": in the largest unit that divides the duration.
std::string FormatDuration(std::chrono::milliseconds duration);

// Bytes per second, from kRateMin to kRateMax: "64k", "10M", "1G" (powers of 1000), "64Ki", "10Mi", "1Gi" (of 1024),
// "100000". Nothing for any other text. "K" is an error, for some mean 1000 and others 1024 by it.
inline constexpr std::uint64_t kRateMin = 1'000;
inline constexpr std::uint64_t kRateMax = 100'000'000'000;
std::optional<std::uint64_t> ParseRate(std::string_view text);

// Bytes, from 1 to kSizeMax, as a rate is written, and with T and Ti too. Nothing for any other text.
inline constexpr std::uint64_t kSizeMax = 1'000'000'000'000'000;
std::optional<std::uint64_t> ParseSize(std::string_view text);

// "64k", "10Mi": in the largest unit that divides the rate.
std::string FormatRate(std::uint64_t bytes_per_second);

}  // namespace penstock
