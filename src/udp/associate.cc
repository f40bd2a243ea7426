#include "penstock/udp/associate.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <random>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/dns/resolver.h"
#include "penstock/os/random.h"
#include "penstock/os/socket.h"
#include "penstock/os/udp.h"

namespace penstock {
namespace {

Endpoint AnyAddress(bool v4) {
  Endpoint any;
  if (v4) any.ip = IpAddress::FromV4(std::array<std::uint8_t, 4>{});
  return any;
}

// Denied by a rule or by the guard, not only by default.
bool IsExplicitDenial(const AccessVerdict& verdict) {
  return !verdict.allowed && (verdict.rule != nullptr || verdict.by_guard);
}

}  // namespace

AssociationPool::AssociationPool(std::size_t associations_max, std::uint8_t tag_of_waiters)
    : waiter_tag(tag_of_waiters),
      associations(associations_max),
      waiting(kWaitingDatagramsPerWorker),
      pages(kAddressPagesPerWorker) {
  key = {RandomBits(), RandomBits()};
}

// The limit that is reached decides what is compared: the number of datagrams or their bytes.
bool AssociationPool::EvictFor(const Waiting& share, std::size_t bytes, Resolver& resolver, Counters& counters) {
  for (;;) {
    const bool full = waiting.live() == kWaitingDatagramsPerWorker;
    if (!full && waiting_bytes + bytes <= kWaitingBytesPerWorker) return true;
    const auto holds = [full](const Waiting& each) { return full ? each.datagrams.size() : each.bytes; };
    const Waiting& most = *std::ranges::max_element(waiting_of_share, {}, holds);
    if (holds(most) < holds(share) + (full ? 1 : bytes)) return false;
    WaitingDatagram& oldest = *most.datagrams.front();
    resolver.Withdraw(CookieOf(oldest));
    counters.udp_queue_full.Add();
    oldest.association.OnEvicted();
    Release(oldest);
  }
}

WaitingDatagram* AssociationPool::Acquire(Association& association, Handle session, std::uint16_t port,
                                          std::size_t bytes, std::size_t share, Resolver& resolver,
                                          Counters& counters) {
  Waiting& own = waiting_of_share[share];
  if (!EvictFor(own, bytes, resolver, counters)) return nullptr;
  std::unique_ptr<std::uint8_t[]> room(new (std::nothrow) std::uint8_t[bytes]);
  if (room == nullptr) return nullptr;
  WaitingDatagram* const datagram = waiting.Acquire(association, session, port, share);
  if (datagram == nullptr) return nullptr;
  datagram->bytes = std::move(room);
  datagram->size = static_cast<std::uint32_t>(bytes);
  waiting_bytes += bytes;
  own.bytes += bytes;
  datagram->position = own.datagrams.insert(own.datagrams.end(), datagram);
  return datagram;
}

void AssociationPool::Release(WaitingDatagram& datagram) {
  Waiting& own = waiting_of_share[datagram.share];
  assert(own.bytes >= datagram.size && waiting_bytes >= datagram.size);
  waiting_bytes -= datagram.size;
  own.bytes -= datagram.size;
  own.datagrams.erase(datagram.position);
  waiting.Release(datagram.self);
}

// Most associations have no waiting datagram, and a worker has few, so a search of all of them is cheap.
void Association::Release(AssociationPool& pool, Resolver& resolver, Counters& counters) {
  sent_to_.Release(pool.pages);
  if (waiting_ == 0) return;
  counters.udp_nameless.Add(waiting_);
  pool.waiting.ForEach([&](WaitingDatagram& datagram) {
    if (datagram.session != session_) return;
    resolver.Withdraw(pool.CookieOf(datagram));
    pool.Release(datagram);
  });
}

Fault Association::Open(const Endpoint& local, std::uint16_t requested_port, const AssociateTools& tools) {
  Endpoint at = local;
  const Fault fault = tools.ports.Open(tools.client.ip, tools.now, port_, [&](std::uint16_t port) {
    at.port = port;
    OpenedUdp opened = OpenUdp(at);
    sockets_[0] = std::move(opened.socket);
    return opened.fault;
  });
  if (fault != Fault::kNone) return fault;
  if (!tools.poller.AddReader(sockets_[0].get(), {first_tag_, session_})) return Fault::kExhausted;
  requested_port_ = requested_port;
  CheckInvariants();
  return Fault::kNone;
}

Endpoint Association::Bound(const AssociateTools& tools) const {
  Endpoint bound = LocalEndpoint(sockets_[0].get());
  for (const IpAddress& ip : tools.settings.udp_advertise) {
    if (ip.is_v4() == bound.ip.is_v4()) bound.ip = ip;
  }
  return bound;
}

void Association::OnEvents(Side side, const Events& events) {
  if (events.readable) readable_ |= Bit(side);
  CheckInvariants();
}

void Association::OnEvicted() {
  assert(waiting_ > 0);
  --waiting_;
}

void Association::OnPolicy() {
  sent_to_.SuspectAll();
  may_reopen_.fill(true);
  CheckInvariants();
}

Association::Progress Association::Step(const AssociateTools& tools) {
  Progress progress = Progress::kWaiting;
  for (const Side side : {Side::kClient, Side::kIpv4, Side::kIpv6}) {
    if ((readable_ & Bit(side)) != 0 && StepSide(side, tools) == Progress::kUnfinished) {
      progress = Progress::kUnfinished;
    }
  }
  CheckInvariants();
  // At rest it holds no buffer: both outboxes have been flushed.
  assert(tools.pool.outboxes[0].empty() && tools.pool.outboxes[1].empty());
  // Something will wake the session: another step while a latch is up, otherwise an edge.
  assert((progress == Progress::kUnfinished) == (readable_ != 0));
  return progress;
}

Association::Progress Association::StepSide(Side side, const AssociateTools& tools) {
  for (int i = 0; i < kUdpBatchesPerTurn; ++i) {
    const Received received = tools.pool.inbox.Receive(socket(side).get());
    if (side == Side::kClient) {
      RelayFromClient(received.count, tools);
    } else {
      RelayFromTargets(received.count, tools);
    }
    // A fault is an earlier error of the socket, which that call has cleared: the next one receives what is queued.
    if (received.status != IoStatus::kFault && received.count < kUdpBatch) {
      readable_ &= static_cast<std::uint8_t>(~Bit(side));
      return Progress::kWaiting;
    }
  }
  return Progress::kUnfinished;
}

// --- Client to target ----------------------------------------------------------------------------------------------

bool Association::IsClient(const Endpoint& from, const AssociateTools& tools) const {
  // Port 0 can be forged, but no datagram can be sent to it.
  if (from.ip != tools.client.ip || from.scope != tools.client.scope || from.port == 0) return false;
  if (!has_client() || from.port == client_port_ || from.port == requested_port_) return true;
  return client_port_ != requested_port_ && tools.now - client_heard_ >= kUdpPortMemory;
}

void Association::Pin(std::uint16_t port, const AssociateTools& tools) {
  assert(!has_client() || client_port_ != requested_port_ || port == requested_port_);  // pinned for good
  client_port_ = port;
  client_heard_ = tools.now;
}

void Association::RelayFromClient(std::size_t count, const AssociateTools& tools) {
  Route route;
  for (std::size_t i = 0; i < count; ++i) {
    const DatagramInbox::Message message = tools.pool.inbox.At(i);
    if (!IsClient(message.from, tools)) {
      tools.counters.udp_foreign.Add(message.datagrams());
      continue;
    }
    if (message.from.port == client_port_) client_heard_ = tools.now;
    message.ForEach([&](std::span<const std::uint8_t> datagram) { Forward(datagram, message.from, route, tools); });
  }
  FlushUp(tools);
}

void Association::Forward(std::span<const std::uint8_t> datagram, const Endpoint& from, Route& route,
                          const AssociateTools& tools) {
  const std::size_t known = route.header.size();
  if (known != 0 && datagram.size() >= known && std::memcmp(datagram.data(), route.header.data(), known) == 0) {
    Pin(from.port, tools);
    return AddToOutbox(route.to, datagram.subspan(known), tools);
  }
  const socks5::UdpHeader header = socks5::DecodeUdpHeader(datagram);
  if (header.fault == socks5::UdpFault::kFragment) return tools.counters.udp_fragment.Add();
  if (header.fault == socks5::UdpFault::kMalformed) return tools.counters.udp_malformed.Add();
  Pin(from.port, tools);

  const auto data = datagram.subspan(header.size);
  Endpoint to{header.address, header.port};
  if (!header.name.empty()) {
    const auto address = AddressInName(header.name);
    if (!address) return ForwardToName(header, data, route, tools);
    to.ip = *address;
  }
  const AccessVerdict verdict = tools.access.EvaluateAddress({}, to.ip, to.port);
  if (!verdict.allowed) return tools.counters.udp_denied.Add();
  if (ForwardTo({to, verdict.source()}, data, tools)) route = {datagram.first(header.size), to};
}

void Association::ForwardToName(const socks5::UdpHeader& header, std::span<const std::uint8_t> data, Route& route,
                                const AssociateTools& tools) {
  if (!IsHostName(header.name)) return tools.counters.udp_malformed.Add();
  const AllowedNames allowed(tools.access, header.name, header.port);
  if (const auto answer = tools.resolver.Known(header.name, tools.client.ip, &allowed)) {
    const auto to = Choose(*answer, header.name, header.port, tools);
    // The header ends where the data begins.
    if (to && ForwardTo(*to, data, tools)) route = {{data.data() - header.size, header.size}, to->to};
    return;
  }
  WaitingDatagram* const waiting = AddWaiting(header, data, tools);
  if (waiting == nullptr) return tools.counters.udp_queue_full.Add();
  // Known had no answer, so an immediate one is a failure: the resolver has reached its limit of waiters.
  if (const auto answer =
          tools.resolver.Resolve(header.name, tools.pool.CookieOf(*waiting), tools.client.ip, &allowed)) {
    OnName(*waiting, *answer, tools);
    tools.pool.Release(*waiting);
  }
}

// Copies a datagram into the pool, where it waits; null if its association or its client is at its limit.
WaitingDatagram* Association::AddWaiting(const socks5::UdpHeader& header, std::span<const std::uint8_t> data,
                                         const AssociateTools& tools) {
  if (waiting_ == kWaitingDatagramsPerAssociation) return nullptr;
  const std::size_t share = tools.resolver.ShareOf(tools.client.ip);
  WaitingDatagram* const waiting = tools.pool.Acquire(*this, session_, header.port, header.name.size() + data.size(),
                                                      share, tools.resolver, tools.counters);
  if (waiting == nullptr) return nullptr;
  std::ranges::copy(data, std::ranges::copy(header.name, waiting->bytes.get()).out);
  waiting->name_size = static_cast<std::uint8_t>(header.name.size());
  ++waiting_;
  return waiting;
}

void Association::OnName(const WaitingDatagram& datagram, const NameAnswer& answer, const AssociateTools& tools) {
  assert(waiting_ > 0);
  --waiting_;
  const auto to = Choose(answer, datagram.name(), datagram.port, tools);
  if (to) ForwardTo(*to, datagram.data(), tools);
  FlushUp(tools);
  CheckInvariants();
  assert(tools.pool.outboxes[0].empty() && tools.pool.outboxes[1].empty());
}

// Returns the first address that the client may reach; nothing, and counts the datagram, if there is none. A connection
// can try several addresses, a datagram only one. So the client's own family comes first, because many clients cannot
// parse answers of the other one; and if there are both families, an address without a route is the last choice.
std::optional<Association::Destination> Association::Choose(const NameAnswer& answer, std::string_view name,
                                                            std::uint16_t port, const AssociateTools& tools) const {
  if (answer.status != NameStatus::kFound || answer.list().empty()) {
    (answer.status == NameStatus::kDenied ? tools.counters.udp_denied : tools.counters.udp_nameless).Add();
    return std::nullopt;
  }
  const bool both_families = answer.list().front().is_v4() != answer.list().back().is_v4();
  std::optional<Destination> without_route;
  for (const bool v4 : {tools.client.ip.is_v4(), !tools.client.ip.is_v4()}) {
    for (const IpAddress& address : answer.list()) {
      if (address.is_v4() != v4) continue;
      const AccessVerdict verdict = tools.access.EvaluateAddress({name, answer.name}, address, port);
      const Destination destination{{address, port}, verdict.source(), true};
      if (!verdict.allowed || (destination.source != nullptr && destination.source->excludes(address))) continue;
      if (!both_families || HasRoute(destination, tools)) return destination;
      if (!without_route) without_route = destination;
    }
  }
  if (!without_route) tools.counters.udp_denied.Add();
  return without_route;
}

// Caches the kernel's answer for a second. With a source it asks each time: what holds for one source need not hold for
// another.
bool Association::HasRoute(const Destination& target, const AssociateTools& tools) {
  const auto ask = [&] { return LocalAddressTowards(target.to.ip, target.source).fault == Fault::kNone; };
  if (target.source != nullptr) return ask();
  for (const AssociationPool::KnownRoute& known : tools.pool.routes) {
    if (known.to == target.to.ip && tools.now < known.until) return known.exists;
  }
  const bool exists = ask();
  tools.pool.routes[exists ? 0 : 1] = {target.to.ip, exists, tools.now + std::chrono::seconds(1)};
  return exists;
}

// True if further datagrams of the batch to the same target need no verdict of their own.
bool Association::ForwardTo(const Destination& target, std::span<const std::uint8_t> data,
                            const AssociateTools& tools) {
  if (!Prepare(target, tools)) return false;
  AddToOutbox(target.to, data, tools);
  return true;
}

// Opens a socket for the target if necessary, and records that the target may answer. False, and counts, if there is no
// socket with the target's source: a family sends from one source until the next OnPolicy.
bool Association::Prepare(const Destination& target, const AssociateTools& tools) {
  const Side side = SideOf(target.to.ip);
  const bool stays = socket(side).valid() && (!may_reopen(side) || MatchesSource(target, side));
  if (stays ? !MatchesSource(target, side) : !OpenSocketFor(target, tools)) {
    tools.counters.udp_unreachable.Add();
    return false;
  }
  may_reopen(side) = false;
  sent_to_.Insert(target.to.ip, tools.pool.key, tools.pool.pages);
  if (target.by_name && tools.access.rules.has_ports() &&
      IsExplicitDenial(tools.access.EvaluateAddress({}, target.to.ip, target.to.port))) {
    sent_to_.Insert(target.to.ip, tools.pool.key, tools.pool.pages, target.to.port);
  }
  return true;
}

// True if the open socket sends from the source that a rule names for the target. If the rule names another address or
// interface, the datagram must not be sent from this socket.
bool Association::MatchesSource(const Destination& target, Side side) {
  const Source* const opened = source(side).get();
  if (target.source == nullptr || opened == nullptr) return target.source == opened;
  return target.source->towards(target.to.ip) == opened->towards(target.to.ip) &&
         target.source->interface == opened->interface;
}

// Opens the socket that sends all datagrams of a family, from the source of `target`. The outboxes are flushed first:
// they may hold datagrams for the socket that is replaced.
bool Association::OpenSocketFor(const Destination& target, const AssociateTools& tools) {
  const Side side = SideOf(target.to.ip);
  Endpoint at = AnyAddress(side == Side::kIpv4);
  if (target.source != nullptr) {
    if (target.source->excludes(target.to.ip)) return false;
    at.ip = target.source->towards(target.to.ip).value_or(at.ip);
  }
  std::unique_ptr<const Source> kept;
  if (target.source != nullptr) kept.reset(new (std::nothrow) Source(*target.source));
  if (target.source != nullptr && kept == nullptr) return false;
  OpenedUdp opened = OpenUdp(at, target.source);
  if (!opened.socket.valid()) return false;
  const auto tag = static_cast<std::uint8_t>(first_tag_ + static_cast<std::uint8_t>(side));
  if (!tools.poller.AddReader(opened.socket.get(), {tag, session_})) return false;
  FlushUp(tools);
  sockets_[static_cast<std::size_t>(side)] = std::move(opened.socket);
  joins_[static_cast<std::size_t>(side)] = true;
  source(side) = std::move(kept);
  return true;
}

void Association::AddToOutbox(const Endpoint& to, std::span<const std::uint8_t> data, const AssociateTools& tools) {
  if (!tools.Pass(Way::kUp, data.size())) return;
  const Side side = SideOf(to.ip);
  DatagramOutbox& outbox = Outbox(side, tools.pool);
  if (outbox.full()) FlushUp(tools);
  outbox.Add(to, {}, data, joins_[static_cast<std::size_t>(side)]);
}

// `tally`, `datagrams` and `bytes` belong to the way in which the datagrams were sent.
void Association::Count(const DatagramOutbox::Outcome& outcome, Tally& tally, Counter& datagrams, Counter& bytes,
                        Counters& counters) {
  tally.datagrams += outcome.sent;
  tally.bytes += outcome.sent_bytes;
  datagrams.Add(outcome.sent);
  bytes.Add(outcome.sent_bytes);
  counters.udp_full.Add(outcome.full);
  counters.udp_unreachable.Add(outcome.failed);
}

void Association::FlushUp(const AssociateTools& tools) {
  for (const Side side : {Side::kIpv4, Side::kIpv6}) {
    DatagramOutbox& outbox = Outbox(side, tools.pool);
    if (outbox.empty()) continue;
    const auto outcome = outbox.Flush(socket(side).get(), joins_[static_cast<std::size_t>(side)]);
    Count(outcome, up_, tools.counters.datagrams_up, tools.counters.datagram_bytes_up, tools.counters);
  }
}

// --- Target to client ----------------------------------------------------------------------------------------------

// Returns null if a datagram from `from` may pass, otherwise the counter of the reason to drop it. An address that the
// client was allowed to send to may answer. Other addresses need an allowing verdict: all of them with an open filter,
// otherwise only suspect ones, which earlier rules allowed. While the rules have ports, each port needs a verdict, and
// one that a rule or the guard denies may not answer, unless the client was allowed to send to it by name. Then an
// address also stays suspect if one of its ports may answer, because another port may be denied.
Counter* Association::DropReason(const Endpoint& from, const AssociateTools& tools) {
  const bool sent = sent_to_.Contains(from.ip, tools.pool.key);
  const bool has_ports = tools.access.rules.has_ports();
  if (sent && !has_ports) return nullptr;
  const bool suspect = !sent && sent_to_.IsSuspect(from.ip, tools.pool.key);
  if (!sent && !suspect && tools.settings.udp_filter == UdpFilter::kAddress) return &tools.counters.udp_unsolicited;
  const AccessVerdict verdict = tools.access.EvaluateAddress({}, from.ip, from.port);
  if (!verdict.allowed) {
    const bool sent_to_port = from.port != 0 && sent_to_.Contains(from.ip, tools.pool.key, from.port);
    return sent_to_port || (sent && !IsExplicitDenial(verdict)) ? nullptr : &tools.counters.udp_denied;
  }
  if (suspect && !has_ports) sent_to_.Insert(from.ip, tools.pool.key, tools.pool.pages);
  return nullptr;
}

void Association::RelayFromTargets(std::size_t count, const AssociateTools& tools) {
  assert(has_client());
  AssociationPool& pool = tools.pool;
  DatagramOutbox& outbox = pool.outboxes[0];
  const Endpoint client{tools.client.ip, client_port_, tools.client.scope};
  const std::size_t longest = client.ip.is_v4() ? kUdpBytesMaxIpv4 : kUdpBytesMax;
  Endpoint evaluated;
  Counter* cause = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const DatagramInbox::Message message = pool.inbox.At(i);
    if (message.from != evaluated) cause = DropReason(message.from, tools);
    evaluated = message.from;
    if (cause != nullptr) {
      cause->Add(message.datagrams());
      continue;
    }
    const std::span<const std::uint8_t> header = socks5::EncodeUdpHeader(message.from, message.headroom);
    message.ForEach([&](std::span<const std::uint8_t> data) {
      if (header.size() + data.size() > longest) return tools.counters.udp_too_long.Add();
      if (!tools.Pass(Way::kDown, data.size())) return;
      if (outbox.full()) FlushDown(tools);
      outbox.Add(client, header, data, joins_[0]);
    });
  }
  if (!outbox.empty()) FlushDown(tools);
}

void Association::FlushDown(const AssociateTools& tools) {
  const auto outcome = tools.pool.outboxes[0].Flush(sockets_[0].get(), joins_[0]);
  Count(outcome, down_, tools.counters.datagrams_down, tools.counters.datagram_bytes_down, tools.counters);
}

void Association::CheckInvariants() const {
  assert(waiting_ <= kWaitingDatagramsPerAssociation);
  for ([[maybe_unused]] const Side side : {Side::kClient, Side::kIpv4, Side::kIpv6}) {
    // Only an open socket has a latch; there is none towards targets before the client's port is pinned.
    assert((readable_ & Bit(side)) == 0 || socket(side).valid());
    assert(side == Side::kClient || !socket(side).valid() || has_client());
  }
  assert(sources_[0] == nullptr || socket(Side::kIpv4).valid());
  assert(sources_[1] == nullptr || socket(Side::kIpv6).valid());
}

}  // namespace penstock
