#include "penstock/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cassert>
#include <chrono>
#include <utility>

#include "penstock/limits.h"

namespace penstock {

std::unique_ptr<Pipe> PipePool::Lend(TimePoint now) {
  std::unique_ptr<Pipe> pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else if (now >= refused_until_) {
    pipe = Make();
    if (pipe == nullptr) refused_until_ = now + std::chrono::seconds(1);
  }
  if (pipe != nullptr) ++lent_;
  return pipe;
}

void PipePool::Return(std::unique_ptr<Pipe> pipe, bool empty) {
  assert(lent_ > 0);
  --lent_;
  if (empty && idle_.size() < idle_max_) {
    idle_.push_back(std::move(pipe));
  } else {
    refused_until_ = {};  // its pages and descriptors are free again
  }
}

std::unique_ptr<Pipe> PipePool::Make() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  auto pipe = std::make_unique<Pipe>(Pipe{Fd(ends[0]), Fd(ends[1])});
  for (const std::size_t bytes : {kPipeBytes, kPipeBytesMin}) {
    const int granted = ::fcntl(pipe->write_end.get(), F_SETPIPE_SZ, static_cast<int>(bytes));
    if (granted >= static_cast<int>(kPipeBytesMin)) return pipe;
  }
  return nullptr;
}

}  // namespace penstock
