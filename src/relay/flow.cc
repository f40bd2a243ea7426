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

// True when nothing is held any more.
bool Flow::Deliver(int sink, const FlowTools& tools) {
  if (!sink_ready_) return false;
  return pending_ != nullptr ? DeliverPending(sink, tools) : DeliverPipe(sink, tools);
}

bool Flow::DeliverPending(int sink, const FlowTools& tools) {
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

// Receives once, `room` bytes at most; the ways differ in where the bytes are kept. Returns how many came.
std::size_t Flow::Fetch(int source, int sink, std::size_t room, const FlowTools& tools) {
  if (bulk_ && !urgent_) {
    if (pipe_ == nullptr) pipe_ = tools.pipes.Lend(tools.share, tools.clock.now());
    if (pipe_ != nullptr) return FetchSplice(source, std::min(kSpliceBytes, room));
    tools.counters.pipes_missing.Add();
  }
  const auto buffer = tools.copy_buffer.first(std::min(tools.copy_buffer.size(), room));
  if (tools.pending_buffers.Ready(tools.share)) return FetchCopy(source, sink, buffer, tools);
  return FetchPeeked(source, sink, buffer, tools);
}

std::size_t Flow::FetchCopy(int source, int sink, std::span<std::uint8_t> room, const FlowTools& tools) {
  const IoResult read = Receive(source, room);
  NoteRead(read, room.size());
  if (read.status != IoStatus::kDone) return 0;
  NoteCopy(read.bytes == room.size(), sink);
  SendOrKeep(sink, room.first(read.bytes), tools);
  return read.bytes;
}

// With nowhere to keep bytes, they are taken from the source only once the sink has them: a third system call.
std::size_t Flow::FetchPeeked(int source, int sink, std::span<std::uint8_t> room, const FlowTools& tools) {
  const IoResult seen = Peek(source, room);
  if (seen.status != IoStatus::kDone) {
    NoteRead(seen, room.size());
    return 0;
  }
  NoteCopy(seen.bytes == room.size(), sink);
  const IoResult sent = Send(sink, room.first(seen.bytes));
  if (sent.status == IoStatus::kFault) {
    Abandon(tools);
    return 0;
  }
  bytes_ += sent.bytes;
  if (sent.bytes < seen.bytes) sink_ready_ = false;
  for (std::size_t left = sent.bytes; left > 0;) {
    const IoResult dropped = Discard(source, left);
    if (dropped.status != IoStatus::kDone) {
      NoteRead(dropped, left);  // what is gone cannot come twice
      break;
    }
    left -= dropped.bytes;
  }
  return sent.bytes;
}

std::size_t Flow::FetchSplice(int source, std::size_t room) {
  const IoResult read = SpliceIn(source, pipe_->write_end.get(), room);
  if (read.status == IoStatus::kAgain) {
    source_ready_ = false;  // for the pipe is empty
    return 0;
  }
  if (read.status != IoStatus::kDone) {
    // No verdict: splice(2) also says "end" in front of an urgent byte whose edge has not been told yet, with bytes
    // behind it. recv(2) will say what is true; but an error is told only once.
    if (read.status == IoStatus::kFault) OnSourceBroken();
    bulk_ = false;
    return 0;
  }
  in_pipe_ = static_cast<std::uint32_t>(read.bytes);
  NoteSplice(read.bytes < std::min(kSmallSplice, room));
  return read.bytes;
}

void Flow::NoteCopy(bool full, int sink) {
  run_ = full ? static_cast<std::uint8_t>(run_ + 1) : std::uint8_t{0};
  if (run_ < kBulkAfter) return;
  bulk_ = true;
  run_ = 0;
  if (!bounded_) BoundUnsent(sink, kUnsentBytes);
  bounded_ = true;
}

void Flow::NoteSplice(bool small) {
  run_ = small ? static_cast<std::uint8_t>(run_ + 1) : std::uint8_t{0};
  if (run_ < kCopyAfter) return;
  bulk_ = false;
  run_ = 0;
}

// What a full sink would not take goes into a pending buffer, of which PendingBufferPool::Ready() has spoken.
void Flow::SendOrKeep(int sink, std::span<const std::uint8_t> bytes, const FlowTools& tools) {
  const IoResult sent = Send(sink, bytes);
  if (sent.status == IoStatus::kFault) {
    Abandon(tools);
    return;
  }
  bytes_ += sent.bytes;
  if (sent.bytes < bytes.size()) Keep(bytes.subspan(sent.bytes), tools);
}

// For a sink that is full. False when there is no pending buffer.
bool Flow::Keep(std::span<const std::uint8_t> bytes, const FlowTools& tools) {
  sink_ready_ = false;
  if (!tools.pending_buffers.Ready(tools.share)) return false;
  pending_ = tools.pending_buffers.Lend(tools.share);
  pending_->Fill(bytes);
  return true;
}

// Draws from a read of at most `room` bytes what it proves.
void Flow::NoteRead(const IoResult& result, std::size_t room) {
  switch (result.status) {
    case IoStatus::kDone:
      if (result.bytes < room && !read_to_end_) source_ready_ = false;
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
