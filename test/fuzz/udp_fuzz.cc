// Datagrams of a client: what is decoded lies within the bytes, and the header of an answer encodes the same address.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "penstock/base/socks5.h"

namespace {

using penstock::socks5::DecodeUdpHeader;
using penstock::socks5::EncodeUdpHeader;
using penstock::socks5::kUdpHeaderBytesMax;
using penstock::socks5::UdpFault;
using penstock::socks5::UdpHeader;

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> bytes(data, data + size);  // a copy, so that a sanitizer sees a read beyond it
  const UdpHeader header = DecodeUdpHeader(bytes);
  Require((header.size == 0) == (header.fault == UdpFault::kMalformed) && header.size <= size);
  if (header.fault == UdpFault::kMalformed) return 0;
  Require(header.port != 0 && (header.fault == UdpFault::kFragment) == (bytes[2] != 0));
  // The header is all that was read, and a shorter prefix of it is not a header.
  Require(DecodeUdpHeader(std::span(bytes).first(header.size)).size == header.size);
  Require(DecodeUdpHeader(std::span(bytes).first(header.size - 1)).fault == UdpFault::kMalformed);
  if (!header.name.empty()) {
    const auto* const name = reinterpret_cast<const std::uint8_t*>(header.name.data());
    Require(name >= bytes.data() && name + header.name.size() + 2 == bytes.data() + header.size);
    static_cast<void>(penstock::IsHostName(header.name));
    static_cast<void>(penstock::AddressInName(header.name));
    return 0;
  }
  std::array<std::uint8_t, kUdpHeaderBytesMax> room;
  const UdpHeader again = DecodeUdpHeader(EncodeUdpHeader({header.address, header.port}, room));
  Require(again.fault == UdpFault::kNone && again.address == header.address && again.port == header.port);
  return 0;
}
