#include "test/support/segments.h"

#include <linux/tcp.h>  // netinet/tcp.h has an older tcp_info
#include <netinet/in.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

namespace penstock::unit {

std::uint32_t SegmentsReceived(const Fd& socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  REQUIRE(::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
  return info.tcpi_segs_in;
}

}  // namespace penstock::unit
