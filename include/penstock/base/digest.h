// Keyed digests: whoever has not the key can neither foresee one nor find two texts with the same. SipHash-2-4 with
// 128 bits of output (J.-P. Aumasson, D. J. Bernstein: SipHash, a fast short-input PRF, 2012).
// Values of whoever makes them; any thread.
// Invariant: what the digest is of is told field by field with its length, so that ("ab", "c") and ("a", "bc") differ.
// Deliberately not here: where keys come from (random.h), hashes of passwords that are kept (password_hash.h): whoever
// learns the key of this one can try many millions of passwords a second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock {

using DigestKey = std::array<std::uint8_t, 16>;
using Digest = std::array<std::uint8_t, 16>;

// Takes the same time wherever they differ, if they do. Only a difference in length, which is no secret, is told at
// once.
bool SameInConstantTime(std::span<const std::uint8_t> one, std::span<const std::uint8_t> other);
bool SameInConstantTime(std::string_view one, std::string_view other);

// For tables: the bits of a digest are as good as random ones.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const;
};

// The plain function: `bytes` as one message.
Digest SipHash(const DigestKey& key, std::span<const std::uint8_t> bytes);

// A digest in the making. Its state is overwritten when it goes.
class KeyedDigest {
 public:
  explicit KeyedDigest(const DigestKey& key);
  ~KeyedDigest();
  KeyedDigest(const KeyedDigest&) = delete;
  KeyedDigest& operator=(const KeyedDigest&) = delete;

  // One more field. Its length is part of the message.
  KeyedDigest& Add(std::string_view field);
  KeyedDigest& Add(std::span<const std::uint8_t> field);

  // Ends the message; to be called once.
  Digest Finish();

 private:
  friend Digest SipHash(const DigestKey& key, std::span<const std::uint8_t> bytes);

  void AddBytes(std::span<const std::uint8_t> bytes);
  void Compress(std::uint64_t word);
  void Round();

  std::array<std::uint64_t, 4> state_;
  std::uint64_t word_ = 0;   // bytes that do not make eight yet, the first one lowest
  std::uint64_t count_ = 0;  // bytes in all
};

}  // namespace penstock
