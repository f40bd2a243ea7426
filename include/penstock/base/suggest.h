// Suggests a known word for a misspelt one.
// Stateless; any thread.
// Invariant: a suggestion is one of the known words, with at most one error in three letters.
// Deliberately not here: the known words, and the message around the suggestion.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace penstock {

// The word of `known` with the fewest errors against `word`; of equals the first. An error is a letter that is missing,
// added, replaced, or swapped with the next one; case makes no difference. Nothing if each word has more than one error
// in three letters.
std::optional<std::string_view> Nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace penstock
