#include "penstock/os/thread.h"

#include <pthread.h>
#include <sched.h>

#include <utility>

#include "penstock/base/limits.h"

namespace penstock {

static_assert(kCpusMax == CPU_SETSIZE);

Thread::Thread(const char* name, std::function<void()> body, ThreadKind kind)
    : thread_([name, body = std::move(body), kind] {
        ::pthread_setname_np(::pthread_self(), name);
        ConfineThread(kind);
        body();
      }) {}

void Thread::Join() { thread_.join(); }

void Thread::Detach() { thread_.detach(); }

void StopRequest::Raise() { raised_.release(); }

bool StopRequest::WaitFor(std::chrono::milliseconds timeout) { return raised_.try_acquire_for(timeout); }

void Semaphore::Post() { events_.release(); }

bool Semaphore::WaitFor(std::chrono::nanoseconds timeout) { return events_.try_acquire_for(timeout); }

void YieldCpu() { ::sched_yield(); }

std::vector<unsigned> UsableCpus() {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  for (unsigned cpu = 0; cpu < kCpusMax; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  if (cpus.empty()) cpus.push_back(0);  // a kernel with more CPUs than a cpu_set_t has
  return cpus;
}

void StayOnCpu(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

}  // namespace penstock
