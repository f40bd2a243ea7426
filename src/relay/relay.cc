#include "penstock/relay/relay.h"

#include <cassert>

#include "penstock/os/socket.h"

namespace penstock {

bool Relay::Begin(const Events& client, const Events& target, int target_socket, std::span<const std::uint8_t> early,
                  const FlowTools& tools) {
  OnClient(client);
  OnTarget(target);
  if (target.broken) down_.OnSourceBroken();
  if (!up_.SendEarly(target_socket, early, tools)) return false;
  if (!up_.open()) down_.OnSourceBroken();
  CheckInvariants();
  return true;
}

void Relay::OnClient(const Events& events) {
  OnSide(events, up_, down_, client_gone_);
  CheckInvariants();
}

void Relay::OnTarget(const Events& events) {
  OnSide(events, down_, up_, target_gone_);
  CheckInvariants();
}

void Relay::OnClientDead(const FlowTools& tools) {
  OnDead(up_, down_, client_gone_, tools);
  CheckInvariants();
}

void Relay::OnTargetDead(const FlowTools& tools) {
  OnDead(down_, up_, target_gone_, tools);
  CheckInvariants();
}

void Relay::OnSide(const Events& events, Flow& from, Flow& to, bool& gone) {
  from.OnSource(events);
  to.OnSink(events);
  gone |= events.broken;
}

void Relay::OnDead(Flow& from, Flow& to, bool& gone, const FlowTools& tools) {
  from.OnSourceDead();
  to.Abandon(tools);
  gone = true;
}

Relay::Progress Relay::Step(int client, int target, Allowance& left, const FlowTools& tools) {
  const std::uint64_t up_before = up_.bytes();
  const std::uint64_t down_before = down_.bytes();
  StepFlow(up_, down_, client, target, left.up, tools);
  StepFlow(down_, up_, target, client, left.down, tools);
  // The client broke during the turn of `down_`: `up_` reads it to the error.
  if (down_.state() == FlowState::kAbandoned) StepFlow(up_, down_, client, target, left.up, tools);
  // After its end a side is read no more, and written only when the other side sends: its break would go unnoticed.
  if (client_gone_ && !up_.open()) down_.Abandon(tools);
  if (target_gone_ && !down_.open()) up_.Abandon(tools);
  tools.counters.bytes_up.Add(up_.bytes() - up_before);
  tools.counters.bytes_down.Add(down_.bytes() - down_before);

  Progress progress = client_broken() || target_broken() ? Progress::kBroken : Progress::kEnded;
  if (up_.open() || down_.open())
    progress = up_.unfinished() || down_.unfinished() ? Progress::kUnfinished : Progress::kWaiting;
  CheckInvariants();
  // A side whose end was read and that then broke is no sink any more.
  assert(!client_gone_ || up_.open() || !down_.open());
  assert(!target_gone_ || down_.open() || !up_.open());
  // A truncated transfer never looks complete.
  assert(progress != Progress::kEnded || (up_.state() == FlowState::kEnded && down_.state() == FlowState::kEnded));
  // Something will wake us: another turn, or an edge for each direction that is open.
  assert(progress == Progress::kUnfinished || (!up_.wants_read() && !down_.wants_read()));
  return progress;
}

void Relay::StepFlow(Flow& flow, Flow& reverse, int source, int sink, std::size_t& left, const FlowTools& tools) {
  if (!flow.open()) return;
  left -= flow.Step(source, sink, left, tools);
  switch (flow.state()) {
    case FlowState::kOpen:
      break;
    case FlowState::kEnded:
      // If both have ended, close(2) sends the FIN.
      if (reverse.state() != FlowState::kEnded) ShutdownSend(sink);
      break;
    case FlowState::kBroken:
      reverse.Abandon(tools);
      break;
    case FlowState::kAbandoned:
      reverse.OnSourceBroken();
      break;
  }
}

void Relay::Release(const FlowTools& tools) {
  up_.Release(tools);
  down_.Release(tools);
}

void Relay::CheckInvariants() const {
  // A broken side is no sink for the other direction. A sink that broke is read to the error.
  assert(up_.state() != FlowState::kBroken || !down_.open());
  assert(down_.state() != FlowState::kBroken || !up_.open());
  assert(up_.state() != FlowState::kAbandoned || down_.reads_to_end());
  assert(down_.state() != FlowState::kAbandoned || up_.reads_to_end());
}

}  // namespace penstock
