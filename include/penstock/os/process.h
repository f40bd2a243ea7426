// What holds for the whole process: its limits and its memory.
// Stateless; for the start, before there are other threads.
// Invariant: where the system refuses, things stay as they were.
// Deliberately not here: users and capabilities (privileges.h), and signals, which are the program's (main.cc).
#pragma once

#include <cstddef>

namespace penstock {

// Raises the soft limit of open descriptors to the hard one (setrlimit(2)), and returns it.
std::size_t RaiseDescriptorLimit();

// Writing to what nobody reads any more is an error, not a signal: splice(2) has no MSG_NOSIGNAL.
void IgnoreBrokenPipes();

// Blocks of `bytes` and more go back to the system when they are freed (M_MMAP_THRESHOLD, mallopt(3)).
void GiveBackBlocksFrom(std::size_t bytes);

}  // namespace penstock
