// Passwords and password hashes, as types that cannot be printed by mistake.
// A Secret is a move-only value; a SecretView borrows. Any thread.
// Invariant: a Secret overwrites its bytes before it frees them. Code that prints, compares or copies a secret must
// call Reveal().
// Deliberately not here: digests and comparison (digest.h), and locking memory against swapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace penstock {

// Overwrites bytes with zeros, also where the compiler sees that they are not read again (explicit_bzero(3)).
void Wipe(std::span<std::uint8_t> bytes);
void Wipe(std::span<char> text);

// A secret in memory of another owner, such as a password in the buffer of a handshake.
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

  // A secret of `size` zeros, to be filled through room().
  static Secret WithRoom(std::size_t size);

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Clear(); }

  std::string_view Reveal() const { return {c_str(), size_}; }
  const char* c_str() const { return bytes_ ? bytes_.get() : ""; }  // NUL-terminated, for crypt(3)
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  SecretView view() const { return SecretView(Reveal()); }

  std::span<char> room() { return {bytes_.get(), size_}; }
  void Shorten(std::size_t size);  // to at most size(); overwrites the rest
  void Clear();                    // overwrites and frees the bytes

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

// Printing a secret does not compile.
template <class Stream>
Stream& operator<<(Stream& stream, const Secret& secret) = delete;
template <class Stream>
Stream& operator<<(Stream& stream, SecretView secret) = delete;

}  // namespace penstock
