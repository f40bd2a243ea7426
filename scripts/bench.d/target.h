// The target behind a gateway: echoes, swallows or produces what the first byte of a connection or datagram asks for.
//
// load.cc runs it in a process of its own, which serves all measurements of a place. One thread for each listener and
// one for each socket of datagrams; connections belong to the thread that accepted them.
//
// Every connection gets equal turns, and whatever is received has been counted in Stats before the next wait.
//
// It speaks no SOCKS and does not know whether a gateway is in front of it.

#ifndef PENSTOCK_BENCH_TARGET_H_
#define PENSTOCK_BENCH_TARGET_H_

#include "load.h"

namespace load {

// --listen, --stats, --threads. Prints "port=N" and serves until the process is ended.
int RunTarget(const Options& options);

}  // namespace load

#endif  // PENSTOCK_BENCH_TARGET_H_
