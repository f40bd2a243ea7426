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
const Handle kOwner{17, 4};

// What a worker does for a dialer. Time passes only when the test says so.
struct Rig {
  void Begin(const std::vector<std::string_view>& addresses, std::uint16_t port) {
    std::vector<IpAddress> ips;
    for (const std::string_view text : addresses) ips.push_back(Ip(text));
    dialer.Begin(ips, port, tools());
  }
  ~Rig() { dialer.Stop(tools()); }
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
      return dialer.status() != Status::kTrying;
    }));
    return dialer.status();
  }
  // The attempt delay passes, if one is running.
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

// Runs `body` with a port that is free on every loopback address it binds: with another one when somebody has it on one
// of them.
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
  Rig rig;
  CHECK(rig.dialer.status() == Status::kIdle);
  rig.Begin({"127.0.0.1"}, target.at().port);
  CHECK(rig.dialer.status() == Status::kTrying);
  CHECK_FALSE(rig.delays.next());  // there is no second address to start
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.peer() == target.at());
  CHECK(rig.dialer.events().writable);
  const Fd socket = rig.dialer.TakeSocket();
  CHECK(target.Accept().remote() == LocalEndpoint(socket.get()));
  // It is registered already, under its attempt's tag.
  CHECK_FALSE(rig.poller.Add(socket.get(), {}));
}

TEST_CASE("dialer: a refused address is a failure that says so") {
  const test::ClosedPort closed;
  Rig rig;
  rig.Begin({"127.0.0.1"}, closed.at().port);
  CHECK(rig.UntilDecided() == Status::kFailed);
  CHECK(rig.dialer.fault() == Fault::kRefused);
}

TEST_CASE("dialer: a target that accepts, answers and resets before its edge is read is connected, and broken") {
  const TargetListener target;
  Rig rig;
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
  Rig rig;
  rig.Begin({"127.0.0.1", "127.0.0.2", "127.0.0.3"}, target.at().port);
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.peer() == target.at());
  CHECK(rig.dialer.fault() == Fault::kRefused);
  CHECK_FALSE(rig.delays.next());
}

TEST_CASE("dialer: an address that cannot even be tried makes the next one start at once") {
  const TargetListener target;
  Rig rig;
  rig.Begin({"255.255.255.255", "127.0.0.1"}, target.at().port);
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(rig.dialer.peer() == target.at());
}

TEST_CASE("dialer: an address that does not answer gets its delay, then the next one starts beside it") {
  WithPort([](std::uint16_t port) {
    SilentTarget silent(On("127.0.0.1", port));
    const TargetListener target(On("127.0.0.2", port));
    Rig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2"}, port);
    REQUIRE(rig.delays.next().has_value());
    CHECK(*rig.delays.next() == rig.clock.now() + kAttemptDelay);
    rig.Look();
    CHECK(rig.dialer.status() == Status::kTrying);
    CHECK_FALSE(target.HasPendingConnection());  // not before its time

    REQUIRE(rig.PassDelay());
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == target.at());
    CHECK_FALSE(rig.delays.next());
  });
}

TEST_CASE("dialer: the first to connect wins, though it started first and answers late, and the rest are closed") {
  WithPort([](std::uint16_t port) {
    SilentTarget late(On("127.0.0.1", port));
    const SilentTarget never(On("127.0.0.2", port));
    Rig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2"}, port);
    REQUIRE(rig.PassDelay());
    CHECK_FALSE(rig.PassDelay());  // there is no third address
    CHECK(rig.dialer.status() == Status::kTrying);
    const std::size_t before = test::Descriptors()["socket"];
    late.Open();
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == late.at());
    CHECK(test::Descriptors()["socket"] < before);
  });
}

TEST_CASE("dialer: an address that is refused while another is silent starts the next, and the silent one may win") {
  WithPort([](std::uint16_t port) {
    const SilentTarget silent(On("127.0.0.1", port));
    const TargetListener target(On("127.0.0.3", port));
    Rig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2", "127.0.0.3"}, port);  // silent, refused, good
    REQUIRE(rig.PassDelay());
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == target.at());
  });
}

TEST_CASE("dialer: it goes on trying while one attempt is under way, though the others failed") {
  WithPort([](std::uint16_t port) {
    const SilentTarget silent(On("127.0.0.1", port));
    Rig rig;
    rig.Begin({"127.0.0.1", "127.0.0.2"}, port);
    REQUIRE(rig.PassDelay());
    CHECK(WaitUntil([&] {
      rig.Look();
      return rig.dialer.fault() != Fault::kNone;
    }));
    CHECK(rig.dialer.fault() == Fault::kRefused);
    CHECK(rig.dialer.status() == Status::kTrying);
  });
}

TEST_CASE("dialer: families take turns, the first address's family first" * doctest::skip(!HasV6())) {
  WithPort([](std::uint16_t port) {
    const TargetListener v4(On("127.0.0.2", port));
    const TargetListener v6(On("::1", port));
    Rig first_v4;
    first_v4.Begin({"127.0.0.1", "127.0.0.2", "::1"}, port);  // the first is refused
    CHECK(first_v4.UntilDecided() == Status::kConnected);
    CHECK(first_v4.dialer.peer() == v6.at());

    Rig first_v6;
    first_v6.Begin({"2001:db8::1", "::1", "127.0.0.2"}, port);  // cannot be reached, or does not answer
    first_v6.PassDelay();
    CHECK(first_v6.UntilDecided() == Status::kConnected);
    CHECK(first_v6.dialer.peer() == v4.at());
  });
}

TEST_CASE("dialer: of more addresses than it tries, both families have their share" * doctest::skip(!HasV6())) {
  WithPort([](std::uint16_t port) {
    const TargetListener v6(On("::1", port));
    Rig rig;
    std::vector<std::string_view> addresses(2 * kAddressesPerName, "127.0.0.1");
    addresses.push_back("::1");
    rig.Begin(addresses, port);
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == v6.at());
  });
}

TEST_CASE("dialer: no more addresses are tried than the bound, and all are of one family if need be") {
  WithPort([](std::uint16_t port) {
    const TargetListener target(On("127.0.0.2", port));
    for (const bool beyond : {false, true}) {
      Rig rig;
      std::vector<std::string_view> addresses(kAddressesPerName - (beyond ? 0 : 1), "127.0.0.1");
      addresses.push_back("127.0.0.2");
      rig.Begin(addresses, port);
      CHECK(rig.UntilDecided() == (beyond ? Status::kFailed : Status::kConnected));
    }
  });
}

TEST_CASE("dialer: each address is dialled from its own source") {
  WithPort([](std::uint16_t port) {
    const TargetListener target(On("127.0.0.3", port));
    const IpAddress addresses[] = {Ip("::1"), Ip("127.0.0.4"), Ip("127.0.0.3")};
    const Source refused{Ip("127.0.0.5"), {}, {}};
    const Source good{Ip("127.0.0.2"), {}, {}};
    const Source* const sources[] = {&refused, nullptr, &good};  // of the first, which has no family for it
    Rig rig;
    rig.dialer.Begin(addresses, port, rig.tools(), sources);
    CHECK(rig.UntilDecided() == Status::kConnected);
    CHECK(rig.dialer.peer() == target.at());
    CHECK(LocalEndpoint(rig.dialer.socket()).ip == Ip("127.0.0.2"));
  });
}

TEST_CASE("dialer: addresses that no source has a family for are not dialled, and the failure says so") {
  const TargetListener target;
  const IpAddress address = target.at().ip;
  const Source v6{{}, Ip("::1"), {}};
  const Source* const sources[] = {&v6};
  Rig rig;
  rig.dialer.Begin({&address, 1}, target.at().port, rig.tools(), sources);
  CHECK(rig.dialer.status() == Status::kFailed);
  CHECK(rig.dialer.fault() == Fault::kNoFamily);
  CHECK_FALSE(target.HasPendingConnection());
}

TEST_CASE("dialer: without descriptors it fails at once, and says why") {
  Rig rig;
  const unit::NoDescriptors none;
  rig.Begin({"127.0.0.1", "127.0.0.2"}, 80);
  CHECK(rig.dialer.status() == Status::kFailed);
  CHECK(rig.dialer.fault() == Fault::kExhausted);
}

TEST_CASE("dialer: no more attempts are under way than the bound, however many addresses are silent") {
  const SilentTarget silent;
  const std::size_t before = test::Descriptors()["socket"];
  {
    Rig rig;
    rig.Begin(std::vector<std::string_view>(kAddressesPerName, "127.0.0.1"), silent.at().port);
    for (std::size_t attempts = 1; attempts < kAttemptsAtOnce; ++attempts) REQUIRE(rig.PassDelay());
    rig.PassDelay();
    CHECK(test::Descriptors()["socket"] == before + kAttemptsAtOnce);
    CHECK(rig.dialer.status() == Status::kTrying);
  }
  CHECK(test::Descriptors()["socket"] == before);
}

TEST_CASE("dialer: attempts beside the first come from what all dialers share, and go back there") {
  const SilentTarget silent;
  FairShares shared(3);
  const std::size_t before = test::Descriptors()["socket"];
  {
    std::vector<std::unique_ptr<Rig>> rigs;
    for (int i = 0; i < 5; ++i) {
      rigs.push_back(std::make_unique<Rig>());
      rigs.back()->further_attempts = &shared;
      rigs.back()->Begin(std::vector<std::string_view>(kAddressesPerName, "127.0.0.1"), silent.at().port);
    }
    for (std::size_t turn = 0; turn < kAttemptsAtOnce; ++turn) {
      for (const auto& rig : rigs) REQUIRE(rig->PassDelay());  // it looks again, attempt or not
    }
    CHECK(test::Descriptors()["socket"] - before == 5 + 3 - shared.free());
    CHECK(shared.free() <= 1);
    for (const auto& rig : rigs) CHECK(rig->dialer.status() == Status::kTrying);

    // What one gives back, another one takes.
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

TEST_CASE("dialer: an attempt that fails, or loses, gives its room back") {
  SilentTarget silent;
  FairShares shared(2);
  Rig rig;
  rig.further_attempts = &shared;
  rig.Begin({"127.0.0.1", "127.0.0.1"}, silent.at().port);
  REQUIRE(rig.PassDelay());
  CHECK(shared.free() == 1);
  silent.Open();
  CHECK(rig.UntilDecided() == Status::kConnected);
  CHECK(shared.free() == 2);
}

TEST_CASE("dialer: events of attempts that it did not make change nothing") {
  const SilentTarget silent;
  Rig rig;
  rig.Begin({"127.0.0.1", "127.0.0.1"}, silent.at().port);
  rig.dialer.OnEvent(1, {.writable = true}, rig.tools());  // not started yet
  rig.dialer.OnEvent(15, {.writable = true}, rig.tools());
  rig.dialer.OnEvent(255, {.writable = true}, rig.tools());
  rig.dialer.OnEvent(0, {.readable = true}, rig.tools());  // connects, but not yet
  CHECK(rig.dialer.status() == Status::kTrying);
}

TEST_CASE("dialer: the most informative failure is told") {
  const struct {
    Fault earlier, latest, told;
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
    CHECK(MoreInformative(row.earlier, row.latest) == row.told);
  }
}

}  // namespace
}  // namespace penstock
