#include "penstock/session/dialer.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/clock.h"
#include "test/support/peer.h"
#include "test/support/process.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using Status = Dialer::Status;
using test::SilentTarget;
using test::TargetListener;
using unit::At;
using unit::HasV6;
using unit::Ip;
using unit::WaitUntil;

constexpr std::uint8_t kFirstTag = 10;
constexpr std::uint8_t kDelayTag = 9;

// The worker's part for a dialer. Time passes only when the test advances it.
struct DialerRig {
  static constexpr Handle kOwner{17, 4};

  void Begin(const std::vector<std::string_view>& addresses, std::uint16_t port) {
    std::vector<IpAddress> ips;
    for (const std::string_view text : addresses) ips.push_back(Ip(text));
    dialer.Begin(ips, port, tools());
  }
  ~DialerRig() { dialer.Stop(tools()); }
  DialTools tools() { return {poller, delays, clock, *further_attempts, 0}; }

  void Look() {
    const int count = poller.Wait(std::chrono::milliseconds(1));
    for (int i = 0; i < count; ++i) {
      const Poller::Event event = poller.At(i);
      CHECK(event.cookie.handle == kOwner);
      dialer.OnEvent(event.cookie.tag - std::size_t{kFirstTag}, event.events, tools());
    }
  }
  Status UntilDecided() {
    CHECK(WaitUntil([&] {
      Look();
      return dialer.status() != Status::kConnecting;
    }));
    return dialer.status();
  }
  // Lets the attempt delay expire. Returns false if none is armed.
  bool PassDelay() {
    const auto cookie = delays.Expire(clock.now() + kAttemptDelay);
    if (!cookie) return false;
    CHECK(cookie->tag == kDelayTag);
    CHECK(cookie->handle == kOwner);
    dialer.OnDelay(tools());
    return true;
  }

  Poller poller;
  DeadlineQueue delays{kAttemptDelay};
  Clock clock;
  FairShares own_attempts{100};
  FairShares* further_attempts = &own_attempts;
  Dialer dialer{kOwner, kFirstTag, kDelayTag};
};

// Runs `body` with a port that is free on every loopback address that it binds. If the port is in use on one of them,
// another port is tried.
template <class Body>
void WithPort(Body body) {
  for (int attempt = 0;; ++attempt) {
    const std::uint16_t port = test::ClosedPort().at().port;
    try {
      return body(port);
    } catch (const std::runtime_error&) {
      if (attempt == 20) throw;
    }
  }
}

Endpoint On(std::string_view ip, std::uint16_t port) { return {Ip(ip), port}; }

TEST_CASE("dialer: the only address connects") {
  const TargetListener target;
  DialerRig rig;
  CHECK(rig.dialer.status() == Status::kIdle);
  rig.Begin({"127.0.0.1"}, target.at().port);
  CHECK(rig.dialer.status() == Status::kConnecting);
  CHECK_FALSE(rig.delays.next());  // there is no second address to start
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.peer() == target.at());
  CHECK(rig.dialer.events().writable);
  const Fd socket = rig.dialer.TakeSocket();
  CHECK(target.Accept().remote() == LocalEndpoint(socket.get()));
  // It is registered already, under its attempt's tag.
  CHECK_FALSE(rig.poller.Add(socket.get(), {}));
}

TEST_CASE("dialer: a refused connection is the fault kRefused") {
  const test::ClosedPort closed;
  DialerRig rig;
  rig.Begin({"127.0.0.1"}, closed.at().port);
  CHECK(rig.UntilDecided() == Status::kFailed);
  CHECK(rig.dialer.fault() == Fault::kRefused);
}

TEST_CASE("dialer: a target that accepts, sends and resets before its edge is read is connected and broken") {
  const TargetListener target;
  DialerRig rig;
  rig.Begin({"127.0.0.1"}, target.at().port);
  test::Peer accepted = target.Accept();
  accepted.Send("last words");
  accepted.Abort();
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.events().broken);
  const Fd socket = rig.dialer.TakeSocket();
  CHECK(unit::ReceiveSome(socket.get()) == "last words");
}

TEST_CASE("dialer: a refused address makes the next one start at once") {
  const TargetListener target(At("127.0.0.3:0"));
  DialerRig rig;
  rig.Begin({"127.0.0.1", "127.0.0.2", "127.0.0.3"}, target.at().port);
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.peer() == target.at());
  CHECK(rig.dialer.fault() == Fault::kRefused);
  CHECK_FALSE(rig.delays.next());
}

TEST_CASE("dialer: an address without a route makes the next one start at once") {
  const TargetListener target;
  DialerRig rig;
  rig.Begin({"255.255.255.255", "127.0.0.1"}, target.at().port);
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.peer() == target.at());
}

TEST_CASE("dialer: a silent address gets the attempt delay, then the next one starts beside it") {
  WithPort([](std::uint16_t port) {
    SilentTarget silent(On("127.0.0.1", port));
    const TargetListener target(On("127.0.0.2", port));
    DialerRig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2"}, port);
    REQUIRE(rig.delays.next().has_value());
    CHECK(*rig.delays.next() == rig.clock.now() + kAttemptDelay);
    rig.Look();
    CHECK(rig.dialer.status() == Status::kConnecting);
    CHECK_FALSE(target.HasPendingConnection());  // not before the delay

    REQUIRE(rig.PassDelay());
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == target.at());
    CHECK_FALSE(rig.delays.next());
  });
}

TEST_CASE("dialer: the first attempt that connects wins, also a late one, and the others are closed") {
  WithPort([](std::uint16_t port) {
    SilentTarget late(On("127.0.0.1", port));
    const SilentTarget never(On("127.0.0.2", port));
    DialerRig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2"}, port);
    REQUIRE(rig.PassDelay());
    CHECK_FALSE(rig.PassDelay());  // there is no third address
    CHECK(rig.dialer.status() == Status::kConnecting);
    const std::size_t before = test::Descriptors()["socket"];
    late.Open();
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == late.at());
    CHECK(test::Descriptors()["socket"] < before);
  });
}

TEST_CASE("dialer: a refused address starts the next one while an earlier one is silent") {
  WithPort([](std::uint16_t port) {
    const SilentTarget silent(On("127.0.0.1", port));
    const TargetListener target(On("127.0.0.3", port));
    DialerRig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2", "127.0.0.3"}, port);  // silent, refused, good
    REQUIRE(rig.PassDelay());
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == target.at());
  });
}

TEST_CASE("dialer: it does not fail while one attempt is under way, although the others failed") {
  WithPort([](std::uint16_t port) {
    const SilentTarget silent(On("127.0.0.1", port));
    DialerRig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2"}, port);
    REQUIRE(rig.PassDelay());
    CHECK(WaitUntil([&] {
      rig.Look();
      return rig.dialer.fault() != Fault::kNone;
    }));
    CHECK(rig.dialer.fault() == Fault::kRefused);
    CHECK(rig.dialer.status() == Status::kConnecting);
  });
}

TEST_CASE("dialer: families alternate, and the family of the first address is first" * doctest::skip(!HasV6())) {
  WithPort([](std::uint16_t port) {
    const TargetListener v4(On("127.0.0.2", port));
    const TargetListener v6(On("::1", port));
    DialerRig first_v4;
    first_v4.Begin({"127.0.0.1", "127.0.0.2", "::1"}, port);  // the first is refused
    CHECK(first_v4.UntilDecided() == Status::kConnected);
    CHECK(first_v4.dialer.peer() == v6.at());

    DialerRig first_v6;
    first_v6.Begin({"2001:db8::1", "::1", "127.0.0.2"}, port);  // the first has no route or is silent
    first_v6.PassDelay();
    CHECK(first_v6.UntilDecided() == Status::kConnected);
    CHECK(first_v6.dialer.peer() == v4.at());
  });
}

TEST_CASE("dialer: of more addresses than the limit, some of each family are tried" * doctest::skip(!HasV6())) {
  WithPort([](std::uint16_t port) {
    const TargetListener v6(On("::1", port));
    DialerRig rig;
    std::vector<std::string_view> addresses(2 * kAddressesPerName, "127.0.0.1");
    addresses.push_back("::1");
    rig.Begin(addresses, port);
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == v6.at());
  });
}

TEST_CASE("dialer: at most kAddressesPerName addresses are tried, of one family if there is no other") {
  WithPort([](std::uint16_t port) {
    const TargetListener target(On("127.0.0.2", port));
    for (const bool beyond : {false, true}) {
      DialerRig rig;
      std::vector<std::string_view> addresses(kAddressesPerName - (beyond ? 0 : 1), "127.0.0.1");
      addresses.push_back("127.0.0.2");
      rig.Begin(addresses, port);
      CHECK(rig.UntilDecided() == (beyond ? Status::kFailed : Status::kConnected));
    }
  });
}

TEST_CASE("dialer: each address is connected from its own source") {
  WithPort([](std::uint16_t port) {
    const TargetListener target(On("127.0.0.3", port));
    const IpAddress addresses[] = {Ip("::1"), Ip("127.0.0.4"), Ip("127.0.0.3")};
    const Source refused{Ip("127.0.0.5"), {}, {}};
    const Source good{Ip("127.0.0.2"), {}, {}};
    const Source* const sources[] = {&refused, nullptr, &good};  // &refused has no IPv6 address for the first
    DialerRig rig;
    rig.dialer.Begin(addresses, port, rig.tools(), sources);
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == target.at());
    CHECK(LocalEndpoint(rig.dialer.socket()).ip == Ip("127.0.0.2"));
  });
}

TEST_CASE("dialer: an address of a family that its source does not have is not tried: kNoFamily") {
  const TargetListener target;
  const IpAddress address = target.at().ip;
  const Source v6{{}, Ip("::1"), {}};
  const Source* const sources[] = {&v6};
  DialerRig rig;
  rig.dialer.Begin({&address, 1}, target.at().port, rig.tools(), sources);
  CHECK(rig.dialer.status() == Status::kFailed);
  CHECK(rig.dialer.fault() == Fault::kNoFamily);
  CHECK_FALSE(target.HasPendingConnection());
}

TEST_CASE("dialer: without descriptors it fails at once with kExhausted") {
  DialerRig rig;
  const unit::NoDescriptors none;
  rig.Begin({"127.0.0.1", "127.0.0.2"}, 80);
  CHECK(rig.dialer.status() == Status::kFailed);
  CHECK(rig.dialer.fault() == Fault::kExhausted);
}

TEST_CASE("dialer: at most kAttemptsAtOnce attempts are under way, however many addresses are silent") {
  const SilentTarget silent;
  const std::size_t before = test::Descriptors()["socket"];
  {
    DialerRig rig;
    rig.Begin(std::vector<std::string_view>(kAddressesPerName, "127.0.0.1"), silent.at().port);
    for (std::size_t attempts = 1; attempts < kAttemptsAtOnce; ++attempts) REQUIRE(rig.PassDelay());
    rig.PassDelay();
    CHECK(test::Descriptors()["socket"] == before + kAttemptsAtOnce);
    CHECK(rig.dialer.status() == Status::kConnecting);
  }
  CHECK(test::Descriptors()["socket"] == before);
}

TEST_CASE("dialer: attempts beside the first are taken from a shared budget and returned to it") {
  const SilentTarget silent;
  FairShares shared(3);
  const std::size_t before = test::Descriptors()["socket"];
  {
    std::vector<std::unique_ptr<DialerRig>> rigs;
    for (int i = 0; i < 5; ++i) {
      rigs.push_back(std::make_unique<DialerRig>());
      rigs.back()->further_attempts = &shared;
      rigs.back()->Begin(std::vector<std::string_view>(kAddressesPerName, "127.0.0.1"), silent.at().port);
    }
    for (std::size_t turn = 0; turn < kAttemptsAtOnce; ++turn) {
      for (const auto& rig : rigs) REQUIRE(rig->PassDelay());  // the delay is armed again, with or without an attempt
    }
    CHECK(test::Descriptors()["socket"] - before == 5 + 3 - shared.free());
    CHECK(shared.free() <= 1);
    for (const auto& rig : rigs) CHECK(rig->dialer.status() == Status::kConnecting);

    // What one dialer returns, another one takes.
    const std::size_t free = shared.free();
    rigs.front()->dialer.Stop(rigs.front()->tools());
    CHECK(shared.free() > free);
    rigs.erase(rigs.begin());
    for (const auto& rig : rigs) rig->PassDelay();
    CHECK(shared.free() <= 1);
  }
  CHECK(shared.free() == 3);
  CHECK(test::Descriptors()["socket"] == before);
}

TEST_CASE("dialer: an attempt beside the first is returned to the budget when one connects") {
  SilentTarget silent;
  FairShares shared(2);
  DialerRig rig;
  rig.further_attempts = &shared;
  rig.Begin({"127.0.0.1", "127.0.0.1"}, silent.at().port);
  REQUIRE(rig.PassDelay());
  CHECK(shared.free() == 1);
  silent.Open();
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(shared.free() == 2);
}

TEST_CASE("dialer: events of attempts that do not exist change nothing") {
  const SilentTarget silent;
  DialerRig rig;
  rig.Begin({"127.0.0.1", "127.0.0.1"}, silent.at().port);
  rig.dialer.OnEvent(1, {.writable = true}, rig.tools());  // not started yet
  rig.dialer.OnEvent(15, {.writable = true}, rig.tools());
  rig.dialer.OnEvent(255, {.writable = true}, rig.tools());
  rig.dialer.OnEvent(0, {.readable = true}, rig.tools());  // under way, but not connected
  CHECK(rig.dialer.status() == Status::kConnecting);
}

TEST_CASE("dialer: of two faults the more informative one is kept") {
  const struct {
    Fault earlier, latest, kept;
  } rows[] = {
      {Fault::kNone, Fault::kTimedOut, Fault::kTimedOut},
      {Fault::kNone, Fault::kRefused, Fault::kRefused},
      {Fault::kTimedOut, Fault::kHostUnreachable, Fault::kHostUnreachable},
      {Fault::kHostUnreachable, Fault::kTimedOut, Fault::kHostUnreachable},
      {Fault::kHostUnreachable, Fault::kRefused, Fault::kRefused},
      {Fault::kRefused, Fault::kHostUnreachable, Fault::kRefused},
      {Fault::kRefused, Fault::kTimedOut, Fault::kRefused},
      {Fault::kRefused, Fault::kRefused, Fault::kRefused},
      {Fault::kTimedOut, Fault::kTimedOut, Fault::kTimedOut},
      {Fault::kNetworkUnreachable, Fault::kHostUnreachable, Fault::kHostUnreachable},  // the last of equals
      {Fault::kHostUnreachable, Fault::kNetworkUnreachable, Fault::kNetworkUnreachable},
      {Fault::kDenied, Fault::kTimedOut, Fault::kDenied},
      {Fault::kExhausted, Fault::kTimedOut, Fault::kExhausted},
      {Fault::kNoFamily, Fault::kRefused, Fault::kRefused},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.earlier));
    CAPTURE(static_cast<int>(row.latest));
    CHECK(MoreInformative(row.earlier, row.latest) == row.kept);
  }
}

}  // namespace
}  // namespace penstock
