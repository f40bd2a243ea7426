// Bytes as tests write and compare them: hexadecimal text for messages, and streams that need no memory.
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "penstock/base/endpoint.h"

namespace penstock::test {

// "05 01 00"
std::string Hex(std::string_view bytes);

// The bytes of "05 01 00"; blanks are skipped. Throws std::invalid_argument for anything else.
std::string FromHex(std::string_view text);

inline namespace literals {
inline std::string operator""_hex(const char* text, std::size_t size) { return FromHex({text, size}); }
}  // namespace literals

// SOCKS5 messages as clients write them (RFC 1928 sections 3 and 4).
inline const std::string kGreeting = "05 01 00"_hex;
inline const std::string kChosenNone = "05 00"_hex;

std::string ConnectRequest(const Endpoint& target);
std::string ConnectRequest(std::string_view name, std::uint16_t port);

std::string BindRequest(const Endpoint& peer);
std::string BindRequest(std::string_view name, std::uint16_t port);

// A reply with BND 0.0.0.0:0, as every refusal has.
std::string Refusal(std::uint8_t rep);

// A reply of success with this BND.
std::string Success(const Endpoint& bound);

// A stream of bytes that depends on its seed only: what one side sends, the other can compare without keeping it.
class Pattern {
 public:
  explicit Pattern(std::uint64_t seed) : state_(seed) {}

  void Fill(std::span<char> room);
  std::string Next(std::size_t count);

 private:
  std::uint64_t state_;
  std::uint64_t word_ = 0;
  unsigned left_ = 0;  // bytes of word_
};

// A well-mixed number; changes `state`.
std::uint64_t NextRandom(std::uint64_t& state);

// The seed of this run: PENSTOCK_TEST_SEED, or a fresh one.
std::uint64_t RunSeed();

}  // namespace penstock::test
