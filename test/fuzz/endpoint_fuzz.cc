// Texts of addresses and names: what is accepted is the same after it is formatted and parsed again.

#include "penstock/base/endpoint.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "penstock/base/limits.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void TakeAddress(const penstock::IpAddress& ip) {
  Require(penstock::IpAddress::Parse(ip.ToString()) == ip);
  Require(ip.bytes().size() == (ip.is_v4() ? 4U : 16U));
  Require(!ip.is_broadcast() || ip.is_v4());
  Require(!ip.is_zero_net() || ip.is_v4());
  Require(ip.is_loopback() + ip.is_link_local() + ip.is_multicast() + ip.is_broadcast() + ip.is_unspecified() <= 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  if (const auto ip = penstock::IpAddress::Parse(text)) {
    TakeAddress(*ip);
    Require(penstock::AddressInName(text) == ip);
  }
  if (const auto ip = penstock::AddressInName(text)) TakeAddress(*ip);

  if (const auto endpoint = penstock::Endpoint::Parse(text)) {
    TakeAddress(endpoint->ip);
    sockaddr_storage address;
    endpoint->ToSockaddr(&address);
    auto back = penstock::Endpoint::FromSockaddr(address);
    back.scope = endpoint->scope;  // an IPv4 sockaddr has none
    Require(back == *endpoint);
    auto written = penstock::Endpoint::Parse(endpoint->ToString());
    Require(written.has_value());
    written->scope = endpoint->scope;  // it is not formatted
    Require(written == endpoint);
  }

  if (penstock::IsHostName(text)) {
    Require(text.size() <= penstock::kNameBytesMax + 1);
    Require(text.find_first_of(std::string_view("\0 \n\r\t", 5)) == std::string_view::npos);
    const bool absolute = text.ends_with('.');
    Require(penstock::IsHostName(std::string(text) + '.') == !absolute);
  }
  return 0;
}
