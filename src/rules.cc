#include "penstock/rules.h"

#include <algorithm>
#include <utility>

namespace penstock {

Guard::Guard(std::vector<IpAddress> own) : own_(std::move(own)) { std::ranges::sort(own_); }

bool Guard::Allows(const IpAddress& client, const IpAddress& target) const {
  if (client.is_loopback()) return true;
  // 0.0.0.0/8 reaches this host as 0.0.0.0 does (RFC 1122 section 3.2.1.3).
  const bool nobody = target.is_unspecified() || target.is_zero_net() || target.is_multicast() || target.is_broadcast();
  const bool this_host = target.is_loopback() || std::ranges::binary_search(own_, target);
  return !nobody && !this_host && !target.is_link_local();
}

}  // namespace penstock
