// Pipes for splice(2), and the pool that lends them.
// The pool is owned by a worker, its own thread only; a pipe is lent to one flow while bytes of that flow are inside.
// Invariant: a pipe in the pool is empty. One that comes back with bytes inside is closed instead of kept, for those
// bytes belong to somebody.
// Deliberately not here: moving bytes (io.h), and when a pipe is worth its descriptors (flow.h).
//
// A pipe holds slots, not bytes: each fragment of a segment takes one, so 16 slots hold 23 KB of 1,448-byte segments.
// So a larger size is asked for, and what the kernel granted is read back. An unprivileged user owns
// pipe-user-pages-soft pages of pipes (pipe(7)); beyond that pipes cannot grow, and shrink to two slots. Such a pipe is
// worse than a copy: it is refused here, and the flow copies.
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
  std::uint8_t share = 0;  // of the client to whom it is lent
};

class PipePool {
 public:
  // Makes at most `pipes_max` pipes at a time, so that slow readers cannot take all descriptors and all of a user's
  // quota. Pipes that nobody uses are kept if `keep_idle`.
  explicit PipePool(std::size_t pipes_max, bool keep_idle = true)
      : pipes_max_(pipes_max), keep_idle_(keep_idle), shares_(pipes_max) {}

  // An empty pipe of kPipeBytesMin at least for a client of `share`; null when that client has enough, or when the
  // system gives none: after such a refusal it is not asked again for a second, or until a pipe comes back. A flow
  // whose sink takes what comes returns its pipe at once, so what a client has for longer are pipes that its readers
  // hold up.
  std::unique_ptr<Pipe> Lend(std::uint8_t share, TimePoint now);

  // Takes a pipe back. `empty` says that no byte is inside.
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

// How many pipes of kPipeBytes an unprivileged user may have (pipe-user-pages-soft, pipe(7)); "no limit" is a large
// number.
std::size_t PipesOfQuota();

}  // namespace penstock
