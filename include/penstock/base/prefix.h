// Blocks of addresses in CIDR notation (10.0.0.0/8), a table to find the blocks of an address, and the prefixes of
// IPv4/IPv6 translators.
// Plain values. A table is const after construction; any thread may read it.
// Invariant: a block has one representation. No bit is set beyond its length, and an IPv4 block in IPv6 form
// (::ffff:10.0.0.0/104) is that IPv4 block. No IPv6 block contains an IPv4 address, not even ::/0.
// Deliberately not here: names (domain.h), and the use of blocks (policy/rules.h).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"

namespace penstock {

// An address as a number of 128 bits. An IPv4 address is that of ::ffff:0:0/96.
struct AddressBits {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  static AddressBits Of(const IpAddress& address);

  // Keeps the first `length` bits (0 to 128) and clears the others.
  AddressBits First(unsigned length) const;

  auto operator<=>(const AddressBits&) const = default;
};

class Prefix {
 public:
  Prefix() = default;                                                               // ::/0
  explicit Prefix(const IpAddress& address) : address_(address), length_(kBits) {}  // that address alone

  // "10.0.0.0/8", "2001:db8::/32", or an address, which is a block of one. Nothing for any other text; then
  // `*accepted`, unless null, says what is accepted instead.
  static std::optional<Prefix> Parse(std::string_view text, std::string* accepted = nullptr);

  bool Contains(const IpAddress& address) const;
  bool Contains(const Prefix& other) const;

  const IpAddress& address() const { return address_; }  // the first one
  bool is_v4() const { return address_.is_v4(); }
  bool is_address() const { return length_ == kBits; }

  // The length of the prefix in 128 bits: for an IPv4 block 96 more than in its text.
  unsigned shared_bits() const { return length_; }

  std::string ToString() const;  // an address alone is written as an address

  auto operator<=>(const Prefix&) const = default;

 private:
  static constexpr std::uint8_t kBits = 128;

  IpAddress address_;
  std::uint8_t length_ = 0;
};

// Finds all blocks that contain an address. Two blocks either nest or are disjoint. So the table sorts them by first
// address, and links each to the smallest block around it. Only the last block that begins at or before an address, and
// those around it, can contain that address: a lookup is one binary search and a walk along the links.
class PrefixTable {
 public:
  struct Entry {
    Prefix block;
    std::uint32_t value = 0;
  };

  // The maximum number of blocks that contain one address: one of each length.
  static constexpr std::size_t kMatchesMax = 129;

  PrefixTable() = default;
  explicit PrefixTable(std::vector<Entry> entries);  // no block twice

  bool empty() const { return nodes_.empty(); }

  // Calls `take(value)` for each block that contains the address, the smallest block first.
  template <class Take>
  void ForEach(const IpAddress& address, Take take) const {
    for (std::uint32_t at = Smallest(address); at != kNone; at = Around(at, address)) take(nodes_[at].value);
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;

  struct Node {
    std::uint32_t around = kNone;  // the smallest block that contains this one
    std::uint32_t value = 0;
    std::uint8_t length = 0;
  };

  std::uint32_t Smallest(const IpAddress& address) const;

  // The block around `at`; kNone if that is an IPv6 block and the address is IPv4.
  std::uint32_t Around(std::uint32_t at, const IpAddress& address) const {
    const std::uint32_t around = nodes_[at].around;
    return around != kNone && address.is_v4() && nodes_[around].length < 96 ? kNone : around;
  }

  std::vector<AddressBits> firsts_;  // the first address of each of nodes_, sorted; apart, for the binary search
  std::vector<Node> nodes_;
};

// Prefixes of IPv4/IPv6 translators (NAT64): a packet to an address with such a prefix reaches the IPv4 address that is
// embedded in it. 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215) are always included. The longest prefix of an
// address counts.
class Translators {
 public:
  // True if `block` is IPv6 with a length of 32, 40, 48, 56, 64 or 96 (RFC 6052 section 2.2).
  static bool IsPrefix(const Prefix& block);

  explicit Translators(std::span<const Prefix> more = {});

  // The IPv4 address that is embedded in `address`; nothing if it has none of the prefixes.
  std::optional<IpAddress> EmbeddedV4(const IpAddress& address) const;

 private:
  PrefixTable table_;  // the values are the lengths
};

}  // namespace penstock
