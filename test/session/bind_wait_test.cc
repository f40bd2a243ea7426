#include "penstock/session/bind_wait.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/peer.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using test::Peer;
using Progress = BindWait::Progress;
using unit::At;
using unit::HasV6;
using unit::Ip;
using unit::WaitUntil;

constexpr std::uint8_t kListenerTag = 9;
constexpr std::uint8_t kRetryTag = 8;

// The worker's part for a wait. Time passes only when the test advances it.
struct BindWaitRig {
  static constexpr Handle kOwner{17, 4};

  explicit BindWaitRig(PortRange range = {}) : ports(range) {}

  Fault ListenFor(const std::vector<std::string_view>& peers) {
    std::vector<IpAddress> ips;
    for (const std::string_view text : peers) ips.push_back(Ip(text));
    return wait.ListenFor(ips, tools());
  }
  BindTools tools() { return {{rules, guard, client, {}, Command::kBind}, poller, retries, counters, clock, ports}; }
  Progress Step() { return wait.Step(0, tools()); }

  // Waits for an edge of the listener; there is one for each connection.
  void TakeEdge() {
    bool edge = false;
    CHECK(WaitUntil([&] {
      const int count = poller.Wait(std::chrono::milliseconds(1));
      for (int i = 0; i < count; ++i) {
        CHECK(poller.At(i).cookie.tag == kListenerTag);
        CHECK(poller.At(i).cookie.handle == kOwner);
        wait.OnListener();
        edge = true;
      }
      return edge;
    }));
  }
  Progress UntilEdge() {
    TakeEdge();
    return Step();
  }

  Clock clock;
  Guard guard{clock};
  RuleSet rules;
  IpAddress client = Ip("127.0.0.1");
  Poller poller;
  DeadlineQueue retries{kAttemptDelay};
  Counters counters;
  PortPool ports;
  BindWait wait{kOwner, kListenerTag, kRetryTag};
};

void ExpectPeerFrom(std::string_view ip) {
  BindWaitRig rig;
  REQUIRE(rig.ListenFor({ip}) == Fault::kNone);
  CHECK(rig.wait.listening());
  const Endpoint at = rig.wait.at();
  CHECK(at.ip == Ip(ip));
  CHECK(at.port != 0);
  CHECK(rig.Step() == Progress::kWaiting);
  const Peer peer = Peer::To(at);
  REQUIRE(rig.UntilEdge() == Progress::kAccepted);
  CHECK_FALSE(rig.wait.listening());
  const Accepted accepted = rig.wait.TakePeer();
  CHECK(accepted.peer == peer.local());
  CHECK(LocalEndpoint(accepted.socket.get()) == at);
  CHECK_THROWS(Peer::To(at));
  CHECK(rig.counters.bind_waits.value() == 1);
  CHECK(rig.counters.bind_admitted.value() == 1);
}

TEST_CASE("bind_wait: the expected peer is accepted, and the listener is closed") { ExpectPeerFrom("127.0.0.1"); }

TEST_CASE("bind_wait: the expected peer is accepted over IPv6, and the listener is closed" * doctest::skip(!HasV6())) {
  ExpectPeerFrom("::1");
}

TEST_CASE("bind_wait: other peers are reset and counted, and the wait continues") {
  BindWaitRig rig;
  REQUIRE(rig.ListenFor({"127.0.0.1", "127.0.0.3"}) == Fault::kNone);
  const Endpoint at = rig.wait.at();
  const Peer unexpected = Peer::FromTo(At("127.0.0.2:0"), at);
  CHECK(rig.UntilEdge() == Progress::kWaiting);
  CHECK(unexpected.ReceiveToReset().empty());
  CHECK(rig.counters.bind_wrong.value() == 1);
  const Peer peer = Peer::FromTo(At("127.0.0.3:0"), at);
  CHECK(rig.UntilEdge() == Progress::kAccepted);
  CHECK(rig.counters.bind_wrong.value() == 1);
}

TEST_CASE("bind_wait: one turn checks kBindPeersPerTurn peers at most") {
  BindWaitRig rig;
  REQUIRE(rig.ListenFor({"127.0.0.1"}) == Fault::kNone);
  const Endpoint at = rig.wait.at();
  std::vector<Peer> unexpected;
  for (int i = 0; i < 2 * kBindPeersPerTurn + 1; ++i) {
    unexpected.push_back(Peer::FromTo(At("127.0.0.2:0"), at));
    rig.TakeEdge();
  }
  const Peer peer = Peer::To(at);
  rig.TakeEdge();
  CHECK(rig.Step() == Progress::kUnfinished);
  CHECK(rig.counters.bind_wrong.value() == kBindPeersPerTurn);
  CHECK(rig.Step() == Progress::kUnfinished);
  CHECK(rig.Step() == Progress::kAccepted);
  CHECK(rig.counters.bind_wrong.value() == unexpected.size());
}

TEST_CASE("bind_wait: a wait for any peer accepts only peers that the client may reach") {
  BindWaitRig rig;
  REQUIRE(rig.wait.ListenForAnyPeer(At("127.0.0.1:0"), rig.tools()) == Fault::kNone);
  rig.client = Ip("192.0.2.1");
  const Endpoint at = rig.wait.at();
  const Peer denied = Peer::FromTo(At("127.0.0.2:0"), at);
  CHECK(rig.UntilEdge() == Progress::kWaiting);
  CHECK(denied.ReceiveToReset().empty());
  rig.client = Ip("127.0.0.1");
  const Peer peer = Peer::FromTo(At("127.0.0.2:0"), at);
  CHECK(rig.UntilEdge() == Progress::kAccepted);
}

TEST_CASE("bind_wait: it listens on the address towards the first peer that has a route" * doctest::skip(!HasV6())) {
  BindWaitRig rig;
  REQUIRE(rig.ListenFor({"255.255.255.255", "::1", "127.0.0.1"}) == Fault::kNone);
  CHECK(rig.wait.at().ip == Ip("::1"));
  CHECK(BindWaitRig().ListenFor({"255.255.255.255"}) != Fault::kNone);
}

TEST_CASE("bind_wait: without a descriptor for the peer it pauses, and accepts the peer at the retry") {
  BindWaitRig rig;
  REQUIRE(rig.ListenFor({"127.0.0.1"}) == Fault::kNone);
  const Peer peer = Peer::To(rig.wait.at());
  {
    const unit::NoDescriptors none;
    CHECK(rig.UntilEdge() == Progress::kWaiting);
    CHECK(rig.Step() == Progress::kWaiting);
    CHECK(rig.counters.bind_paused.value() == 1);  // the second step did not try to accept
  }
  CHECK(rig.Step() == Progress::kWaiting);
  const auto cookie = rig.retries.Expire(rig.clock.now() + kAttemptDelay);
  REQUIRE(cookie);
  CHECK(cookie->tag == kRetryTag);
  CHECK(cookie->handle == BindWaitRig::kOwner);
  CHECK(rig.Step() == Progress::kAccepted);
}

TEST_CASE("bind_wait: without a descriptor or a free port there is no listener") {
  const test::ClosedPort taken;
  BindWaitRig full({taken.at().port, taken.at().port});
  CHECK(full.ListenFor({"127.0.0.1"}) == Fault::kOther);
  CHECK_FALSE(full.wait.listening());
  BindWaitRig rig;
  const unit::NoDescriptors none;
  CHECK(rig.ListenFor({"127.0.0.1"}) == Fault::kExhausted);
  CHECK(rig.wait.ListenForAnyPeer(At("127.0.0.1:0"), rig.tools()) == Fault::kExhausted);
  CHECK_FALSE(rig.wait.listening());
  CHECK(rig.counters.bind_waits.value() == 0);
}

}  // namespace
}  // namespace penstock
