// Addresses as text, as tests write them.
// Plain values; any thread. Both throw for a text that is no address.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "penstock/base/endpoint.h"

namespace penstock::test {

inline IpAddress Ip(std::string_view text) {
  const auto ip = IpAddress::Parse(text);
  if (!ip) throw std::invalid_argument("no address: '" + std::string(text) + "'");
  return *ip;
}

inline Endpoint At(std::string_view text) {
  const auto endpoint = Endpoint::Parse(text);
  if (!endpoint) throw std::invalid_argument("no endpoint: '" + std::string(text) + "'");
  return *endpoint;
}

}  // namespace penstock::test
