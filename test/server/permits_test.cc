#include "penstock/server/permits.h"

#include <poll.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/wait.h"

namespace penstock {
namespace {

// The part of a worker that deals with permits.
struct PermitTaker {
  PermitTaker(Permits& permits, std::size_t batch) : lease(permits, wake, batch) {}

  bool IsWoken() const {
    pollfd woken{wake.fd(), POLLIN, 0};
    return ::poll(&woken, 1, 0) == 1;
  }
  // A turn that begins with the wake-up and accepts `connections` connections.
  void OnWake(int connections = 0) {
    REQUIRE(IsWoken());
    wake.Clear();
    lease.Collect();
    for (int i = 0; i < connections; ++i) CHECK(lease.Take());
    lease.ReturnUnused();
  }

  WakeUp wake;
  PermitLease lease;
};

TEST_CASE("permits: no more are taken than there are, and a worker that finds none can wait") {
  Permits permits(3);
  PermitTaker worker(permits, 2);
  for (int i = 0; i < 3; ++i) CHECK(worker.lease.Take());
  CHECK_FALSE(worker.lease.Take());
  CHECK_FALSE(worker.lease.waiting());
  worker.lease.Wait();
  CHECK(worker.lease.waiting());
  CHECK_FALSE(worker.IsWoken());

  worker.lease.Return();
  worker.lease.ReturnUnused();
  worker.wake.Clear();
  worker.lease.Collect();
  CHECK_FALSE(worker.lease.waiting());
  CHECK(worker.lease.Take());
  CHECK_FALSE(worker.lease.Take());
  for (int i = 0; i < 3; ++i) worker.lease.Return();
}

TEST_CASE("permits: a worker that waits gets the unused permits of another") {
  Permits permits(8);
  PermitTaker rich(permits, 8);
  PermitTaker poor(permits, 8);
  CHECK(rich.lease.Take());  // its lease has seven more
  CHECK_FALSE(poor.lease.Take());
  poor.lease.Wait();
  rich.OnWake();
  poor.wake.Clear();
  poor.lease.Collect();
  for (int i = 0; i < 7; ++i) CHECK(poor.lease.Take());
  CHECK_FALSE(poor.lease.Take());
  rich.lease.Return();
  for (int i = 0; i < 7; ++i) poor.lease.Return();
}

TEST_CASE("permits: the worker that has waited longest gets the next permit, from whichever worker") {
  Permits permits(2);
  PermitTaker first(permits, 1);
  PermitTaker second(permits, 1);
  PermitTaker third(permits, 1);
  CHECK(third.lease.Take());
  CHECK(second.lease.Take());
  first.lease.Wait();
  second.lease.Wait();

  // The second worker also waits.
  second.lease.Return();
  second.lease.ReturnUnused();
  first.OnWake(1);
  CHECK_FALSE(first.lease.waiting());
  second.lease.Collect();
  CHECK(second.lease.waiting());

  third.lease.Return();
  third.lease.ReturnUnused();
  second.lease.Collect();
  CHECK_FALSE(second.lease.waiting());
  CHECK(second.lease.Take());
  first.lease.Return();
  second.lease.Return();
}

TEST_CASE("permits: a granted permit that is not used goes to the next waiting worker") {
  Permits permits(1);
  PermitTaker first(permits, 1);
  PermitTaker second(permits, 1);
  PermitTaker third(permits, 1);
  CHECK(third.lease.Take());
  first.lease.Wait();
  second.lease.Wait();
  third.lease.Return();
  third.lease.ReturnUnused();
  first.lease.Collect();
  CHECK(first.lease.Take());
  first.lease.Return();  // the backlog was empty
  first.lease.ReturnUnused();
  second.lease.Collect();
  CHECK(second.lease.Take());
  second.lease.Return();
}

TEST_CASE("permits: a worker that ends leaves its permits to the others") {
  Permits permits(4);
  PermitTaker staying(permits, 1);
  {
    PermitTaker going(permits, 4);
    CHECK(going.lease.Take());
    going.lease.Return();
    staying.lease.Wait();
    CHECK_FALSE(staying.IsWoken());
  }
  staying.OnWake(1);
  {
    PermitTaker taking(permits, 4);
    CHECK(taking.lease.Take());
    staying.lease.Return();
    taking.lease.Return();
  }
  for (int i = 0; i < 4; ++i) CHECK(staying.lease.Take());
  for (int i = 0; i < 4; ++i) staying.lease.Return();
}

TEST_CASE("permits: many workers at once never hold too many permits, and none waits for ever") {
  constexpr int kPermits = 5;
  Permits permits(kPermits);
  std::atomic<int> in_use{0};
  std::atomic<bool> too_many{false};
  std::atomic<bool> stuck{false};
  std::atomic<int> busy{4};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      PermitTaker worker(permits, 3);
      int mine = 0;
      const auto turn = [&] {
        worker.wake.Clear();
        worker.lease.Collect();
        worker.lease.ReturnUnused();
      };
      for (int i = 0; i < 2'000; ++i) {
        while (!worker.lease.Take()) {
          worker.lease.Wait();
          while (worker.lease.waiting()) {
            if (mine > 0) {
              --in_use;
              --mine;
              worker.lease.Return();
              worker.lease.ReturnUnused();
            }
            pollfd woken{worker.wake.fd(), POLLIN, 0};
            if (::poll(&woken, 1, static_cast<int>(test::kTestTimeout.count())) != 1) {
              stuck = true;
              return;
            }
            worker.wake.Clear();
            worker.lease.Collect();
          }
        }
        if (++in_use > kPermits) too_many = true;
        ++mine;
        if ((i + t) % 3 != 0) {
          --in_use;
          --mine;
          worker.lease.Return();
        }
        turn();
      }
      for (; mine > 0; --mine) {
        --in_use;
        worker.lease.Return();
      }
      // Until the other workers have also finished.
      for (--busy; busy > 0;) {
        turn();
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(too_many);
  CHECK_FALSE(stuck);
}

}  // namespace
}  // namespace penstock
