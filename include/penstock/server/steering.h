// Which CPU each worker runs on, and whether the kernel gives a connection to the worker of the CPU that received it.
// PlaceWorkers is a pure function. A Steering is owned by the server, and used by all workers.
// Invariant: a worker writes only its own count, on a cache line of its own, and only while connections are steered.
// Does not: pin threads (os/thread.h), attach the program (SteerByCpu in os/socket.h).
//
// A network card with several queues spreads its connections over as many CPUs. If each worker has one of those CPUs,
// a connection that stays on it finds its data in that CPU's caches. But if all connections come in on one queue, one
// worker would have them all. So each worker compares its share of the new connections with the mean: one that had
// more than 1.5 times the mean, over its own last kSteeringSample connections, ends the steering for all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "penstock/policy/settings.h"

namespace penstock {

struct Placement {
  std::vector<unsigned> cpus;  // of each worker, by its number; empty: the scheduler chooses
  bool steers = false;         // no two workers share a CPU, and there are at least two
};

// kAuto places workers if there are as many as `usable` CPUs. A list of the settings is used from the start again if it
// has fewer CPUs than there are workers. Nothing if the list has a CPU that is not usable.
std::optional<Placement> PlaceWorkers(const CpuAffinity& affinity, std::size_t workers,
                                      std::span<const unsigned> usable);

class Steering {
 public:
  explicit Steering(std::size_t workers) : shares_(workers) {}

  void Begin() { on_.store(true, std::memory_order_relaxed); }  // before the workers run
  bool on() const { return on_.load(std::memory_order_relaxed); }

  // The share of a worker that had too many connections.
  struct Uneven {
    std::uint64_t own;
    std::uint64_t all;
  };

  // `worker` has accepted a connection. If it had too many, ends the steering and says so, once for all workers: the
  // caller then detaches the program.
  std::optional<Uneven> NoteAccepted(std::size_t worker);

 private:
  struct alignas(64) Share {
    std::atomic<std::uint64_t> accepted{0};  // written by its worker alone
    std::uint64_t all_before = 0;            // of all workers, at the last comparison
  };

  std::atomic<bool> on_{false};
  std::vector<Share> shares_;
};

}  // namespace penstock
