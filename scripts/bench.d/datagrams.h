// Datagrams: the target's side, and the clients of UDP associations.
//
// load.cc runs RunDatagrams as the whole program; each of its threads owns its associations. The target gives each
// thread a socket of its own.
//
// A datagram that is sent is answered, counted at the target, or counted as lost: it is one of them when the figures
// are printed.
//
// It does not fragment (RFC 1928, FRAG), and joins no datagrams when it sends (UDP_SEGMENT).

#ifndef PENSTOCK_BENCH_DATAGRAMS_H_
#define PENSTOCK_BENCH_DATAGRAMS_H_

#include "load.h"

namespace load {

// A socket with a large buffer and UDP_GRO, as QUIC libraries have it. It blocks.
int DatagramSocket();

// Echoes the datagrams that begin with kEcho and counts the others. Runs until the process ends.
[[noreturn]] void ServeDatagrams(int fd, Stats* stats);

// Runs the clients and prints their figures. flood: one way, as many as can be sent. Returns the exit status.
int RunDatagrams(bool flood, const Options& options);

}  // namespace load

#endif  // PENSTOCK_BENCH_DATAGRAMS_H_
