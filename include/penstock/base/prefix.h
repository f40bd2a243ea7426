// A block of addresses as CIDR writes it (10.0.0.0/8), a table that tells in which blocks an address is, and the blocks
// whose addresses mean IPv4 ones.
// Plain values; a table is made once and then read by any thread.
// Invariant: a block has one form: no bit is set beyond its length, and IPv4 blocks in IPv6 form (::ffff:10.0.0.0/104)
// are IPv4 blocks inside. An IPv6 block contains no IPv4 address, ::/0 neither.
// Deliberately not here: names (domain.h), and what a block is for (rules.h).
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

// An address as a number. IPv4 addresses are those of ::ffff:0:0/96.
struct AddressBits {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  static AddressBits Of(const IpAddress& address);

  // The first `length` bits (0 to 128), the others cleared.
  AddressBits First(unsigned length) const;

  auto operator<=>(const AddressBits&) const = default;
};

class Prefix {
 public:
  Prefix() = default;                                                               // ::/0
  explicit Prefix(const IpAddress& address) : address_(address), length_(kBits) {}  // that address alone

  // "10.0.0.0/8", "2001:db8::/32", or an address, which is a block by itself. For any other text nothing; then
  // `*accepted`, unless null, tells what would be right.
  static std::optional<Prefix> Parse(std::string_view text, std::string* accepted = nullptr);

  bool Contains(const IpAddress& address) const;
  bool Contains(const Prefix& other) const;

  const IpAddress& address() const { return address_; }  // the first one
  bool is_v4() const { return address_.is_v4(); }
  bool is_address() const { return length_ == kBits; }

  // Bits that all addresses of the block share, of 128: 96 more than an IPv4 block is written with.
  unsigned shared_bits() const { return length_; }

  std::string ToString() const;  // an address alone is written as an address

  auto operator<=>(const Prefix&) const = default;

 private:
  static constexpr std::uint8_t kBits = 128;

  IpAddress address_;
  std::uint8_t length_ = 0;
};

// Blocks either nest or have nothing in common. So they are kept sorted, each with a link to the smallest block around
// it: the last one that begins at or before an address, and the blocks around that, are all that can contain it. A
// look-up is one binary search, and a walk up.
class PrefixTable {
 public:
  struct Entry {
    Prefix block;
    std::uint32_t value = 0;
  };

  // An address is in so many blocks at most, one of each length.
  static constexpr std::size_t kMatchesMax = 129;

  PrefixTable() = default;
  explicit PrefixTable(std::vector<Entry> entries);  // each block once

  bool empty() const { return nodes_.empty(); }

  // Calls `take` with the value of each block that contains the address, the smallest block first.
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

  // The next block, unless it is an IPv6 block around an IPv4 one.
  std::uint32_t Around(std::uint32_t at, const IpAddress& address) const {
    const std::uint32_t around = nodes_[at].around;
    return around != kNone && address.is_v4() && nodes_[around].length < 96 ? kNone : around;
  }

  std::vector<AddressBits> firsts_;  // the first address of each block, in order; apart, to be searched
  std::vector<Node> nodes_;
};

// Prefixes of IPv4/IPv6 translators (NAT64): who sends to an address behind one reaches the IPv4 address inside it.
// 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215) are always among them. Where several hold an address the
// longest counts.
class Translators {
 public:
  // 32, 40, 48, 56, 64 or 96 bits of IPv6 (RFC 6052 section 2.2).
  static bool IsPrefix(const Prefix& block);

  explicit Translators(std::span<const Prefix> more = {});

  std::optional<IpAddress> Inside(const IpAddress& address) const;

 private:
  PrefixTable table_;  // values: lengths
};

}  // namespace penstock
