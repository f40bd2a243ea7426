// One client's UDP association (RFC 1928 section 7): a socket towards the client, one for each address family towards
// its targets, and the datagrams between them.
// Owned by a worker's pool, which lends it to a session from its reply to its end; the worker's thread only.
// Invariants:
//   - No datagram ends an association, whatever it contains and wherever it goes: it is relayed, or dropped and
//     counted.
//   - All targets of a family see one address and port (RFC 4787 section 4.1: endpoint-independent mapping). The client
//     sees only the address and port that are BND of the reply.
//   - Only addresses that the client has sent to may answer (RFC 4787 section 5: address-dependent filtering), unless
//     the filter is open.
//   - At rest an association holds no buffer. Waiting datagrams are copies in the worker's pool, bounded for each
//     association and in all.
// Does not: watch the TCP connection with which it ends, time out when idle (session.h).
//
//              one of --udp-ports                         any port, opened when first needed
//                    │                                     ┌── IPv4 socket ──▶ targets
//     client ──▶ client socket ──▶ header off, guard, name ┤
//                                                          └── IPv6 socket ──▶ targets
//            ◀────────────────────── filter, header on ◀──────────────
//
// Only one port of the client's address may send, because other clients may share the address (NAT). DST.PORT of the
// request names it, but clients put anything there, and a NAT changes it. So the first valid datagram pins its port.
// Another port can take over once the pinned one has been silent for kUdpPortMemory, as when a NAT has dropped its
// mapping. A valid datagram from the requested port takes over at once, and pins it for good. DST.ADDR is ignored: the
// client's address is that of its TCP connection.
//
// If the name of a target must be resolved, a copy of the datagram waits in the worker's pool until the resolver
// answers. Datagrams behind it do not wait. A datagram that finds the pool at its limit evicts the oldest one of the
// client that holds most, or is dropped.
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

// A datagram that waits for the address of its target.
struct WaitingDatagram {
  WaitingDatagram(Handle handle, Association& its_association, Handle its_session, std::uint16_t to_port,
                  std::size_t of_share)
      : self(handle),
        association(its_association),
        session(its_session),
        port(to_port),
        share(static_cast<std::uint8_t>(of_share)) {}

  std::string_view name() const { return {reinterpret_cast<const char*>(bytes.get()), name_size}; }
  std::span<const std::uint8_t> data() const { return {bytes.get() + name_size, size - name_size}; }

  Handle self;
  Association& association;  // which it must not outlive
  Handle session;
  std::list<WaitingDatagram*>::iterator position;  // in AssociationPool::waiting_of_share
  std::uint16_t port;                              // of the target
  std::uint32_t size = 0;                          // of `bytes`
  std::uint8_t share;                              // of its client (Resolver::ShareOf)
  std::uint8_t name_size = 0;
  std::unique_ptr<std::uint8_t[]> bytes;  // the name of the target, then the data
};

// What one worker's associations share. Owned by the worker; its thread only.
struct AssociationPool {
  // `tag_of_waiters` is the cookie tag of waiting datagrams; their handles are those of `waiting`.
  AssociationPool(std::size_t associations_max, std::uint8_t tag_of_waiters);

  // The cookie under which the resolver answers for the datagram.
  Cookie CookieOf(const WaitingDatagram& datagram) const { return {waiter_tag, datagram.self}; }

  // The waiting datagrams of one share of clients, the oldest first, and the sum of their sizes.
  struct Waiting {
    std::list<WaitingDatagram*> datagrams;
    std::size_t bytes = 0;
  };

  // A waiting datagram with room for `bytes` bytes, name and data; null if there is no memory or no capacity for its
  // client. EvictFor makes room: while the pool is at its limit, the share that holds most drops its oldest datagram,
  // as long as it holds at least as much as `share` would then. That datagram's query is withdrawn, its association
  // gets OnEvicted, and it is counted as udp_queue_full.
  WaitingDatagram* Acquire(Association& association, Handle session, std::uint16_t port, std::size_t bytes,
                           std::size_t share, Resolver& resolver, Counters& counters);
  bool EvictFor(const Waiting& share, std::size_t bytes, Resolver& resolver, Counters& counters);

  // Removes a datagram whose query has been answered or withdrawn.
  void Release(WaitingDatagram& datagram);

  // Caches for a second whether this host has a route to an address, without a source.
  struct KnownRoute {
    IpAddress to;
    bool exists = false;
    TimePoint until{};
  };

  const std::uint8_t waiter_tag;
  Slab<Association> associations;
  std::array<KnownRoute, 2> routes;  // [0]: the last one that exists; [1]: the last one that does not
  Slab<WaitingDatagram> waiting;
  std::size_t waiting_bytes = 0;
  std::array<Waiting, kNameShares> waiting_of_share;
  Slab<AddressPage> pages;  // of address sets
  AddressKey key;
  DatagramInbox inbox;
  std::array<DatagramOutbox, 2> outboxes;  // [0]: IPv4 targets, and clients; [1]: IPv6 targets
};

// What a worker lends for the length of a call.
struct AssociateTools {
  const Settings& settings;
  Access access;
  Poller& poller;
  Resolver& resolver;
  Counters& counters;
  AssociationPool& pool;
  PortPool& ports;         // towards clients
  const Endpoint& client;  // of the TCP connection
  Throttle* throttle;      // null: no bandwidth limit
  TimePoint now;

  // True if `bytes` bytes of data may pass now. Otherwise counts a datagram that exceeds the bandwidth or the quota;
  // drop it.
  bool Pass(Way way, std::size_t bytes) const {
    if (throttle == nullptr || throttle->Pass(way, bytes, now)) return true;
    (throttle->QuotaHolds(bytes) ? counters.udp_over_limit : counters.udp_over_quota).Add();
    return false;
  }
};

class Association {
 public:
  // Its sockets, in the order of their tags: towards the client, and towards targets of each family.
  enum class Side : std::uint8_t { kClient, kIpv4, kIpv6 };
  static constexpr std::size_t kSides = 3;

  enum class Progress : std::uint8_t {
    kWaiting,     // an edge or an answer of the resolver will come
    kUnfinished,  // a socket may have more: step again in the next turn
  };

  // What has been relayed one way; bytes are data, without headers.
  struct Tally {
    std::uint64_t datagrams = 0;
    std::uint64_t bytes = 0;
  };

  // `handle` is its own in the pool. The cookie of a socket is `first_tag` + its side, and `session`.
  Association(Handle handle, Handle session, std::uint8_t first_tag)
      : self_(handle), session_(session), first_tag_(first_tag) {}
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  // Opens the socket towards the client on the address and scope of `local`, the gateway's end of the TCP connection;
  // its port is ignored. `requested_port` is DST.PORT of the request, 0 for none. Call it once, first; after a fault,
  // release the association. Errors: kOther: no free port (port_pool.h); kExhausted: no descriptor or memory; others of
  // bind(2).
  Fault Open(const Endpoint& local, std::uint16_t requested_port, const AssociateTools& tools);

  // Where the client should send its datagrams: BND of the reply, with the address of --udp-advertise if there is one
  // of the family.
  Endpoint Bound(const AssociateTools& tools) const;

  // The socket of `side` has events; call Step next.
  void OnEvents(Side side, const Events& events);

  // The resolver has answered for `datagram`: sends it, or drops and counts it. The caller releases it afterwards.
  void OnName(const WaitingDatagram& datagram, const NameAnswer& answer, const AssociateTools& tools);

  // The pool has evicted one of its waiting datagrams.
  void OnEvicted();

  // Relays what its sockets have received, at most kUdpBatchesPerTurn batches of each.
  Progress Step(const AssociateTools& tools);

  // A reload has replaced the rules. Each answer is evaluated again, by address and port, since names are not stored.
  // The next datagram to each family decides again from which source that family sends.
  void OnPolicy();

  // Returns what is lent, and drops and counts the datagrams that still wait. Call it before the association is
  // released.
  void Release(AssociationPool& pool, Resolver& resolver, Counters& counters);

  Handle self() const { return self_; }
  const Tally& up() const { return up_; }
  const Tally& down() const { return down_; }

 private:
  // A target that the client may reach.
  struct Destination {
    Endpoint to;
    const Source* source = nullptr;  // to send from; null: the kernel's choice
    bool by_name = false;            // allowed by its name; by its address alone it may be denied
  };

  // The header and the destination of the last datagram of a batch. Most often the next one has the same header, and
  // then needs no verdict of its own.
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

  bool has_client() const { return client_port_ != 0; }  // a valid datagram has been received
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
  std::uint16_t requested_port_ = 0;                      // DST.PORT; 0: none
  std::uint16_t client_port_ = 0;                         // the pinned port; 0: none
  TimePoint client_heard_{};                              // when the last datagram from client_port_ was received
  std::array<std::unique_ptr<const Source>, 2> sources_;  // towards targets; null: the kernel's choice
  std::array<bool, 2> may_reopen_{};                      // no datagram was sent to that family since the last OnPolicy
  std::array<bool, kSides> joins_{true, true, true};      // joined datagrams can be sent from the socket
  std::uint8_t readable_ = 0;                             // latches, a bit for each side
  std::uint8_t first_tag_;
  std::uint8_t waiting_ = 0;  // its waiting datagrams
  Tally up_;
  Tally down_;
  AddressSet sent_to_;  // which may answer
};
static_assert(kWaitingDatagramsPerAssociation <= 255);

}  // namespace penstock
