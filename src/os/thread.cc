#include "penstock/os/thread.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <utility>

namespace penstock {

Thread::Thread(const char* name, std::function<void()> body)
    : thread_([name, body = std::move(body)] {
        ::pthread_setname_np(::pthread_self(), name);
        body();
      }) {}

void Thread::Join() { thread_.join(); }

void Thread::Detach() { thread_.detach(); }

void StopRequest::Raise() { raised_.release(); }

bool StopRequest::WaitFor(std::chrono::milliseconds timeout) { return raised_.try_acquire_for(timeout); }

void YieldCpu() { ::sched_yield(); }

std::size_t UsableCpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace penstock
