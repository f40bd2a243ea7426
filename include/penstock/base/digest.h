// Keyed digests: SipHash-2-4 with 128 bits of output (J.-P. Aumasson, D. J. Bernstein: SipHash, a fast short-input PRF,
// 2012). Without the key, nobody can predict a digest or find two messages with the same one.
// Plain values; any thread.
// Invariant: a message is a list of fields, each with its length, so that ("ab", "c") and ("a", "bc") differ.
// Deliberately not here: the source of keys (os/random.h), and password hashes for files (os/password_hash.h): this
// digest is so fast that an attacker who learns the key can try millions of passwords a second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock {

using DigestKey = std::array<std::uint8_t, 16>;
using Digest = std::array<std::uint8_t, 16>;

// True if both are equal. Takes the same time wherever they differ; only a different length, which is no secret,
// returns at once.
bool SameInConstantTime(std::span<const std::uint8_t> one, std::span<const std::uint8_t> other);
bool SameInConstantTime(std::string_view one, std::string_view other);

// A hash for tables: some bits of the digest, which are as good as random.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const;
};

// The function of the paper, over `bytes` as one message without fields.
Digest SipHash(const DigestKey& key, std::span<const std::uint8_t> bytes);

// Computes one digest. The destructor overwrites the state.
class KeyedDigest {
 public:
  explicit KeyedDigest(const DigestKey& key);
  ~KeyedDigest();
  KeyedDigest(const KeyedDigest&) = delete;
  KeyedDigest& operator=(const KeyedDigest&) = delete;

  // Appends a field and its length to the message.
  KeyedDigest& Add(std::string_view field);
  KeyedDigest& Add(std::span<const std::uint8_t> field);

  // Returns the digest of the message. Call it once.
  Digest Finish();

 private:
  friend Digest SipHash(const DigestKey& key, std::span<const std::uint8_t> bytes);

  void AddBytes(std::span<const std::uint8_t> bytes);
  void Compress(std::uint64_t word);
  void Round();

  std::array<std::uint64_t, 4> state_;
  std::uint64_t word_ = 0;   // the last count_ % 8 bytes, in little-endian order
  std::uint64_t count_ = 0;  // the number of bytes
};

}  // namespace penstock
