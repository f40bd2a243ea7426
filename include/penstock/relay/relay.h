// Both directions between a client and its target, and what the end of one means for the other.
// Owned by Session, as a member; its worker's thread only. Sockets are borrowed for the length of a call.
// Invariant: a clean end is passed on as a clean end (FIN after the last byte), a break as a break (RST). A truncated
// transfer never looks complete.
// Does not: close sockets, notice idle relays, wait for bytes to be delivered before a reset (session.h).
//
//   up    client ──▶ target          down    target ──▶ client
//
//   what happened              what follows
//   a source ended             FIN to the sink after the last byte; the other direction continues
//   a source broke             the bytes before are delivered, then the other direction is abandoned: it has no sink
//   a sink broke               the other direction reads it to the error: bytes before a reset are delivered, too
//   a source ended, and its    the direction towards it is abandoned
//   socket broke later
//   both directions are over   kEnded if both ended cleanly, else kBroken
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "penstock/os/poller.h"
#include "penstock/relay/flow.h"
#include "penstock/relay/way.h"

namespace penstock {

class Relay {
 public:
  enum class Progress : std::uint8_t {
    kWaiting,     // an edge will wake it
    kUnfinished,  // give it another turn
    kEnded,       // close both sockets
    kBroken,      // reset each side that is not broken itself, once the bytes sent to it have been delivered
  };

  // `client` and `target`: the events that were reported for the sockets so far. `early`: the bytes behind the client's
  // request, at most kPendingBufferBytes; they are sent to `target_socket` first. False if the target does not take
  // them and there is no pending buffer: then the session must end. The error of a target that is broken already has
  // been consumed (ConnectFault), so its end counts as a break.
  [[nodiscard]] bool Begin(const Events& client, const Events& target, int target_socket,
                           std::span<const std::uint8_t> early, const FlowTools& tools);

  // Raises latches. Call Step afterwards, or when the relay's turn comes.
  void OnClient(const Events& events);
  void OnTarget(const Events& events);

  // The peer does not answer any more, although the kernel reports no error. Counts as a break.
  void OnClientDead(const FlowTools& tools);
  void OnTargetDead(const FlowTools& tools);

  // A turn of both directions, each within the quantum of `tools`.
  Progress Step(int client, int target, const FlowTools& tools) {
    Allowance any = kAnyAllowance;
    return Step(client, target, any, tools);
  }

  // The same, within `left`, from which it deducts what it takes. kUnfinished also if nothing is left.
  Progress Step(int client, int target, Allowance& left, const FlowTools& tools);

  // Returns what is lent; bytes inside are dropped.
  void Release(const FlowTools& tools);

  bool bulk() const { return up_.bulk() || down_.bulk(); }
  EachWay<bool> wants_read() const { return {up_.wants_read(), down_.wants_read()}; }
  EachWay<bool> unfinished() const { return {up_.unfinished(), down_.unfinished()}; }

  // True if the client's send buffer is full: the session must watch the client's socket for space.
  bool client_full() const { return down_.sink_full(); }

  bool client_broken() const { return Broke(up_, down_); }
  bool target_broken() const { return Broke(down_, up_); }

  // True if one side will never send again; its last bytes may still be on their way.
  bool half_closed() const { return client_gone_ || target_gone_ || up_.source_finished() || down_.source_finished(); }

  std::uint64_t bytes_up() const { return up_.bytes(); }
  std::uint64_t bytes_down() const { return down_.bytes(); }

 private:
  static bool Broke(const Flow& from, const Flow& to) {
    return from.state() == FlowState::kBroken || to.state() == FlowState::kAbandoned;
  }
  static void OnSide(const Events& events, Flow& from, Flow& to, bool& gone);
  static void OnDead(Flow& from, Flow& to, bool& gone, const FlowTools& tools);
  void CheckInvariants() const;
  static void StepFlow(Flow& flow, Flow& reverse, int source, int sink, std::size_t& left, const FlowTools& tools);

  Flow up_{true};  // connected by Connect (os/socket.h); the client's socket inherits TCP_NODELAY
  Flow down_;
  // HUP or ERR was reported, or the peer is dead: no bytes reach it. Bytes from it may still be unread.
  bool client_gone_ = false;
  bool target_gone_ = false;
};

}  // namespace penstock
