// How many TCP segments a socket has received.
#pragma once

#include <cstdint>

#include "penstock/os/fd.h"

namespace penstock::unit {

// tcpi_segs_in of TCP_INFO (tcp(7)): all segments since the connection began, with and without data.
std::uint32_t SegmentsReceived(const Fd& socket);

}  // namespace penstock::unit
