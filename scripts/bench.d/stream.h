// The TCP clients in front of a gateway: many tunnels in one of seven modes, one quiet tunnel beside bulk,
// and one short session.
//
// load.cc runs one of these functions as the whole program. Each client thread owns its tunnels; the threads share a
// board of atomic counters with the thread that measures.
//
// A rate is the growth of one counter over the measured time, always counted at the receiving end; the total is
// everything until the last tunnel has closed.
//
// It verifies that bytes arrive, and not what they are. It does not retry: a tunnel that breaks is an error.

#ifndef PENSTOCK_BENCH_STREAM_H_
#define PENSTOCK_BENCH_STREAM_H_

#include "load.h"

namespace load {

enum class Mode {
  kConnect,   // short connections, one after the other
  kPingpong,  // one message at a time in each tunnel
  kUpload,
  kDownload,
  kBoth,   // upload and download at the same time
  kIdle,   // kept open, silent
  kStuck,  // the target sends, nobody reads
};

// Runs the clients of a mode and prints their figures. Returns the exit status.
int RunStreams(Mode mode, const Options& options);

// Runs bulk downloads in one thread, and measures the round trips of one tunnel beside them.
int RunQuiet(const Options& options);

// Runs one session of a message each way, which the target closes first. Returns the exit status.
int RunOnce(const Options& options);

}  // namespace load

#endif  // PENSTOCK_BENCH_STREAM_H_
