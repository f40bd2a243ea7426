#include "penstock/base/suggest.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "penstock/base/text.h"

namespace penstock {
namespace {

constexpr std::size_t kWordMax = 40;  // longer than all known words

// The optimal string alignment distance (Damerau-Levenshtein, no letter edited twice). Each row of the table needs the
// two rows before it.
std::size_t Errors(std::string_view from, std::string_view to) {
  using Row = std::array<std::size_t, kWordMax + 1>;
  Row above_above{};
  Row above{};
  Row row{};
  for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    above_above = std::exchange(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const bool same = LowerCase(from[i - 1]) == LowerCase(to[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && LowerCase(from[i - 1]) == LowerCase(to[j - 2]) &&
          LowerCase(from[i - 2]) == LowerCase(to[j - 1])) {
        row[j] = std::min(row[j], above_above[j - 2] + 1);
      }
    }
  }
  return row[to.size()];
}

}  // namespace

std::optional<std::string_view> Nearest(std::string_view word, std::span<const std::string_view> known) {
  std::optional<std::string_view> nearest;
  std::size_t fewest = 0;
  if (word.size() > kWordMax) return nearest;
  for (const std::string_view candidate : known) {
    if (candidate.size() > kWordMax) continue;
    const std::size_t errors = Errors(word, candidate);
    if (errors > std::max(word.size(), candidate.size()) / 3) continue;
    if (!nearest || errors < fewest) {
      nearest = candidate;
      fewest = errors;
    }
  }
  return nearest;
}

}  // namespace penstock
