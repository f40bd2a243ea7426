#include "penstock/session/bind_wait.h"

#include <algorithm>
#include <cassert>

namespace penstock {

Fault BindWait::ListenFor(std::span<const IpAddress> peers, const BindTools& tools,
                          std::span<const Source* const> sources) {
  assert(!peers.empty());
  assert(sources.empty() || sources.size() == peers.size());
  count_ = std::min(peers.size(), peers_.size());
  std::ranges::copy(peers.first(count_), peers_.begin());
  Fault fault = Fault::kNone;
  for (std::size_t i = 0; i < count_; ++i) {
    const LocalAddress local = LocalAddressTowards(peers[i], sources.empty() ? nullptr : sources[i]);
    if (local.fault == Fault::kNone) return Open(local.at, tools);
    fault = local.fault;
  }
  return fault;
}

Fault BindWait::Open(Endpoint at, const BindTools& tools) {
  assert(!listening());
  PortLease lease;
  Fd socket;
  const Fault fault = tools.ports.Open(tools.access.client, tools.clock.now(), lease, [&](std::uint16_t port) {
    at.port = port;
    Listening listening = ListenAlone(at);
    socket = std::move(listening.socket);
    return listening.fault;
  });
  if (fault != Fault::kNone) return fault;
  if (!tools.poller.Add(socket.get(), {listener_tag_, owner_})) return Fault::kExhausted;
  listener_ = std::move(socket);
  port_ = std::move(lease);
  tools.counters.bind_waits.Add();
  CheckInvariants();
  return Fault::kNone;
}

BindWait::Progress BindWait::Step(std::uint16_t port, const BindTools& tools) {
  const Progress progress = AcceptPeers(port, tools);
  CheckInvariants();
  // There is a peer exactly if one was accepted, and it is one of the expected ones.
  assert((progress == Progress::kAccepted) == peer_.socket.valid());
  assert(progress != Progress::kAccepted || count_ == 0 ||
         std::ranges::count(std::span(peers_).first(count_), peer_.peer.ip) > 0);
  // Something will wake the session: another step, an edge of the listener, or the retry.
  assert(progress != Progress::kWaiting || (listening() && (!ready_ || retry_.armed())));
  return progress;
}

BindWait::Progress BindWait::AcceptPeers(std::uint16_t port, const BindTools& tools) {
  for (int i = 0; i < kBindPeersPerTurn; ++i) {
    if (!ready_ || retry_.armed()) return Progress::kWaiting;
    Accepted accepted = Accept(listener_.get());
    switch (accepted.status) {
      case Accepted::Status::kNone:
        ready_ = false;
        break;
      case Accepted::Status::kGone:
        break;
      case Accepted::Status::kExhausted:
        tools.counters.bind_paused.Add();
        tools.retries.Arm(retry_, tools.clock.now());
        break;
      case Accepted::Status::kTaken:
        if (IsExpected(accepted.peer.ip, port, tools.access)) {
          tools.counters.bind_admitted.Add();
          peer_ = std::move(accepted);
          listener_.Close();
          port_.Return();
          return Progress::kAccepted;
        }
        tools.counters.bind_wrong.Add();
        AbortOnClose(accepted.socket.get());
        break;
    }
  }
  return Progress::kUnfinished;
}

// The addresses in peers_ have been evaluated already, with the name that they belong to, which is not known here. If
// any peer may connect, it must be one that the client may reach.
bool BindWait::IsExpected(const IpAddress& peer, std::uint16_t port, const Access& access) const {
  const auto named = std::span(peers_).first(count_);
  if (named.empty()) return access.EvaluateAddress({}, peer, port).allowed;
  return std::ranges::find(named, peer) != named.end();
}

void BindWait::CheckInvariants() const {
  assert(count_ <= peers_.size());
  assert(!listening() || !peer_.socket.valid());
  assert(!retry_.armed() || listening());
}

}  // namespace penstock
