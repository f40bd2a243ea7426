#include "penstock/base/prefix.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "penstock/base/quantity.h"

namespace penstock {
namespace {

constexpr unsigned kMappedBits = 96;  // the prefix of IPv4 addresses in IPv6 form
constexpr std::uint64_t kMappedLow = 0xffff'0000'0000;

std::uint64_t BigEndian(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

IpAddress AddressOf(const AddressBits& bits) {
  std::array<std::uint8_t, 16> bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::uint8_t>(bits.high >> (56 - 8 * i));
    bytes[i + 8] = static_cast<std::uint8_t>(bits.low >> (56 - 8 * i));
  }
  return IpAddress::FromV6(bytes);
}

std::uint64_t FirstBits(std::uint64_t bits, unsigned count) { return count == 0 ? 0 : bits & ~0ULL << (64 - count); }

}  // namespace

AddressBits AddressBits::Of(const IpAddress& address) {
  const auto bytes = address.bytes();
  if (bytes.size() == 4) return {0, kMappedLow | BigEndian(bytes)};
  return {BigEndian(bytes.first(8)), BigEndian(bytes.last(8))};
}

AddressBits AddressBits::First(unsigned length) const {
  return length <= 64 ? AddressBits{FirstBits(high, length), 0} : AddressBits{high, FirstBits(low, length - 64)};
}

std::optional<Prefix> Prefix::Parse(std::string_view text, std::string* accepted) {
  const auto fail = [&](const std::string& what) {
    if (accepted != nullptr) *accepted = what;
    return std::nullopt;
  };
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::Parse(text.substr(0, slash));
  if (!address) {
    return fail("an address such as 192.0.2.1 or 2001:db8::1, or a block such as 10.0.0.0/8 or 2001:db8::/32");
  }
  if (slash == std::string_view::npos) return Prefix(*address);

  const bool dotted = text.substr(0, slash).find(':') == std::string_view::npos;
  const auto length = ParseNumber(text.substr(slash + 1), 0, dotted ? 32 : 128);
  if (!length) {
    return fail(std::string("a length from 0 to ") +
                (dotted ? "32, such as 10.0.0.0/8" : "128, such as 2001:db8::/32"));
  }
  // The length of ::ffff:10.0.0.0/8 was meant for IPv4; of 128 bits it would mean ::/8.
  if (address->is_v4() && !dotted && *length < kMappedBits) {
    return fail("an IPv4 block as IPv4, such as 10.0.0.0/8");
  }
  Prefix block(*address);
  block.length_ = static_cast<std::uint8_t>(dotted ? *length + kMappedBits : *length);
  block.address_ = AddressOf(AddressBits::Of(*address).First(block.length_));
  if (block.address_ != *address) {
    return fail(block.ToString() + ", or " + address->ToString() + " for that address alone");
  }
  return block;
}

bool Prefix::Contains(const IpAddress& address) const { return Contains(Prefix(address)); }

bool Prefix::Contains(const Prefix& other) const {
  return is_v4() == other.is_v4() && length_ <= other.length_ &&
         AddressBits::Of(other.address_).First(length_) == AddressBits::Of(address_);
}

std::string Prefix::ToString() const {
  if (is_address()) return address_.ToString();
  return address_.ToString() + '/' + std::to_string(is_v4() ? length_ - kMappedBits : length_);
}

PrefixTable::PrefixTable(std::vector<Entry> entries) {
  std::ranges::sort(entries, {}, &Entry::block);  // a block comes before those inside it
  firsts_.reserve(entries.size());
  nodes_.reserve(entries.size());
  std::vector<std::uint32_t> open;  // the blocks around the current one, the smallest last
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Prefix& block = entries[i].block;
    const AddressBits first = AddressBits::Of(block.address());
    // Compares bits alone, so that an IPv6 block may be around an IPv4 one: Around stops there.
    while (!open.empty() && first.First(nodes_[open.back()].length) != firsts_[open.back()]) open.pop_back();
    nodes_.push_back(
        {open.empty() ? kNone : open.back(), entries[i].value, static_cast<std::uint8_t>(block.shared_bits())});
    firsts_.push_back(first);
    open.push_back(static_cast<std::uint32_t>(i));
  }
}

std::uint32_t PrefixTable::Smallest(const IpAddress& address) const {
  const AddressBits bits = AddressBits::Of(address);
  const auto after = std::ranges::upper_bound(firsts_, bits);
  if (after == firsts_.begin()) return kNone;
  auto at = static_cast<std::uint32_t>(after - firsts_.begin() - 1);
  if (address.is_v4() && nodes_[at].length < kMappedBits) return kNone;
  while (at != kNone && bits.First(nodes_[at].length) != firsts_[at]) at = Around(at, address);
  return at;
}

bool Translators::IsPrefix(const Prefix& block) {
  constexpr unsigned kLengths[] = {32, 40, 48, 56, 64, 96};
  return !block.is_v4() && std::ranges::find(kLengths, block.shared_bits()) != std::end(kLengths);
}

Translators::Translators(std::span<const Prefix> more) {
  std::vector<Prefix> blocks(more.begin(), more.end());
  for (const std::string_view text : {"64:ff9b::/96", "64:ff9b:1::/48"}) blocks.push_back(Prefix::Parse(text).value());
  std::ranges::sort(blocks);
  blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
  std::vector<PrefixTable::Entry> entries;
  entries.reserve(blocks.size());
  for (const Prefix& block : blocks) entries.push_back({block, block.shared_bits()});
  table_ = PrefixTable(std::move(entries));
}

// The IPv4 address follows the prefix and skips byte 8, which is zero (RFC 6052 section 2.2): bytes 4-7 after /32; 5-7
// and 9 after /40; 6-7 and 9-10 after /48; 7 and 9-11 after /56; 9-12 after /64; 12-15 after /96.
std::optional<IpAddress> Translators::EmbeddedV4(const IpAddress& address) const {
  constexpr std::size_t kZeroByte = 8;
  std::size_t at = 0;
  table_.ForEach(address, [&](std::uint32_t bits) { at = at == 0 ? bits / 8 : at; });  // the longest prefix comes first
  if (at == 0) return std::nullopt;
  std::array<std::uint8_t, 4> inside;
  for (std::uint8_t& byte : inside) {
    if (at == kZeroByte) ++at;
    byte = address.bytes()[at++];
  }
  return IpAddress::FromV4(inside);
}

}  // namespace penstock
