#include "penstock/relay/flow.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/io.h"
#include "penstock/os/socket.h"

namespace penstock {

Flow::~Flow() { assert(pipe_ == nullptr && pending_ == nullptr); }

void Flow::OnSource(const Events& events) {
  source_ready_ |= events.readable;
  read_to_end_ |= events.closing || events.urgent;
  source_ended_ |= events.closing && !events.broken;
  urgent_ |= events.urgent;
}

void Flow::OnSink(const Events& events) { sink_ready_ |= events.writable; }

bool Flow::SendEarly(int sink, std::span<const std::uint8_t> early, const FlowTools& tools) {
  if (early.empty()) return true;
  BeforeSend(sink);
  const IoResult sent = Send(sink, early);
  if (sent.status == IoStatus::kFault) {
    Abandon(tools);
    return true;
  }
  bytes_ += sent.bytes;
  return sent.bytes == early.size() || Keep(early.subspan(sent.bytes), tools);
}

std::size_t Flow::Step(int source, int sink, std::size_t allowance, const FlowTools& tools) {
  unfinished_ = false;
  const std::size_t budget = std::min(tools.quantum, allowance);
  std::size_t taken = 0;
  while (open()) {
    if (holds() && !Deliver(sink, tools)) break;
    if (source_over_) {
      state_ = source_broken_ ? FlowState::kBroken : FlowState::kEnded;
      break;
    }
    if (!source_ready_ || !sink_ready_) break;
    if (taken >= budget) {
      unfinished_ = true;
      break;
    }
    taken += Fetch(source, sink, budget - taken, tools);
  }
  if (pipe_ != nullptr && in_pipe_ == 0) tools.pipes.Return(std::move(pipe_), true);
  CheckInvariants();
  return taken;
}

void Flow::Abandon(const FlowTools& tools) {
  if (!open()) return;
  state_ = FlowState::kAbandoned;
  Release(tools);
}

void Flow::OnSourceBroken() {
  source_ready_ = read_to_end_ = true;
  source_broken_ |= !source_ended_;
}

void Flow::OnSourceDead() { source_over_ = source_broken_ = true; }

void Flow::Release(const FlowTools& tools) {
  if (pipe_ != nullptr) tools.pipes.Return(std::move(pipe_), in_pipe_ == 0);
  if (pending_ != nullptr) tools.pending_buffers.Return(std::move(pending_));
  in_pipe_ = 0;
}

// Without TCP_NODELAY the kernel holds a small segment back while an earlier small one is unacknowledged (RFC 9293
// section 3.7.4, in Minshall's form). Nothing precedes the first send, so a session with one message saves a call.
void Flow::BeforeSend(int sink) {
  if (!sink_delays_ || bytes_ == 0) return;
  SendAtOnce(sink);
  sink_delays_ = false;
}

// True if nothing is held afterwards.
bool Flow::Deliver(int sink, const FlowTools& tools) {
  if (!sink_ready_) return false;
  return pending_ != nullptr ? DeliverPending(sink, tools) : DeliverPipe(sink, tools);
}

bool Flow::DeliverPending(int sink, const FlowTools& tools) {
  BeforeSend(sink);
  const IoResult sent = Send(sink, pending_->unsent());
  if (sent.status == IoStatus::kFault) {
    Abandon(tools);
    return false;
  }
  bytes_ += sent.bytes;
  pending_->Consume(sent.bytes);
  if (!pending_->empty()) {
    sink_ready_ = false;
    return false;
  }
  tools.pending_buffers.Return(std::move(pending_));
  return true;
}

bool Flow::DeliverPipe(int sink, const FlowTools& tools) {
  BeforeSend(sink);
  while (in_pipe_ > 0) {
    const IoResult sent = SpliceOut(pipe_->read_end.get(), sink, in_pipe_);
    if (sent.status == IoStatus::kAgain) {
      sink_ready_ = false;
      return false;
    }
    if (sent.status != IoStatus::kDone) {
      Abandon(tools);
      return false;
    }
    bytes_ += sent.bytes;
    in_pipe_ -= static_cast<std::uint32_t>(sent.bytes);
  }
  return true;
}

// Reads once, at most `bytes_max` bytes. Returns how many were taken from the source.
std::size_t Flow::Fetch(int source, int sink, std::size_t bytes_max, const FlowTools& tools) {
  if (bulk_ && !urgent_) {
    if (pipe_ == nullptr) pipe_ = tools.pipes.Lend(tools.share, tools.clock.now());
    if (pipe_ != nullptr) return FetchSplice(source, std::min(kSpliceBytes, bytes_max));
    tools.counters.pipes_missing.Add();
  }
  const auto buffer = tools.copy_buffer.first(std::min(tools.copy_buffer.size(), bytes_max));
  if (tools.pending_buffers.Ready(tools.share)) return FetchCopy(source, sink, buffer, tools);
  return FetchPeeked(source, sink, buffer, tools);
}

std::size_t Flow::FetchCopy(int source, int sink, std::span<std::uint8_t> buffer, const FlowTools& tools) {
  const IoResult read = Receive(source, buffer);
  NoteRead(read, buffer.size());
  if (read.status != IoStatus::kDone) return 0;
  NoteCopy(read.bytes == buffer.size(), sink);
  SendOrKeep(sink, buffer.first(read.bytes), tools);
  return read.bytes;
}

// Without a pending buffer bytes are taken from the source only after the sink has taken them: a third system call.
std::size_t Flow::FetchPeeked(int source, int sink, std::span<std::uint8_t> buffer, const FlowTools& tools) {
  const IoResult seen = Peek(source, buffer);
  if (seen.status != IoStatus::kDone) {
    NoteRead(seen, buffer.size());
    return 0;
  }
  NoteCopy(seen.bytes == buffer.size(), sink);
  BeforeSend(sink);
  const IoResult sent = Send(sink, buffer.first(seen.bytes));
  if (sent.status == IoStatus::kFault) {
    Abandon(tools);
    return 0;
  }
  bytes_ += sent.bytes;
  if (sent.bytes < seen.bytes) sink_ready_ = false;
  for (std::size_t left = sent.bytes; left > 0;) {
    const IoResult dropped = Discard(source, left);
    if (dropped.status != IoStatus::kDone) {
      NoteRead(dropped, left);  // the sink has these bytes, and no later read returns them
      break;
    }
    left -= dropped.bytes;
  }
  return sent.bytes;
}

std::size_t Flow::FetchSplice(int source, std::size_t bytes_max) {
  const IoResult read = SpliceIn(source, pipe_->write_end.get(), bytes_max);
  if (read.status == IoStatus::kAgain) {
    source_ready_ = false;  // the pipe is empty, so it is the source that has no bytes
    return 0;
  }
  if (read.status != IoStatus::kDone) {
    // recv(2) decides: splice(2) also returns 0 before an urgent byte whose edge has not been reported yet, with bytes
    // behind it. An error is noted, for the kernel reports it once.
    if (read.status == IoStatus::kFault) OnSourceBroken();
    bulk_ = false;
    return 0;
  }
  in_pipe_ = static_cast<std::uint32_t>(read.bytes);
  NoteSplice(read.bytes < std::min(kSmallSplice, bytes_max));
  return read.bytes;
}

void Flow::NoteCopy(bool full, int sink) {
  run_ = full ? static_cast<std::uint8_t>(run_ + 1) : std::uint8_t{0};
  if (run_ < kBulkAfter) return;
  bulk_ = true;
  run_ = 0;
  if (!unsent_bounded_) BoundUnsent(sink, kUnsentBytes);
  unsent_bounded_ = true;
}

void Flow::NoteSplice(bool small) {
  run_ = small ? static_cast<std::uint8_t>(run_ + 1) : std::uint8_t{0};
  if (run_ < kCopyAfter) return;
  bulk_ = false;
  run_ = 0;
}

// Puts what the sink does not take into a pending buffer. PendingBufferPool::Ready must have returned true.
void Flow::SendOrKeep(int sink, std::span<const std::uint8_t> bytes, const FlowTools& tools) {
  BeforeSend(sink);
  const bool last = source_over_ && !source_broken_;  // the flow ends in this Step, and the relay sends FIN
  const IoResult sent = last ? SendLast(sink, bytes) : Send(sink, bytes);
  if (sent.status == IoStatus::kFault) {
    Abandon(tools);
    return;
  }
  bytes_ += sent.bytes;
  if (sent.bytes < bytes.size()) Keep(bytes.subspan(sent.bytes), tools);
}

// Holds `bytes` for a sink that is full. False if there is no pending buffer.
bool Flow::Keep(std::span<const std::uint8_t> bytes, const FlowTools& tools) {
  sink_ready_ = false;
  if (!tools.pending_buffers.Ready(tools.share)) return false;
  pending_ = tools.pending_buffers.Lend(tools.share);
  pending_->Fill(bytes);
  return true;
}

// Lowers the source's latch if a recv(2) of at most `bytes_max` bytes proves it empty, or notes that it is over.
void Flow::NoteRead(const IoResult& result, std::size_t bytes_max) {
  switch (result.status) {
    case IoStatus::kDone:
      if (result.bytes == bytes_max) break;
      // The edge came after the FIN, so all bytes before it were there to be read.
      source_over_ = source_ended_ && !urgent_;
      if (!read_to_end_) source_ready_ = false;
      break;
    case IoStatus::kAgain:
      source_ready_ = false;
      break;
    case IoStatus::kFault:
      source_broken_ = true;
      source_over_ = true;
      break;
    case IoStatus::kEnd:
      source_over_ = true;
      break;
  }
}

void Flow::CheckInvariants() const {
  assert((in_pipe_ > 0) == (pipe_ != nullptr));
  assert(pending_ == nullptr || !pending_->empty());
  assert(pending_ == nullptr || pipe_ == nullptr);
  assert(open() || !holds());
  // Something will wake us: an edge of the source, an edge of the sink, or the next turn.
  assert(!open() || unfinished_ || !source_ready_ || !sink_ready_);
}

}  // namespace penstock
