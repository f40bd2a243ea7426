#include "penstock/bind_wait.h"

#include <algorithm>
#include <cassert>

namespace penstock {

Fault BindWait::ListenFor(std::span<const IpAddress> peers, const PortRange& ports, const BindTools& tools) {
  assert(!peers.empty());
  count_ = std::min(peers.size(), peers_.size());
  std::ranges::copy(peers.first(count_), peers_.begin());
  Fault fault = Fault::kNone;
  for (const IpAddress& peer : peers.first(count_)) {
    const LocalAddress local = LocalAddressTowards(peer);
    if (local.fault == Fault::kNone) return Open(local.at, ports, tools);
    fault = local.fault;
  }
  return fault;
}

Fault BindWait::ListenForAnyone(const Endpoint& at, const PortRange& ports, const BindTools& tools) {
  return Open(at, ports, tools);
}

Fault BindWait::Open(const Endpoint& at, const PortRange& ports, const BindTools& tools) {
  assert(!listening());
  Listening listening = ListenAlone(at, ports);
  if (listening.fault != Fault::kNone) return listening.fault;
  if (!tools.poller.Add(listening.socket.get(), {listener_tag_, owner_})) return Fault::kExhausted;
  listener_ = std::move(listening.socket);
  tools.counters.bind_waits.Add();
  return Fault::kNone;
}

BindWait::Turn BindWait::Step(const IpAddress& client, const BindTools& tools) {
  for (int i = 0; i < kBindPeersPerTurn; ++i) {
    if (!ready_ || retry_.armed()) return Turn::kWaiting;
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
        if (Expected(client, accepted.peer.ip, tools.guard)) {
          tools.counters.bind_admitted.Add();
          peer_ = std::move(accepted);
          listener_.Close();
          return Turn::kCame;
        }
        tools.counters.bind_wrong.Add();
        AbortOnClose(accepted.socket.get());
        break;
    }
  }
  return Turn::kUnfinished;
}

// Anyone does not include whom the client may not reach: the guard judges whoever comes.
bool BindWait::Expected(const IpAddress& client, const IpAddress& peer, Guard& guard) const {
  const auto named = std::span(peers_).first(count_);
  return (named.empty() || std::ranges::find(named, peer) != named.end()) && guard.Allows(client, peer);
}

}  // namespace penstock
