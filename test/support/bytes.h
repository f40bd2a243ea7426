// Bytes as tests write and compare them: hexadecimal text for messages, and pseudo-random streams for bulk.
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "penstock/base/endpoint.h"

namespace penstock::test {

inline constexpr std::size_t kMiB = 1024 * 1024;

// Returns the bytes as text such as "05 01 00".
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

// ATYP, DST.ADDR and DST.PORT.
std::string AddressAndPort(const Endpoint& target);
std::string AddressAndPort(std::string_view name, std::uint16_t port);

// The greeting of a client that offers only a login, with its credentials (RFC 1929), and the answer if they are right.
std::string LoginOf(std::string_view user, std::string_view password);
inline const std::string kLoginAccepted = "05 02 01 00"_hex;

// A refusal with this REP; BND is 0.0.0.0:0, as in every refusal.
std::string Refusal(std::uint8_t rep);

// A success reply with this BND.
std::string Success(const Endpoint& bound);

// A stream of bytes that depends only on its seed: the receiver can check it without a copy of what was sent.
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

// The next number of a pseudo-random sequence (splitmix64); advances `state`.
std::uint64_t NextRandom(std::uint64_t& state);

// The seed of this run: PENSTOCK_TEST_SEED, or a random number.
std::uint64_t RunSeed();

}  // namespace penstock::test
