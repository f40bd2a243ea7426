// How foreign bytes are written inside a JSON string (RFC 8259 section 7).
// Stateless; any thread.
// Invariant: the pieces of any bytes, one after the other, are valid UTF-8, are valid between two quotes, and hold no
// control character.
// Does not: allocate memory, write whole values (admin/json.h), read JSON.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace penstock {

inline constexpr std::size_t kJsonPieceBytesMax = 6;  // "\u001b"

class JsonPiece {
 public:
  // `text` has at most kJsonPieceBytesMax bytes.
  explicit JsonPiece(std::string_view text) : size_(text.copy(bytes_.data(), bytes_.size())) {}

  std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, kJsonPieceBytesMax> bytes_;
  std::size_t size_;
};

// Removes the first character of `foreign`, which is not empty, and returns how a JSON string has it. Control
// characters are escaped, those of U+0080 to U+009F too. Each maximal part that is not UTF-8 becomes U+FFFD (The
// Unicode Standard, section 3.9).
JsonPiece TakeJsonPiece(std::string_view& foreign);

}  // namespace penstock
