#include "penstock/os/process.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

namespace penstock {

std::size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;  // what POSIX systems start with
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

std::uint32_t ProcessId() { return static_cast<std::uint32_t>(::getpid()); }

void IgnoreBrokenPipes() { ::signal(SIGPIPE, SIG_IGN); }

void GiveBackBlocksFrom(std::size_t bytes) { ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(bytes)); }

}  // namespace penstock
