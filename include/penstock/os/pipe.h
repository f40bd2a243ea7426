// Pipes for splice(2), and the pool that lends them.
// A pool belongs to a worker; its own thread only. A pipe is lent to one flow while bytes of that flow are inside.
// Invariant: an idle pipe is empty. One that is returned with bytes inside is closed, for those bytes belong to one
// client and must never reach another.
// Deliberately not here: moving bytes (io.h), and the choice between splice and copy (relay/flow.h).
//
// A pipe has slots, and each fragment of a segment takes one: 16 slots hold 23 KB of 1,448-byte segments. So the pool
// asks for kPipeBytes (F_SETPIPE_SZ) and checks what the kernel grants. An unprivileged user may have
// pipe-user-pages-soft pages of pipes (pipe(7)); beyond that, pipes do not grow, and new ones have two slots. Such a
// pipe is slower than a copy, so the pool rejects it, and the flow copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "penstock/base/fair_shares.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"

namespace penstock {

struct Pipe {
  Fd read_end;
  Fd write_end;
  std::uint8_t share = 0;  // of the client to which it is lent; below kNameShares
};

class PipePool {
 public:
  // Lends at most `pipes_max` pipes at a time, so that slow readers take neither all descriptors nor the whole quota of
  // the user. Keeps returned pipes if `keep_idle`; else closes them.
  explicit PipePool(std::size_t pipes_max, bool keep_idle = true)
      : pipes_max_(pipes_max), keep_idle_(keep_idle), shares_(pipes_max) {}

  // Returns an empty pipe of at least kPipeBytesMin for a client of `share`. Null if that share has its maximum
  // (base/fair_shares.h) or the system refuses a pipe; after a refusal the pool does not ask for one second, or until a
  // pipe is closed. A flow returns its pipe as soon as its sink has taken all bytes, so a client holds a pipe for long
  // only where a reader is slow.
  std::unique_ptr<Pipe> Lend(std::uint8_t share, TimePoint now);

  // Takes back a pipe that Lend returned. `empty`: no byte is inside.
  void Return(std::unique_ptr<Pipe> pipe, bool empty);

  std::size_t lent() const { return pipes_max_ - shares_.free(); }
  std::size_t idle() const { return idle_.size(); }

 private:
  static std::unique_ptr<Pipe> Make();

  const std::size_t pipes_max_;
  const bool keep_idle_;
  std::vector<std::unique_ptr<Pipe>> idle_;
  FairShares shares_;  // of pipes that are lent
  TimePoint refused_until_{};
};

// The number of pipes of kPipeBytes that an unprivileged user may have (pipe-user-pages-soft, pipe(7)); the maximum of
// size_t if there is no limit.
std::size_t PipesOfQuota();

}  // namespace penstock
