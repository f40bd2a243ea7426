// What holds for the whole process: its limits and its memory.
// Stateless; for the start, before there are other threads.
// Invariant: where the system refuses, things stay as they were.
// Deliberately not here: users and capabilities (privileges.h), and signals, which are the program's (main.cc).
#pragma once

#include <cstddef>

namespace penstock {

// The exit status of the program and of its sub-commands.
inline constexpr int kExitClean = 0;
inline constexpr int kExitFailure = 1;  // it could not do what it was asked to
inline constexpr int kExitUsage = 2;    // there is a mistake in the options, or in a file that they name

// Raises the soft limit of open descriptors to the hard one (setrlimit(2)), and returns it.
std::size_t RaiseDescriptorLimit();

// Writing to what nobody reads any more is an error, not a signal: splice(2) has no MSG_NOSIGNAL.
void IgnoreBrokenPipes();

// Blocks of `bytes` and more go back to the system when they are freed (M_MMAP_THRESHOLD, mallopt(3)).
void GiveBackBlocksFrom(std::size_t bytes);

}  // namespace penstock
