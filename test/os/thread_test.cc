#include "penstock/os/thread.h"

#include <chrono>

#include <doctest/doctest.h>

#include "test/support/wait.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

TEST_CASE("semaphore: each event is taken once, also one that came before the wait") {
  Semaphore semaphore;
  semaphore.Post();
  semaphore.Post();
  CHECK(semaphore.WaitFor(milliseconds(0)));
  CHECK(semaphore.WaitFor(milliseconds(0)));
  CHECK_FALSE(semaphore.WaitFor(milliseconds(0)));
}

TEST_CASE("semaphore: an event of another thread ends the wait; without one it ends in time") {
  Semaphore semaphore;
  const test::Stopwatch watch;
  CHECK_FALSE(semaphore.WaitFor(milliseconds(20)));
  CHECK(watch.elapsed() >= milliseconds(20));
  Thread other("post", [&] { semaphore.Post(); });
  CHECK(semaphore.WaitFor(test::kTestTimeout));
  other.Join();
}

}  // namespace
}  // namespace penstock
