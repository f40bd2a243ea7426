// What this process uses of the system, as process_* metrics show it.
// Stateless; any thread.
// Invariant: a number that cannot be read is missing, never zero: a sandbox may hide /proc.
// Does not: read the usage of other processes, keep earlier numbers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace penstock {

struct ProcessUsage {
  std::optional<std::chrono::microseconds> cpu;         // user and system time of all threads (getrusage(2))
  std::optional<std::uint64_t> resident_bytes;          // /proc/self/statm, proc(5)
  std::optional<std::uint64_t> virtual_bytes;           // of the address space; the same
  std::optional<std::size_t> descriptors;               // open ones (/proc/self/fd)
  std::optional<std::size_t> descriptors_max;           // the soft limit (RLIMIT_NOFILE)
  std::optional<std::chrono::milliseconds> started_at;  // since 1970: /proc/self/stat and /proc/stat
};

// Takes about 100 microseconds; before Linux 6.2, a microsecond more for each open descriptor. It needs one descriptor
// for a moment.
ProcessUsage ReadProcessUsage();

}  // namespace penstock
