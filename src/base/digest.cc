#include "penstock/base/digest.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "penstock/base/secret.h"

namespace penstock {
namespace {

std::uint64_t LittleEndian(std::span<const std::uint8_t, 8> bytes) {
  std::uint64_t word = 0;
  for (std::size_t i = 8; i > 0; --i) word = word << 8 | bytes[i - 1];
  return word;
}

std::span<const std::uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

bool SameInConstantTime(std::span<const std::uint8_t> one, std::span<const std::uint8_t> other) {
  if (one.size() != other.size()) return false;
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    difference = static_cast<std::uint8_t>(difference | (one[i] ^ other[i]));
    // Hides the value of `difference` from the compiler, which could else end the loop as soon as it is not 0.
    asm volatile("" : "+r"(difference));
  }
  return difference == 0;
}

bool SameInConstantTime(std::string_view one, std::string_view other) {
  return SameInConstantTime(AsBytes(one), AsBytes(other));
}

std::size_t DigestHash::operator()(const Digest& digest) const {
  return static_cast<std::size_t>(LittleEndian(std::span(digest).first<8>()));
}

Digest SipHash(const DigestKey& key, std::span<const std::uint8_t> bytes) {
  KeyedDigest digest(key);
  digest.AddBytes(bytes);
  return digest.Finish();
}

KeyedDigest::KeyedDigest(const DigestKey& key) {
  const std::uint64_t first = LittleEndian(std::span(key).first<8>());
  const std::uint64_t second = LittleEndian(std::span(key).last<8>());
  // "somepseudorandomlygeneratedbytes", and 0xee for 128 bits of output.
  state_ = {first ^ 0x736f6d6570736575, second ^ 0x646f72616e646f6d ^ 0xee, first ^ 0x6c7967656e657261,
            second ^ 0x7465646279746573};
}

KeyedDigest::~KeyedDigest() {
  Wipe(std::span(reinterpret_cast<std::uint8_t*>(state_.data()), sizeof state_));
  Wipe(std::span(reinterpret_cast<std::uint8_t*>(&word_), sizeof word_));
}

KeyedDigest& KeyedDigest::Add(std::string_view field) { return Add(AsBytes(field)); }

KeyedDigest& KeyedDigest::Add(std::span<const std::uint8_t> field) {
  std::array<std::uint8_t, 8> length;
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<std::uint8_t>(field.size() >> (8 * i));
  AddBytes(length);
  AddBytes(field);
  return *this;
}

void KeyedDigest::AddBytes(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    word_ |= std::uint64_t{byte} << (8 * (count_ % 8));
    if (++count_ % 8 == 0) {
      Compress(word_);
      word_ = 0;
    }
  }
}

Digest KeyedDigest::Finish() {
  Compress(word_ | count_ << 56);
  Digest digest;
  auto* next = digest.begin();
  const auto put = [&] {
    for (int i = 0; i < 4; ++i) Round();
    const std::uint64_t half = state_[0] ^ state_[1] ^ state_[2] ^ state_[3];
    for (unsigned shift = 0; shift < 64; shift += 8) *next++ = static_cast<std::uint8_t>(half >> shift);
  };
  state_[2] ^= 0xee;
  put();
  state_[1] ^= 0xdd;
  put();
  return digest;
}

void KeyedDigest::Compress(std::uint64_t word) {
  state_[3] ^= word;
  Round();
  Round();
  state_[0] ^= word;
}

void KeyedDigest::Round() {
  auto& [a, b, c, d] = state_;
  a += b;
  c += d;
  b = std::rotl(b, 13) ^ a;
  d = std::rotl(d, 16) ^ c;
  a = std::rotl(a, 32);
  c += b;
  a += d;
  b = std::rotl(b, 17) ^ c;
  d = std::rotl(d, 21) ^ a;
  c = std::rotl(c, 32);
}

}  // namespace penstock
