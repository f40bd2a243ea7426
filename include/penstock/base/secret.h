// What nobody may read by accident: a password, or the hash of one.
// A Secret is a value that moves, with one owner at a time; a SecretView borrows. Any thread.
// Invariant: the bytes are overwritten before their memory is given back, and nothing prints, compares or copies them
// without the word Reveal() being there to see.
// Deliberately not here: digests and comparing (digest.h), locking memory against swapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace penstock {

// explicit_bzero(3): overwrites bytes that the compiler knows nobody reads again.
void Wipe(std::span<std::uint8_t> bytes);
void Wipe(std::span<char> text);

// Somebody else's bytes, such as a password within a buffer that is still to be wiped.
class SecretView {
 public:
  constexpr SecretView() = default;
  constexpr explicit SecretView(std::string_view text) : text_(text) {}

  constexpr std::string_view Reveal() const { return text_; }
  constexpr std::size_t size() const { return text_.size(); }
  constexpr bool empty() const { return text_.empty(); }

 private:
  std::string_view text_;
};

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text);
  explicit Secret(SecretView view) : Secret(view.Reveal()) {}

  // `size` zeros to be filled through room().
  static Secret WithRoom(std::size_t size);

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Clear(); }

  std::string_view Reveal() const { return {c_str(), size_}; }
  const char* c_str() const { return bytes_ ? bytes_.get() : ""; }  // with a NUL behind it, for crypt(3)
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  SecretView view() const { return SecretView(Reveal()); }

  std::span<char> room() { return {bytes_.get(), size_}; }
  void Shorten(std::size_t size);  // not above size(); what is cut off is overwritten
  void Clear();

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

// Chosen before any function that would find a way to print one.
template <class Stream>
Stream& operator<<(Stream& stream, const Secret& secret) = delete;
template <class Stream>
Stream& operator<<(Stream& stream, SecretView secret) = delete;

}  // namespace penstock
