#include "penstock/udp/port_pool.h"

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::Ip;

const IpAddress kClient = Ip("192.0.2.1");

// A pool of `count` ports, of which other programs use those in `of_others`.
struct PortPoolRig {
  explicit PortPoolRig(std::uint16_t count) : pool({40'000, static_cast<std::uint16_t>(40'000 + count - 1)}) {}

  Fault Open(const IpAddress& client = kClient) {
    PortLease lease;
    const Fault fault = pool.Open(client, now, lease, [&](std::uint16_t port) {
      ++attempts;
      if (std::ranges::find(of_others, port) != of_others.end()) return Fault::kOther;
      CHECK(std::ranges::find(opened, port) == opened.end());
      opened.push_back(port);
      return Fault::kNone;
    });
    if (fault == Fault::kNone) leases.push_back(std::move(lease));
    return fault;
  }
  void TakeAllForOthers(std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) of_others.push_back(static_cast<std::uint16_t>(40'000 + i));
  }
  void CloseLast() {
    leases.pop_back();
    opened.pop_back();
  }

  PortPool pool;
  TimePoint now{};
  std::vector<std::uint16_t> of_others;
  std::vector<std::uint16_t> opened;
  std::vector<PortLease> leases;
  int attempts = 0;
};

TEST_CASE("port_pool: without a range the kernel picks each port") {
  PortPool pool({0, 0});
  std::vector<PortLease> leases(3);
  for (PortLease& lease : leases) {
    CHECK(pool.Open(kClient, {}, lease, [](std::uint16_t port) {
      CHECK(port == 0);
      return Fault::kNone;
    }) == Fault::kNone);
  }
}

TEST_CASE("port_pool: in a full range one request makes kPortAttempts attempts, and later ones none for a while") {
  constexpr std::uint16_t kPorts = 8'000;
  PortPoolRig rig(kPorts);
  rig.TakeAllForOthers(kPorts);
  CHECK(rig.Open() == Fault::kOther);
  CHECK(rig.attempts == kPortAttempts);
  rig.now += kPortsFullMemory - std::chrono::milliseconds(1);
  CHECK(rig.Open() == Fault::kOther);
  CHECK(rig.attempts == kPortAttempts);
  rig.now += std::chrono::milliseconds(1);
  CHECK(rig.Open() == Fault::kOther);
  CHECK(rig.attempts == 2 * kPortAttempts);
  rig.of_others.clear();
  rig.now += kPortsFullMemory;
  CHECK(rig.Open() == Fault::kNone);
}

TEST_CASE("port_pool: each port of a small range is tried once") {
  PortPoolRig rig(16);
  rig.TakeAllForOthers(15);
  CHECK(rig.Open() == Fault::kNone);
  CHECK(rig.opened.front() == 40'015);
  rig.CloseLast();
  rig.TakeAllForOthers(16);
  rig.attempts = 0;
  CHECK(rig.Open() == Fault::kOther);
  CHECK(rig.attempts == 16);
}

TEST_CASE("port_pool: after a failure a returned port makes Open try again at once") {
  PortPoolRig rig(4);
  CHECK(rig.Open() == Fault::kNone);
  rig.of_others = {40'000, 40'001, 40'002, 40'003};
  CHECK(rig.Open() == Fault::kOther);
  rig.of_others.clear();
  CHECK(rig.Open() == Fault::kOther);  // not tried again yet
  rig.CloseLast();
  CHECK(rig.Open() == Fault::kNone);
}

TEST_CASE("port_pool: one client leaves ports to others, and can open as many again after it has closed them") {
  PortPoolRig rig(64);
  while (rig.Open() == Fault::kNone) {
  }
  CHECK(rig.opened.size() == 48);
  // A random key puts another client into the same share with a probability of 1 in 256: of three, one is in another.
  const auto others = {Ip("192.0.2.2"), Ip("192.0.2.3"), Ip("2001:db8::1")};
  CHECK(std::ranges::any_of(others, [&](const IpAddress& other) { return rig.Open(other) == Fault::kNone; }));
  while (!rig.leases.empty()) rig.CloseLast();
  for (int i = 0; i < 48; ++i) REQUIRE(rig.Open() == Fault::kNone);
  CHECK(rig.Open() == Fault::kOther);
}

TEST_CASE("port_pool: a fault that is not about the port ends the search and costs no port") {
  PortPoolRig rig(2);
  PortLease lease;
  for (int i = 0; i < 3; ++i) {
    int attempts = 0;
    CHECK(rig.pool.Open(kClient, {}, lease, [&](std::uint16_t) {
      ++attempts;
      return Fault::kExhausted;
    }) == Fault::kExhausted);
    CHECK(attempts == 1);
  }
  CHECK(rig.Open() == Fault::kNone);
  CHECK(rig.Open() == Fault::kNone);
}

}  // namespace
}  // namespace penstock
