// One client's UDP association (RFC 1928 section 7): a socket towards the client, one for each address family towards
// its targets, and the datagrams between them.
// Lent by a worker to a session from its reply until its end; the worker's thread only.
// Invariant: what one datagram is, or where it goes, never ends an association: it is carried, or dropped and counted.
// Everything a target sees comes from one port of its family, whoever the target is (RFC 4787: endpoint-independent
// mapping), and everything the client sees comes from the address and port that the reply told it.
// Deliberately not here: the TCP connection with which an association ends, and idleness (session.h).
//
//              one of --udp-ports                         any port, opened when first needed
//                    │                                     ┌── IPv4 socket ──▶ targets
//     client ──▶ client socket ──▶ header off, guard, name ┤
//                                                          └── IPv6 socket ──▶ targets
//            ◀────────────────────── filter, header on ◀──────────────
//
// Only the address from which the TCP connection came may send, and one port of it, for others may share that address.
// A valid datagram from the port that the request named pins that port for good. Until one comes (clients put anything
// there, and a NAT changes it) the first valid datagram pins its port, and another port may do so when nothing has been
// heard from that one for kUdpPortMemory, as when a NAT has forgotten it. What the request says of the address is not
// looked at.
//
// Datagrams whose target is a name that must be asked for wait in the worker's pool, a copy each, until the resolver
// answers: those behind them do not wait. At rest an association holds no buffer.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "penstock/base/counters.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/names.h"
#include "penstock/base/slab.h"
#include "penstock/base/socks5.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"
#include "penstock/os/poller.h"
#include "penstock/policy/access.h"
#include "penstock/policy/settings.h"
#include "penstock/relay/throttle.h"
#include "penstock/relay/way.h"
#include "penstock/udp/address_set.h"
#include "penstock/udp/datagrams.h"
#include "penstock/udp/port_pool.h"

namespace penstock {

class Association;
class Resolver;

// A datagram whose target is being looked up.
struct WaitingDatagram {
  WaitingDatagram(Handle handle, Association& its_association, Handle whose, std::uint16_t to_port,
                  std::size_t of_share)
      : self(handle),
        association(its_association),
        session(whose),
        port(to_port),
        share(static_cast<std::uint8_t>(of_share)) {}

  std::string_view name() const { return {reinterpret_cast<const char*>(bytes.get()), name_size}; }
  std::span<const std::uint8_t> data() const { return {bytes.get() + name_size, size - name_size}; }

  Handle self;
  Association& association;  // with which it ends
  Handle session;
  std::list<WaitingDatagram*>::iterator position;  // in its share
  std::uint16_t port;
  std::uint32_t size = 0;
  std::uint8_t share;  // of its client (Resolver::ShareOf)
  std::uint8_t name_size = 0;
  std::unique_ptr<std::uint8_t[]> bytes;  // the name of the target, and the data
};

// What one worker's associations borrow.
struct AssociationPool {
  // `tag_of_waiters` is the cookie tag of waiting datagrams; their handles are those of `waiting`.
  AssociationPool(std::size_t associations_max, std::uint8_t tag_of_waiters);

  // As which a datagram waits for the resolver.
  Cookie CookieOf(const WaitingDatagram& datagram) const { return {waiter_tag, datagram.self}; }

  // What one share's datagrams that wait hold; the oldest first.
  struct Waiting {
    std::list<WaitingDatagram*> datagrams;
    std::size_t bytes = 0;
  };

  // Room for a datagram of so many bytes that is to wait; null when there is none for its client. Others who have more
  // waiting make room for it: then the resolver is told, and the association, and it is counted.
  WaitingDatagram* Acquire(Association& association, Handle session, std::uint16_t port, std::size_t bytes,
                           std::size_t share, Resolver& resolver, Counters& counters);
  bool EvictFor(const Waiting& share, std::size_t bytes, Resolver& resolver, Counters& counters);
  void Release(WaitingDatagram& datagram);

  // Whether this host has a route of its own choice.
  struct KnownRoute {
    IpAddress to;
    bool exists = false;
    TimePoint until{};
  };

  const std::uint8_t waiter_tag;
  Slab<Association> associations;
  std::array<KnownRoute, 2> routes;  // the last one that exists, and the last one that does not
  Slab<WaitingDatagram> waiting;
  std::size_t waiting_bytes = 0;
  std::array<Waiting, kNameShares> waiting_of_share;
  Slab<AddressPage> pages;
  AddressKey key;
  DatagramInbox inbox;
  std::array<DatagramOutbox, 2> outboxes;  // towards targets, by Association::Side; the first also towards clients
};

// What a worker lends to the association whose turn it is.
struct AssociateTools {
  const Settings& settings;
  Access access;
  Poller& poller;
  Resolver& resolver;
  Counters& counters;
  AssociationPool& pool;
  PortPool& ports;         // towards clients
  const Endpoint& client;  // of the TCP connection
  Throttle* throttle;      // null: as much as comes
  TimePoint now;

  // True when so many bytes of data may pass; else the datagram is to be dropped, and has been counted.
  bool Pass(Way way, std::size_t bytes) const {
    if (throttle == nullptr || throttle->Pass(way, bytes, now)) return true;
    counters.udp_over_limit.Add();
    return false;
  }
};

class Association {
 public:
  // Its sockets, in the order of the tags that are given to its constructor.
  enum class Side : std::uint8_t { kClient, kIpv4, kIpv6 };
  static constexpr std::size_t kSides = 3;

  enum class Progress : std::uint8_t {
    kWaiting,     // an edge or an answer will wake it
    kUnfinished,  // give it another turn
  };

  struct Tally {
    std::uint64_t datagrams = 0;
    std::uint64_t bytes = 0;
  };

  // Its sockets are registered with the poller under `first_tag` + side and `session`.
  Association(Handle handle, Handle session, std::uint8_t first_tag)
      : self_(handle), session_(session), first_tag_(first_tag) {}
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  // Opens the socket towards the client beside the connection's own address `local`. `requested_port`: DST.PORT of the
  // request. Any fault: there is no such socket.
  Fault Open(const Endpoint& local, std::uint16_t requested_port, const AssociateTools& tools);

  // Where the client is to send its datagrams: BND of the reply.
  Endpoint Bound(const AssociateTools& tools) const;

  void OnEvents(Side side, const Events& events);
  void OnName(const WaitingDatagram& datagram, const NameAnswer& answer, const AssociateTools& tools);
  void OnEvicted();  // one of its datagrams that wait makes room for another client's

  Progress Step(const AssociateTools& tools);

  // There are other rules: who may answer is evaluated again, by address and port, for names are not kept; and the first
  // datagram of each family decides again from where that family sends.
  void OnPolicy();

  // Gives back what is lent, and drops the datagrams that still wait for names.
  void Release(AssociationPool& pool, Resolver& resolver, Counters& counters);

  Handle self() const { return self_; }
  const Tally& up() const { return up_; }
  const Tally& down() const { return down_; }

 private:
  // A target that the client may reach, and from where; null: the kernel's choice.
  struct Destination {
    Endpoint to;
    const Source* source = nullptr;
    bool by_name = false;  // its address alone may be denied
  };

  // Where the last datagram of a batch went: the next one mostly goes there too.
  struct Route {
    std::span<const std::uint8_t> header;  // in the inbox; empty: none yet
    Endpoint to;
  };

  Progress StepSide(Side side, const AssociateTools& tools);
  void RelayFromClient(std::size_t count, const AssociateTools& tools);
  void RelayFromTargets(std::size_t count, const AssociateTools& tools);
  Counter* DropReason(const Endpoint& from, const AssociateTools& tools);
  bool IsClient(const Endpoint& from, const AssociateTools& tools) const;
  void Pin(std::uint16_t port, const AssociateTools& tools);

  void Forward(std::span<const std::uint8_t> datagram, const Endpoint& from, Route& route, const AssociateTools& tools);
  void ForwardToName(const socks5::UdpHeader& header, std::span<const std::uint8_t> data, Route& route,
                     const AssociateTools& tools);
  WaitingDatagram* AddWaiting(const socks5::UdpHeader& header, std::span<const std::uint8_t> data,
                              const AssociateTools& tools);
  bool ForwardTo(const Destination& target, std::span<const std::uint8_t> data, const AssociateTools& tools);
  std::optional<Destination> Choose(const NameAnswer& answer, std::string_view name, std::uint16_t port,
                                    const AssociateTools& tools) const;
  static bool HasRoute(const Destination& target, const AssociateTools& tools);
  bool Prepare(const Destination& target, const AssociateTools& tools);
  void AddToOutbox(const Endpoint& to, std::span<const std::uint8_t> data, const AssociateTools& tools);
  bool MatchesSource(const Destination& target, Side side);
  bool OpenSocketFor(const Destination& target, const AssociateTools& tools);
  static void Count(const DatagramOutbox::Outcome& outcome, Tally& tally, Counter& datagrams, Counter& bytes,
                    Counters& counters);
  void FlushUp(const AssociateTools& tools);
  void FlushDown(const AssociateTools& tools);
  void CheckInvariants() const;

  bool has_client() const { return client_port_ != 0; }  // a valid datagram has come
  static Side SideOf(const IpAddress& ip) { return ip.is_v4() ? Side::kIpv4 : Side::kIpv6; }
  static DatagramOutbox& Outbox(Side side, AssociationPool& pool) { return pool.outboxes[side == Side::kIpv6 ? 1 : 0]; }
  std::unique_ptr<const Source>& source(Side side) { return sources_[side == Side::kIpv6 ? 1 : 0]; }
  bool& may_reopen(Side side) { return may_reopen_[side == Side::kIpv6 ? 1 : 0]; }
  static std::uint8_t Bit(Side side) { return static_cast<std::uint8_t>(1 << static_cast<int>(side)); }
  const Fd& socket(Side side) const { return sockets_[static_cast<std::size_t>(side)]; }

  Handle self_;
  Handle session_;
  PortLease port_;  // of the socket towards the client
  std::array<Fd, kSides> sockets_;
  std::uint16_t requested_port_ = 0;  // by the request; 0: none
  std::uint16_t client_port_ = 0;
  TimePoint client_heard_{};                              // from that port
  std::array<std::unique_ptr<const Source>, 2> sources_;  // towards targets; null: the kernel's choice
  std::array<bool, 2> may_reopen_{};                      // no datagram has gone that way since the last OnPolicy
  std::array<bool, kSides> joins_{true, true, true};
  std::uint8_t readable_ = 0;  // latches, a bit for each side
  std::uint8_t first_tag_;
  std::uint8_t waiting_ = 0;  // datagrams of its own whose names are being looked up
  Tally up_;
  Tally down_;
  AddressSet sent_to_;
};
static_assert(kWaitingDatagramsPerAssociation <= 255);

}  // namespace penstock
