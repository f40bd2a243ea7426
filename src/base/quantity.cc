#include "penstock/base/quantity.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kDurationMax = std::chrono::hours(24 * 365);

struct DurationUnit {
  std::string_view name;
  milliseconds length;
};
constexpr DurationUnit kDurationUnits[] = {{"h", std::chrono::hours(1)},
                                           {"m", std::chrono::minutes(1)},
                                           {"s", std::chrono::seconds(1)},
                                           {"ms", milliseconds(1)}};

struct SizeUnit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr SizeUnit kSizeUnits[] = {{"Ti", std::uint64_t{1024} * 1024 * 1024 * 1024},
                                   {"T", std::uint64_t{1000} * 1000 * 1000 * 1000},
                                   {"Gi", 1024 * 1024 * 1024},
                                   {"G", 1000 * 1000 * 1000},
                                   {"Mi", 1024 * 1024},
                                   {"M", 1000 * 1000},
                                   {"Ki", 1024},
                                   {"k", 1000},
                                   {"", 1}};

// The position after the digits, where the unit begins.
std::size_t DigitsOf(std::string_view text) { return std::min(text.find_first_not_of("0123456789"), text.size()); }

std::optional<std::uint64_t> ParseBytes(std::string_view text, std::uint64_t low, std::uint64_t high) {
  const std::size_t digits = DigitsOf(text);
  for (const SizeUnit& unit : kSizeUnits) {
    if (text.substr(digits) != unit.name) continue;
    const auto number = ParseNumber(text.substr(0, digits), 1, high / unit.bytes);
    if (!number || *number * unit.bytes < low) return std::nullopt;
    return *number * unit.bytes;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> ParseNumber(std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < low || number > high) return std::nullopt;
  return number;
}

std::optional<std::vector<unsigned>> ParseNumberList(std::string_view text, unsigned max) {
  std::vector<unsigned> numbers;
  for (std::uint64_t low = 0; !text.empty() || numbers.empty();) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view range = text.substr(0, comma);
    const std::size_t dash = range.find('-');
    const auto first = ParseNumber(range.substr(0, dash), low, max);
    const auto last =
        first && dash != std::string_view::npos ? ParseNumber(range.substr(dash + 1), *first, max) : first;
    if (!last || comma + 1 == text.size()) return std::nullopt;
    for (std::uint64_t number = *first; number <= *last; ++number) numbers.push_back(static_cast<unsigned>(number));
    low = *last + 1;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return numbers;
}

std::optional<milliseconds> ParseDuration(std::string_view text) {
  const std::size_t digits = DigitsOf(text);
  const std::string_view name = digits == text.size() ? "s" : text.substr(digits);
  for (const DurationUnit& unit : kDurationUnits) {
    if (name != unit.name) continue;
    const auto high = static_cast<std::uint64_t>(kDurationMax / unit.length);
    const auto number = ParseNumber(text.substr(0, digits), 1, high);
    if (!number) return std::nullopt;
    return unit.length * static_cast<milliseconds::rep>(*number);
  }
  return std::nullopt;
}

std::string FormatDuration(milliseconds duration) {
  for (const DurationUnit& unit : kDurationUnits) {
    if (duration % unit.length == milliseconds(0)) {
      return std::to_string(duration / unit.length) + std::string(unit.name);
    }
  }
  return {};
}

std::optional<std::uint64_t> ParseRate(std::string_view text) { return ParseBytes(text, kRateMin, kRateMax); }

std::optional<std::uint64_t> ParseSize(std::string_view text) { return ParseBytes(text, 1, kSizeMax); }

std::string FormatRate(std::uint64_t bytes_per_second) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes_per_second % unit.bytes == 0) {
      return std::to_string(bytes_per_second / unit.bytes) + std::string(unit.name);
    }
  }
  return {};
}

}  // namespace penstock
