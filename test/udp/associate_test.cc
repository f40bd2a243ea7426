#include "penstock/udp/associate.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "penstock/dns/resolver.h"
#include "test/support/sockets.h"
#include "test/support/udp_peer.h"

namespace penstock {
namespace {

using test::UdpHeader;
using test::UdpPeer;
using unit::At;
using unit::WaitUntil;

constexpr std::uint8_t kFirstTag = 9;
const Handle kSession{17, 4};

// The worker's part for an association. Time passes only when the test advances it.
struct AssociationRig {
  explicit AssociationRig(std::uint16_t requested_port = 0) {
    REQUIRE(association.Open(At("127.0.0.1:0"), requested_port, tools()) == Fault::kNone);
  }
  ~AssociationRig() {
    association.Release(pool, resolver, counters);
    pool.associations.Release(association.self());
  }

  AssociateTools tools() {
    return {settings, {rules, guard, client.ip, {}, Command::kUdpAssociate},
            poller,   resolver,
            counters, pool,
            ports,    client,
            nullptr,  now};
  }

  // Runs turns until `condition` is true.
  template <class Condition>
  bool Until(Condition condition) {
    return WaitUntil([&] {
      const int count = poller.Wait(std::chrono::milliseconds(1));
      for (int i = 0; i < count; ++i) {
        association.OnEvents(static_cast<Association::Side>(poller.At(i).cookie.tag - kFirstTag), poller.At(i).events);
      }
      association.Step(tools());
      return condition();
    });
  }

  // True if a datagram from `peer` is relayed to the target, false if it is counted as foreign.
  bool Takes(const UdpPeer& peer) {
    const std::uint64_t before = counters.datagrams_up.value() + counters.udp_foreign.value();
    const std::uint64_t foreign = counters.udp_foreign.value();
    peer.Send(UdpHeader(target.at()) + "x", association.Bound(tools()));
    REQUIRE(Until([&] { return counters.datagrams_up.value() + counters.udp_foreign.value() > before; }));
    return counters.udp_foreign.value() == foreign;
  }

  Settings settings;
  Clock clock;
  TimePoint now = clock.now();
  Guard guard{clock};
  RuleSet rules;
  Endpoint client = At("127.0.0.1:1");
  Poller poller;
  Counters counters;
  NameFiles name_files{settings.names.resolv_conf, settings.names.hosts_file};
  Resolver resolver{settings.names, name_files, poller, clock, counters, 1};
  AssociationPool pool{1, 2};
  PortPool ports{PortRange()};
  Association& association = *pool.associations.Acquire(kSession, kFirstTag);
  UdpPeer target;
};

TEST_CASE("associate: another port takes over only once the first has been silent for kUdpPortMemory") {
  AssociationRig rig;
  const UdpPeer first;
  const UdpPeer second;
  CHECK(rig.Takes(first));
  rig.now += kUdpPortMemory - std::chrono::milliseconds(1);
  CHECK_FALSE(rig.Takes(second));
  CHECK(rig.Takes(first));
  rig.now += kUdpPortMemory - std::chrono::milliseconds(1);
  CHECK_FALSE(rig.Takes(second));
  // A malformed datagram ends the silence, too, but does not take over.
  first.Send("malformed", rig.association.Bound(rig.tools()));
  REQUIRE(rig.Until([&] { return rig.counters.udp_malformed.value() == 1; }));
  rig.now += kUdpPortMemory - std::chrono::milliseconds(1);
  CHECK_FALSE(rig.Takes(second));
  rig.now += std::chrono::milliseconds(1);
  second.Send("malformed", rig.association.Bound(rig.tools()));
  REQUIRE(rig.Until([&] { return rig.counters.udp_malformed.value() == 2; }));
  CHECK(rig.Takes(first));
  rig.now += kUdpPortMemory;
  CHECK(rig.Takes(second));
  CHECK_FALSE(rig.Takes(first));
}

TEST_CASE("associate: the port that the request names takes over at once and is never taken over") {
  const UdpPeer named;
  const UdpPeer other;
  AssociationRig rig(named.at().port);
  CHECK(rig.Takes(other));  // the named port might never send
  CHECK(rig.Takes(named));
  CHECK_FALSE(rig.Takes(other));
  rig.now += 2 * kUdpPortMemory;
  CHECK_FALSE(rig.Takes(other));
  CHECK(rig.Takes(named));
}

TEST_CASE("associate: the named port takes over in the middle of a batch") {
  const UdpPeer named;
  const UdpPeer other;
  AssociationRig rig(named.at().port);
  const Endpoint bound = rig.association.Bound(rig.tools());
  for (const UdpPeer* peer : {&other, &named, &other}) peer->Send(UdpHeader(rig.target.at()) + "x", bound);
  REQUIRE(rig.Until([&] { return rig.counters.udp_foreign.value() == 1; }));
  CHECK(rig.counters.datagrams_up.value() == 2);
  rig.target.Send("answer", rig.target.Receive().from);
  REQUIRE(rig.Until([&] { return rig.counters.datagrams_down.value() == 1; }));
  CHECK(named.Receive().from == bound);
}

}  // namespace
}  // namespace penstock
