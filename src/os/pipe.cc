#include "penstock/os/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <limits>
#include <utility>

#include "penstock/base/limits.h"

namespace penstock {

std::unique_ptr<Pipe> PipePool::Lend(std::uint8_t share, TimePoint now) {
  std::unique_ptr<Pipe> pipe;
  if (!shares_.MayTake(share)) return pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else if (now >= refused_until_) {
    pipe = Make();
    if (pipe == nullptr) refused_until_ = now + std::chrono::seconds(1);
  }
  if (pipe == nullptr) return pipe;
  pipe->share = share;
  shares_.Take(share);
  return pipe;
}

void PipePool::Return(std::unique_ptr<Pipe> pipe, bool empty) {
  shares_.Return(pipe->share);
  if (empty && keep_idle_) {
    idle_.push_back(std::move(pipe));
  } else {
    refused_until_ = {};  // closing it frees pages and descriptors
  }
}

std::unique_ptr<Pipe> PipePool::Make() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  auto pipe = std::make_unique<Pipe>(Pipe{Fd(ends[0]), Fd(ends[1]), 0});
  for (const std::size_t bytes : {kPipeBytes, kPipeBytesMin}) {
    const int granted = ::fcntl(pipe->write_end.get(), F_SETPIPE_SZ, static_cast<int>(bytes));
    if (granted >= static_cast<int>(kPipeBytesMin)) return pipe;
  }
  return nullptr;
}

std::size_t PipesOfQuota() {
  std::size_t pages = 0;
  std::ifstream("/proc/sys/fs/pipe-user-pages-soft") >> pages;
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return pages == 0 ? std::numeric_limits<std::size_t>::max() : pages * page_bytes / kPipeBytes;
}

}  // namespace penstock
