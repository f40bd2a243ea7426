// Resource limits, SIGPIPE and the allocator: settings of the whole process.
// Stateless; called at start, while there is one thread.
// Invariant: a function that fails changes nothing.
// Deliberately not here: users and capabilities (privileges.h), and other signals (main.cc).
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock {

// The exit status of the program and of its sub-commands.
inline constexpr int kExitClean = 0;
inline constexpr int kExitFailure = 1;  // it could not do what it was asked to
inline constexpr int kExitUsage = 2;    // an error in the options, or in a file that they name

// Raises the soft limit of descriptors to the hard limit (RLIMIT_NOFILE, setrlimit(2)). Returns the soft limit that
// holds then; 1,024 if it cannot be read.
std::size_t RaiseDescriptorLimit();

// The number of this process (getpid(2)).
std::uint32_t ProcessId();

// Ignores SIGPIPE, so that a write to a broken connection is an error: splice(2) has no MSG_NOSIGNAL.
void IgnoreBrokenPipes();

// Makes free(3) return blocks of at least `bytes` to the system (M_MMAP_THRESHOLD, mallopt(3)).
void GiveBackBlocksFrom(std::size_t bytes);

}  // namespace penstock
