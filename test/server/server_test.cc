// How a server starts and ends; test/gateway tests what it does in between.
#include "penstock/server/server.h"

#include <fcntl.h>

#include <string>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/os/process.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::At;

TEST_CASE("server: sessions get the descriptors that pipes, names and workers do not need") {
  for (const std::size_t descriptors : {128U, 1024U, 20'000U, 1'000'000U}) {
    for (const std::size_t workers : {1U, 2U, 8U}) {
      CAPTURE(descriptors);
      CAPTURE(workers);
      const DescriptorBudget budget = BudgetFor(descriptors, workers, 2);
      CHECK(budget.pipes >= kPipesMin);
      CHECK(budget.name_attempts >= kNameAttemptsMin);
      CHECK(budget.further_attempts >= kFurtherAttemptsMin);
      const std::size_t others =
          workers * (kDescriptorsPerWorker + 2 + budget.name_attempts + budget.further_attempts + 2 * budget.pipes);
      const std::size_t all = kDescriptorsOfProcess + others + budget.sessions * kDescriptorsPerSession;
      CHECK((budget.sessions == 0 || all <= descriptors));
      CHECK((budget.sessions == 0 || all + kDescriptorsPerSession > descriptors));
    }
  }
  CHECK(BudgetFor(1024, 2, 1).sessions > 400);
  CHECK(BudgetFor(20'000, 2, 1).sessions > 9'000);
  CHECK(BudgetFor(1024, kWorkersMax, 1).sessions == 0);
  CHECK(BudgetFor(0, 1, 1).sessions == 0);
}

// Restores the soft limit of descriptors, which a start raises, for the tests that follow.
struct RestoreLimit {
  RestoreLimit() { ::getrlimit(RLIMIT_NOFILE, &before); }
  ~RestoreLimit() { ::setrlimit(RLIMIT_NOFILE, &before); }
  rlimit before{};
};

struct Starter {
  Starter() {
    settings.listen = {At("127.0.0.1:0")};
    settings.policy.log_level = LogLevel::kError;
  }
  std::unique_ptr<Server> Start() { return Server::Start(settings, log, &error); }

  RestoreLimit limit;
  Fd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null.get(), LogLevel::kError};
  Settings settings;
  std::string error;
};

TEST_CASE("server: the soft limit of descriptors is raised to the hard limit") {
  const RestoreLimit limit;
  rlimit lowered = limit.before;
  lowered.rlim_cur = limit.before.rlim_cur - 1;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &lowered) == 0);
  CHECK(RaiseDescriptorLimit() == limit.before.rlim_max);
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  CHECK(now.rlim_cur == limit.before.rlim_max);
}

TEST_CASE("server: it listens on the addresses that it reports, with the ports that the kernel picked") {
  Starter starter;
  starter.settings.listen.push_back(At("127.0.0.2:0"));
  starter.settings.workers = 2;
  const auto server = starter.Start();
  REQUIRE_MESSAGE(server != nullptr, starter.error);
  REQUIRE(server->listening().size() == 2);
  CHECK(server->listening()[1].ip == At("127.0.0.2:0").ip);
  for (const Endpoint& at : server->listening()) {
    CHECK(at.port != 0);
    CHECK(InUse(at));
    const Connecting client = Connect(at);
    REQUIRE(unit::WaitFor(client.socket.get(), POLLOUT));
    CHECK(ConnectFault(client.socket.get()) == Fault::kNone);
  }
  CHECK_FALSE(server->finished());
}

TEST_CASE("server: after its destruction nothing listens") {
  Starter starter;
  auto server = starter.Start();
  REQUIRE(server != nullptr);
  const Endpoint at = server->listening()[0];
  server.reset();
  CHECK_FALSE(InUse(at));
}

TEST_CASE("server: a stop ends its workers, and so does a drain without sessions") {
  for (const bool drain : {false, true}) {
    CAPTURE(drain);
    Starter starter;
    starter.settings.workers = 3;
    const auto server = starter.Start();
    REQUIRE(server != nullptr);
    drain ? server->Drain() : server->Stop();
    while (!server->finished()) {
      REQUIRE(unit::WaitFor(server->finished_fd(), POLLIN));
      server->ClearFinished();
    }
    CHECK(server->finished());
  }
}

TEST_CASE("server: an address that is in use or not local is an error with the address and the reason") {
  Starter starter;
  const auto first = starter.Start();
  REQUIRE(first != nullptr);
  starter.settings.listen = {first->listening()[0]};
  CHECK(starter.Start() == nullptr);
  CHECK(starter.error ==
        "cannot listen on " + first->listening()[0].ToString() + ": the address is in use by another program");

  starter.settings.listen = {At("203.0.113.1:0")};
  CHECK(starter.Start() == nullptr);
  CHECK(starter.error == "cannot bind 203.0.113.1:0: Cannot assign requested address");
}

TEST_CASE("server: the number of sessions is limited by the descriptors") {
  Starter starter;
  const std::size_t fit = BudgetFor(RaiseDescriptorLimit(), 1, 1).sessions;
  const std::pair<std::size_t, std::size_t> rows[] = {{0, fit}, {1, 1}, {fit, fit}, {fit + 1, fit}};
  for (const auto& [asked, given] : rows) {
    starter.settings.connections_max = asked;
    const auto server = starter.Start();
    REQUIRE(server != nullptr);
    CHECK(server->settings().connections_max == given);
  }
}

}  // namespace
}  // namespace penstock
