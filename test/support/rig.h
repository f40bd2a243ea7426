// What a worker lends to a relay, for the tests of flows and relays.
#pragma once

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/counters.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/pipe.h"
#include "penstock/os/poller.h"
#include "penstock/relay/flow.h"
#include "penstock/relay/pending_buffer.h"
#include "test/support/sockets.h"

namespace penstock::unit {

// Buffer sizes: one that holds a turn's budget, where the system allows it, and one that is filled at once.
inline constexpr int kWide = 8 * 1024 * 1024;
inline constexpr int kNarrow = 16 * 1024;

// What a worker lends. With the pool without pipes every read of a bulk flow is counted as one without a pipe, which
// shows a test whether the flow splices or copies.
struct Tools {
  explicit Tools(std::size_t pending_buffers_max = 8) : pending_buffers(pending_buffers_max) {
    ::signal(SIGPIPE, SIG_IGN);  // splice(2) has no MSG_NOSIGNAL
    const NoDescriptors none;
    no_pipes.Lend(0, clock.now() + std::chrono::hours(1));
  }
  ~Tools() {
    CHECK(pending_buffers.lent() == 0);
    CHECK(pipes.lent() == 0);
  }

  FlowTools With(PipePool& pool) { return {room, pending_buffers, pool, counters, clock, kTurnBytes, 0}; }
  FlowTools All() { return With(pipes); }
  FlowTools NoPipes() { return With(no_pipes); }

  std::vector<std::uint8_t> room = std::vector<std::uint8_t>(kCopyBytes);
  PendingBufferPool pending_buffers;
  PipePool pipes{4};
  PipePool no_pipes{0};
  Counters counters;
  Clock clock;
};

// Runs `turn` and reads from `taker` until `condition` is true for the bytes so far, which are returned.
template <class Turn, class Condition>
std::string Collect(const Fd& taker, Turn turn, Condition condition) {
  std::string text;
  CHECK(WaitUntil([&] {
    turn();
    text += ReceiveSome(taker.get());
    return condition(text);
  }));
  return text;
}

// Waits until the other end's kernel has acknowledged all bytes, so that the next read finds them.
inline void WaitUntilArrived(const Fd& sender) {
  REQUIRE(WaitUntil([&] { return UnsentBytes(sender.get()) == 0; }));
}

}  // namespace penstock::unit
