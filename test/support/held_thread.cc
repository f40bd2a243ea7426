#include "test/support/held_thread.h"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "test/support/wait.h"

namespace penstock::test {
namespace {

enum class Gate { kOpen, kCalled, kHeld, kReleased };
std::atomic<Gate> gate{Gate::kOpen};

// Async-signal-safe: it uses only a lock-free atomic and poll(2) (signal-safety(7)).
void Hold(int) {
  const int before = errno;
  gate = Gate::kHeld;
  while (gate != Gate::kReleased) ::sched_yield();
  gate = Gate::kOpen;
  errno = before;
}

// The thread of this process with this name, 0 if there is none.
pid_t ThreadNamed(std::string_view name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(entry.path() / "comm");
    std::string is;
    if (std::getline(file, is) && is == name) return std::stoi(entry.path().filename().string());
  }
  return 0;
}

void (*called)() = nullptr;
std::atomic<bool> returned{false};

void Call(int) {
  const int before = errno;
  called();
  returned = true;
  errno = before;
}

// Lets the thread of this name call `handler`.
void Interrupt(std::string_view name, void (*handler)(int)) {
  // A thread that has just been started has not named itself yet.
  pid_t thread = 0;
  if (!WaitUntil([&] { return (thread = ThreadNamed(name)) != 0; })) {
    throw std::runtime_error("no thread is called " + std::string(name));
  }
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(SIGUSR1, &action, nullptr);
  if (::tgkill(::getpid(), thread, SIGUSR1) != 0) throw std::runtime_error("cannot interrupt " + std::string(name));
}

}  // namespace

HeldThread::HeldThread(std::string_view name) {
  gate = Gate::kCalled;
  Interrupt(name, Hold);
  if (!WaitUntil([] { return gate == Gate::kHeld; })) throw std::runtime_error("cannot hold " + std::string(name));
}

HeldThread::~HeldThread() {
  gate = Gate::kReleased;
  static_cast<void>(WaitUntil([] { return gate == Gate::kOpen; }));
}

void CallIn(std::string_view name, void (*act)()) {
  called = act;
  returned = false;
  Interrupt(name, Call);
  if (!WaitUntil([] { return returned.load(); })) throw std::runtime_error("no return from " + std::string(name));
}

}  // namespace penstock::test
