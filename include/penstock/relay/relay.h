// Both directions between a client and its target, and what the end of one means for the other.
// A member of Session; its worker's thread only. The sockets are borrowed for the length of a call.
// Invariant: a clean end is passed on as a clean end (FIN after the last byte), a break as a break; a truncated
// transfer never looks like a whole one.
// Deliberately not here: closing the sockets, idleness, and waiting for bytes to leave before a reset (session.h).
//
//   up    client ──▶ target          down    target ──▶ client
//
//   source ended    -> shut down sending on the sink; the other direction goes on as long as it likes
//   source broke    -> deliver what came before; the other direction has no sink any more
//   sink broke      -> the other direction reads on to the error: bytes that came before a reset are still bytes
//   source ended, and then its socket broke -> the other direction has no sink any more
//   both are over   -> kEnded when both ended cleanly, else kBroken: the side that still stands gets a reset
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
  enum class Turn : std::uint8_t {
    kWaiting,     // an edge will wake it
    kUnfinished,  // give it another turn
    kEnded,       // close both
    kBroken,      // reset whatever side is not broken itself, after what it was sent has arrived
  };

  // `client` and `target` say what is known of the sockets so far; what the poller has not told yet, it will. A target
  // that has broken already told its error to whoever asked how connecting went, and tells it no more. `early` is what
  // the client sent beyond its request. False when there was no memory for it.
  [[nodiscard]] bool Begin(const Events& client, const Events& target, int target_socket,
                           std::span<const std::uint8_t> early, const FlowTools& tools);

  void OnClient(const Events& events);
  void OnTarget(const Events& events);

  // That side does not answer any more, and no error tells so: a break, as if the kernel had told of it.
  void OnClientDead(const FlowTools& tools);
  void OnTargetDead(const FlowTools& tools);

  Turn Step(int client, int target, const FlowTools& tools) {
    Allowance any = kAnyAllowance;
    return Step(client, target, any, tools);
  }

  // The same, with what it took deducted from `left`. kUnfinished may mean that nothing was left.
  Turn Step(int client, int target, Allowance& left, const FlowTools& tools);

  // Gives back what is lent.
  void Release(const FlowTools& tools);

  bool bulk() const { return up_.bulk() || down_.bulk(); }
  EachWay<bool> wants_read() const { return {up_.wants_read(), down_.wants_read()}; }
  EachWay<bool> unfinished() const { return {up_.unfinished(), down_.unfinished()}; }

  bool client_broken() const { return Broke(up_, down_); }
  bool target_broken() const { return Broke(down_, up_); }

  // One side will never send again, although its last bytes may still wait for the other.
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

  Flow up_;
  Flow down_;
  bool client_gone_ = false;  // altogether, though bytes from it may still have to be read
  bool target_gone_ = false;
};

}  // namespace penstock
