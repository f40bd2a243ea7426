// The resources of this process: descriptors by kind, threads, memory, CPU time.
// Read from /proc; any thread.
#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "penstock/os/fd.h"
#include "test/support/wait.h"

namespace penstock::test {

// How many descriptors of each kind are open: "socket", "pipe", "anon_inode:[eventpoll]", "/dev/null"...
std::map<std::string, std::size_t> Descriptors();
std::string ToText(const std::map<std::string, std::size_t>& descriptors);

std::size_t Sockets();

// Descriptors of pipes; each pipe has two.
std::size_t PipeEnds();

std::size_t Threads();

// The resident memory of this process.
std::size_t ResidentBytes();

// The CPU time of all threads, user and system.
milliseconds CpuTime();

// True in a build with a sanitizer, which needs memory and time of its own.
bool IsSanitized();

// While it exists, this process can open a descriptor only after one was closed.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors();
  ~NoMoreDescriptors();
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

  // Frees `count` descriptors.
  void Free(std::size_t count);

 private:
  rlimit before_{};
  std::vector<Fd> fillers_;
};

}  // namespace penstock::test
