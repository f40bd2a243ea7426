#include "penstock/dns/servers.h"

#include <chrono>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/start.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

using test::kStart;

NameServers Three(int attempts) {
  NameServers servers;
  std::vector<Endpoint> endpoints(3);
  servers.Set(endpoints, attempts);
  return servers;
}

// The servers that one question attempts, in order, as digits.
std::string Order(NameServers& servers, std::size_t start, TimePoint now) {
  std::string order;
  ServersAsked asked;
  while (const auto server = servers.Pick(asked, start, now)) {
    ++asked.attempts[*server];
    order += std::to_string(*server);
  }
  return order;
}

}  // namespace

TEST_CASE("servers are asked in the order of the file, attempt by attempt") {
  NameServers servers = Three(2);
  CHECK(Order(servers, 0, kStart) == "012012");
  CHECK(Order(servers, 1, kStart) == "120120");
  CHECK(Order(servers, 5, kStart) == "201201");
}

TEST_CASE("a server that reported a failure is not asked again by the same question") {
  NameServers servers = Three(2);
  ServersAsked asked;
  asked.failed[0] = true;
  CHECK(servers.Pick(asked, 0, kStart) == 1);
  asked.failed[1] = asked.failed[2] = true;
  CHECK(servers.Pick(asked, 0, kStart) == std::nullopt);
}

TEST_CASE("a suspect server is asked last, and probed by one question at a time") {
  NameServers servers = Three(1);
  servers.Silent(0, kStart, kStart + 1s);
  CHECK(Order(servers, 0, kStart + 1s) == "120");
  const TimePoint later = kStart + 1s + 2 * kServerSuspectTime;
  CHECK(servers.Pick({}, 0, later) == 0);
  CHECK(servers.Pick({}, 0, later) == 1);
  CHECK(servers.Pick({}, 0, later + kServerSuspectTime) == 0);
  servers.Heard(0, later + kServerSuspectTime);
  CHECK(Order(servers, 0, later + kServerSuspectTime) == "012");
  CHECK(Order(servers, 0, later + kServerSuspectTime) == "012");
}

TEST_CASE("a server that answers other questions is not suspect") {
  NameServers servers = Three(1);
  servers.Heard(0, kStart + 500ms);
  servers.Silent(0, kStart, kStart + 1s);
  CHECK(Order(servers, 0, kStart + 1s) == "012");
}

TEST_CASE("if all servers are suspect, they are asked in the order of the file") {
  NameServers servers = Three(1);
  for (std::size_t server = 0; server < 3; ++server) servers.Silent(server, kStart, kStart + 1s);
  CHECK(Order(servers, 0, kStart + 1s) == "012");
}

}  // namespace penstock
