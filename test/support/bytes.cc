#include "test/support/bytes.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>

namespace penstock::test {
namespace {

std::string Port(std::uint16_t port) { return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}; }

}  // namespace

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!text.empty()) text += ' ';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string FromHex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    const std::string pair(text.substr(i, 2));
    char* end = nullptr;
    bytes += static_cast<char>(std::strtoul(pair.c_str(), &end, 16));
    if (pair.size() != 2 || *end != '\0') throw std::invalid_argument("no hexadecimal byte: '" + pair + "'");
    i += 2;
  }
  return bytes;
}

std::string AddressAndPort(const Endpoint& target) {
  const auto bytes = target.ip.bytes();
  return std::string(1, target.ip.is_v4() ? '\1' : '\4') + std::string(bytes.begin(), bytes.end()) + Port(target.port);
}

std::string AddressAndPort(std::string_view name, std::uint16_t port) {
  return "03"_hex + static_cast<char>(name.size()) + std::string(name) + Port(port);
}

std::string ConnectRequest(const Endpoint& target) { return "05 01 00"_hex + AddressAndPort(target); }

std::string ConnectRequest(std::string_view name, std::uint16_t port) {
  return "05 01 00"_hex + AddressAndPort(name, port);
}

std::string BindRequest(const Endpoint& peer) { return "05 02 00"_hex + AddressAndPort(peer); }

std::string BindRequest(std::string_view name, std::uint16_t port) {
  return "05 02 00"_hex + AddressAndPort(name, port);
}

std::string LoginOf(std::string_view user, std::string_view password) {
  return "05 01 02 01"_hex + static_cast<char>(user.size()) + std::string(user) + static_cast<char>(password.size()) +
         std::string(password);
}

std::string Refusal(std::uint8_t rep) { return "05"_hex + static_cast<char>(rep) + "00 01 00 00 00 00 00 00"_hex; }

std::string Success(const Endpoint& bound) { return "05 00 00"_hex + AddressAndPort(bound); }

// Splitmix64.
std::uint64_t NextRandom(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void Pattern::Fill(std::span<char> room) {
  while (!room.empty()) {
    if (left_ == 0) {
      word_ = NextRandom(state_);
      left_ = sizeof word_;
    }
    const std::size_t count = std::min<std::size_t>(left_, room.size());
    std::memcpy(room.data(), reinterpret_cast<const char*>(&word_) + (sizeof word_ - left_), count);
    left_ -= static_cast<unsigned>(count);
    room = room.subspan(count);
  }
}

std::string Pattern::Next(std::size_t count) {
  std::string bytes(count, '\0');
  Fill(bytes);
  return bytes;
}

std::uint64_t RunSeed() {
  static const std::uint64_t seed = [] {
    const char* const given = std::getenv("PENSTOCK_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
  }();
  return seed;
}

}  // namespace penstock::test
