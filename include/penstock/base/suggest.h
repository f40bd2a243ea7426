// Which of the known words somebody meant who wrote an unknown one.
// Pure functions; any thread.
// Invariant: a suggestion is one of the words that were given, and near enough to be more than a guess.
// Deliberately not here: which words are known, and the sentence around the suggestion.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace penstock {

// The word of `known` with the fewest typing errors between it and `word` (a letter left out, added, exchanged for
// another or for its neighbour; capitals do not count); the first of equals. Nothing when each has more than one error
// in three letters.
std::optional<std::string_view> Nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace penstock
