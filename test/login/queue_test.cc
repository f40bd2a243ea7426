#include "penstock/login/queue.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

Digest Numbered(std::size_t number, std::uint8_t kind) {
  Digest digest{};
  for (std::size_t i = 0; i < 4; ++i) digest[i] = static_cast<std::uint8_t>(number >> (8 * i));
  digest[15] = kind;
  return digest;
}

Digest Ticket(std::size_t client, std::size_t number) {
  Digest digest = Numbered(client, 't');
  for (std::size_t i = 0; i < 4; ++i) digest[4 + i] = static_cast<std::uint8_t>(number >> (8 * i));
  return digest;
}

LoginWaiter Waiter(std::uint32_t slot) { return {nullptr, {slot, 0}}; }

LoginJob JobIn(std::size_t network, std::size_t client, std::size_t number, std::uint32_t slot = 0) {
  LoginJob job;
  job.ticket = Ticket(client, number);
  job.network = Numbered(network, 'n');
  job.attempt.client = Numbered(client, 'c');
  job.waiters.push_back(Waiter(slot));
  return job;
}

// A job of a client that is alone in its network.
LoginJob Job(std::size_t client, std::size_t number, std::uint32_t slot = 0) {
  return JobIn(client, client, number, slot);
}

// Starts and finishes the next job; returns its ticket.
Digest Take(LoginQueue& queue) {
  const LoginJob* const job = queue.Next();
  REQUIRE(job != nullptr);
  return queue.Finish(job->ticket).ticket;
}

}  // namespace

TEST_CASE("clients take turns, whatever the length of their queues") {
  LoginQueue queue;
  for (std::size_t i = 0; i < 4; ++i) CHECK(queue.Add(Job(1, i)).added);
  CHECK(Take(queue) == Ticket(1, 0));
  CHECK(queue.Add(Job(2, 0)).added);
  CHECK(queue.Add(Job(2, 1)).added);
  CHECK(queue.Add(Job(3, 0)).added);
  CHECK(queue.waiting() == 6);
  const std::pair<std::size_t, std::size_t> order[] = {{1, 1}, {2, 0}, {3, 0}, {1, 2}, {2, 1}, {1, 3}};
  for (const auto& [client, number] : order) CHECK(Take(queue) == Ticket(client, number));
  CHECK(queue.Next() == nullptr);
  CHECK(queue.waiting() == 0);
}

TEST_CASE("a client with a job under way comes after clients that arrive meanwhile") {
  LoginQueue queue;
  CHECK(queue.Add(Job(1, 0)).added);
  CHECK(queue.Add(Job(1, 1)).added);
  CHECK(queue.Next()->ticket == Ticket(1, 0));
  CHECK(queue.Add(Job(2, 0)).added);
  CHECK(queue.Add(Job(2, 1)).added);
  queue.Finish(Ticket(1, 0));
  CHECK(queue.Next()->ticket == Ticket(2, 0));
  CHECK(queue.Add(Job(3, 0)).added);
  queue.Finish(Ticket(2, 0));
  CHECK(Take(queue) == Ticket(1, 1));
  CHECK(queue.Next()->ticket == Ticket(3, 0));
  CHECK(queue.Add(Job(3, 1)).added);  // of whom nothing else was waiting
  CHECK(queue.Add(Job(4, 0)).added);
  queue.Finish(Ticket(3, 0));
  CHECK(Take(queue) == Ticket(2, 1));
  CHECK(Take(queue) == Ticket(4, 0));
  CHECK(Take(queue) == Ticket(3, 1));
  CHECK(queue.Next() == nullptr);
}

TEST_CASE("equal jobs are merged, queued or under way") {
  LoginQueue queue;
  CHECK_FALSE(queue.Join(Ticket(1, 1), Waiter(1)));
  CHECK(queue.Add(Job(1, 1, 1)).added);
  CHECK(queue.Join(Ticket(1, 1), Waiter(2)));
  const LoginJob* const job = queue.Next();
  REQUIRE(job != nullptr);
  CHECK(queue.waiting() == 0);
  for (std::size_t i = 2; i < 100; ++i) CHECK(queue.Add(Job(1, i)).added);  // it stays where it is
  CHECK(queue.Join(Ticket(1, 1), Waiter(3)));
  CHECK(job->waiters.size() == 3);
  const LoginJob done = queue.Finish(Ticket(1, 1));
  CHECK(done.waiters == std::vector<LoginWaiter>{Waiter(1), Waiter(2), Waiter(3)});
  CHECK_FALSE(queue.Join(Ticket(1, 1), Waiter(4)));
}

TEST_CASE("the number of queued jobs of one client is bounded") {
  LoginQueue queue;
  for (std::size_t i = 0; i < kLoginsQueuedPerClient; ++i) CHECK(queue.Add(Job(1, i)).added);
  CHECK_FALSE(queue.Add(Job(1, kLoginsQueuedPerClient)).added);
  CHECK(queue.Add(Job(2, 0)).added);
  Take(queue);
  CHECK(queue.Add(Job(1, kLoginsQueuedPerClient)).added);
}

TEST_CASE("a full queue drops the newest job of the client with the most for a client with fewer") {
  LoginQueue queue;
  constexpr std::size_t kClients = kLoginsQueuedMax / kLoginsQueuedPerClient;
  for (std::size_t i = 0; i < kLoginsQueuedPerClient; ++i) {
    for (std::size_t client = 0; client < kClients; ++client) {
      CHECK(queue.Add(Job(client, i, static_cast<std::uint32_t>(client))).added);
    }
  }
  CHECK(queue.waiting() == kLoginsQueuedMax);
  auto added = queue.Add(Job(1000, 0));
  CHECK(added.added);
  REQUIRE(added.displaced);
  CHECK(added.displaced->ticket == Ticket(added.displaced->waiters.at(0).session.slot, kLoginsQueuedPerClient - 1));
  CHECK(queue.waiting() == kLoginsQueuedMax);

  // Now its network has the most, and its client the most there: one more is not added.
  for (std::size_t i = 1; i < kLoginsQueuedPerClient; ++i) added = queue.Add(Job(1000, i));
  CHECK_FALSE(added.added);
  CHECK_FALSE(added.displaced);
  CHECK(queue.waiting() == kLoginsQueuedMax);
}

TEST_CASE("a client without a job finds room in a full queue of clients with one job each") {
  LoginQueue queue;
  std::size_t networks = 0;
  SUBCASE("in as many networks") { networks = kLoginsQueuedMax; }
  SUBCASE("in a few networks") { networks = 16; }
  SUBCASE("in the network of the newcomers") { networks = 1; }
  const auto job = [&](std::size_t client) { return JobIn(client % networks, client, 0); };
  for (std::size_t client = 0; client < kLoginsQueuedMax; ++client) CHECK(queue.Add(job(client)).added);
  for (std::size_t client = kLoginsQueuedMax; client < 2 * kLoginsQueuedMax; ++client) {
    const auto added = queue.Add(job(client));
    CHECK(added.added);
    REQUIRE(added.displaced);
    // The newest client is not the one that is displaced.
    CHECK(added.displaced->ticket == Ticket(client - kLoginsQueuedMax, 0));
  }
  CHECK(queue.waiting() == kLoginsQueuedMax);
  std::size_t done = 0;
  for (; queue.has_next(); ++done) Take(queue);
  CHECK(done == kLoginsQueuedMax);
}

TEST_CASE("a full queue drops from the largest network, and there from the largest client") {
  LoginQueue queue;
  constexpr std::size_t kCrowd = kLoginsQueuedMax / 2 + 1;
  for (std::size_t i = 0; i < 100; ++i) CHECK(queue.Add(JobIn(1, 1, i)).added);
  for (std::size_t client = 2; client < kCrowd - 98; ++client) CHECK(queue.Add(JobIn(1, client, 0)).added);
  for (std::size_t client = kCrowd; queue.waiting() < kLoginsQueuedMax; ++client) {
    CHECK(queue.Add(JobIn(client, client, 0)).added);
  }
  const auto added = queue.Add(JobIn(0, 0, 0));
  CHECK(added.added);
  REQUIRE(added.displaced);
  CHECK(added.displaced->ticket == Ticket(1, 99));
}

TEST_CASE("networks take turns before their clients do") {
  LoginQueue queue;
  for (std::size_t client = 1; client <= 3; ++client) {
    for (std::size_t i = 0; i < 2; ++i) CHECK(queue.Add(JobIn(1, client, i)).added);
  }
  for (std::size_t i = 0; i < 3; ++i) CHECK(queue.Add(JobIn(2, 4, i)).added);
  const std::pair<std::size_t, std::size_t> order[] = {{1, 0}, {4, 0}, {2, 0}, {4, 1}, {3, 0},
                                                       {4, 2}, {1, 1}, {2, 1}, {3, 1}};
  for (const auto& [client, number] : order) CHECK(Take(queue) == Ticket(client, number));
  CHECK_FALSE(queue.has_next());
}

TEST_CASE("several jobs can be under way, one for each client") {
  LoginQueue queue;
  for (std::size_t client = 1; client <= 2; ++client) {
    for (std::size_t i = 0; i < 2; ++i) CHECK(queue.Add(JobIn(1, client, i)).added);
  }
  CHECK(queue.Next()->ticket == Ticket(1, 0));
  CHECK(queue.Next()->ticket == Ticket(2, 0));
  CHECK_FALSE(queue.has_next());
  CHECK(queue.Next() == nullptr);
  CHECK(queue.waiting() == 2);
  queue.Withdraw(Ticket(1, 1), Waiter(0));  // while a job of its client is under way
  queue.Finish(Ticket(2, 0));
  CHECK(queue.Next()->ticket == Ticket(2, 1));
  queue.Finish(Ticket(1, 0));
  CHECK_FALSE(queue.has_next());
  queue.Finish(Ticket(2, 1));
  CHECK(queue.waiting() == 0);
}

TEST_CASE("a job without waiters is dropped, unless it is under way") {
  LoginQueue queue;
  CHECK(queue.Add(Job(1, 1, 1)).added);
  CHECK(queue.Add(Job(1, 2, 2)).added);
  CHECK(queue.Add(Job(2, 1, 3)).added);
  CHECK(queue.Join(Ticket(1, 1), Waiter(4)));
  queue.Withdraw(Ticket(1, 1), Waiter(1));
  CHECK(queue.waiting() == 3);
  queue.Withdraw(Ticket(2, 1), Waiter(3));
  queue.Withdraw(Ticket(2, 1), Waiter(3));
  CHECK(queue.waiting() == 2);

  const LoginJob* const job = queue.Next();
  REQUIRE(job != nullptr);
  CHECK(job->ticket == Ticket(1, 1));
  queue.Withdraw(Ticket(1, 1), Waiter(4));
  CHECK(job->waiters.empty());
  CHECK(queue.Finish(Ticket(1, 1)).waiters.empty());
  CHECK(Take(queue) == Ticket(1, 2));
  CHECK(queue.Next() == nullptr);
  CHECK(queue.Add(Job(2, 1)).added);
  CHECK(Take(queue) == Ticket(2, 1));
}

}  // namespace penstock
