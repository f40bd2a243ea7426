// One direction of a relay: bytes from a source socket to a sink socket, in order, each exactly once.
// A member of Relay; its worker's thread only. The sockets are borrowed for the length of a call.
// Invariant: a latch may be wrongly true (it costs one system call), never wrongly false (it would hang the
// connection): source_ready_ falls only when a read proved the source empty, sink_ready_ only when a write proved the
// sink full. With edge triggering nobody will say it again.
// Deliberately not here: what the end of one direction means for the other (relay.h), and deadlines.
//
//            source_ready_                          sink_ready_
//   source ───────────────▶ copy buffer, or pipe ───────────────▶ sink
//                                   │
//                              pending buffer or pipe: what the sink would not take yet
//
// Nothing is read while the sink is full or while something is held, nor beyond what the caller allows: backpressure is
// the source's own receive window.
//
// What the kernel's answers prove:
//   - a read that filled less than its room: the source is empty (epoll(7)), unless an edge said that the stream is
//     closing or has an urgent byte in it: then only "again", the end or an error prove anything. One that filled a
//     room which an allowance had made small proves nothing, as with any other;
//   - a short splice(2) proves nothing, for the pipe may have run out of slots; "again" with an empty pipe does;
//   - the end, or an error, as splice(2) tells it: only that recv(2) must be asked. In front of an urgent byte it says
//   "end"
//     too, with bytes behind it;
//   - a short send(2): the sink is full. A short splice(2) into it proves nothing; "again" does.
//
// Small messages are copied: two system calls for each, where splice needs a third to see that no more came. A run of
// full copies turns a flow to splice, a run of small splices turns it back (kBulkAfter, kCopyAfter). What fills its
// allowance is full, however small that was: a limit is no reason to copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "penstock/base/counters.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/io.h"
#include "penstock/os/pipe.h"
#include "penstock/os/poller.h"
#include "penstock/relay/pending_buffer.h"

namespace penstock {

// What a worker lends to the flow whose turn it is.
struct FlowTools {
  std::span<std::uint8_t> copy_buffer;  // kCopyBytes, scratch
  PendingBufferPool& pending_buffers;
  PipePool& pipes;
  Counters& counters;
  const Clock& clock;
  std::size_t quantum = kTurnBytes;  // what it may move before others have their turn
  std::uint8_t share = 0;            // of its client, of pending buffers and pipes
};

// In life order; all but the first are final.
enum class FlowState : std::uint8_t {
  kOpen,       // bytes may still come
  kEnded,      // the source finished, and the sink has everything
  kBroken,     // the source broke, and the sink has everything that came before
  kAbandoned,  // the sink broke: nothing can be delivered any more
};

class Flow {
 public:
  Flow() = default;
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;
  ~Flow();  // Release() has been called, or nothing was ever held

  void OnSource(const Events& events);
  void OnSink(const Events& events);

  // Bytes, kPendingBufferBytes at most, that were received before the flow began: they go first. False when there is
  // nowhere to keep what the sink might not take.
  [[nodiscard]] bool SendEarly(int sink, std::span<const std::uint8_t> early, const FlowTools& tools);

  // Moves what can be moved, and takes no more than the quantum and `allowance` from the source. Returns how much it
  // took, which may be held now.
  std::size_t Step(int source, int sink, std::size_t allowance, const FlowTools& tools);

  // The sink broke: drops what is held.
  void Abandon(const FlowTools& tools);

  // The source is known to have broken, though perhaps not through a read: what was received is still delivered, but
  // an end that follows is no clean end, unless it had come before. (The error is told only once per socket, and a
  // write may have got it.)
  void OnSourceBroken();

  // The source's peer is dead, as far as anyone can tell: what was received is delivered, and nothing more is read.
  void OnSourceDead();

  // Gives back what is lent.
  void Release(const FlowTools& tools);

  FlowState state() const { return state_; }
  bool open() const { return state_ == FlowState::kOpen; }
  // The source has finished sending, although bytes of it may still be on their way to the sink.
  bool source_finished() const { return !open() || source_ended_ || source_over_; }
  // The turn, or its allowance, ended before the work did: no edge will say so, the caller gives it another turn.
  bool unfinished() const { return open() && unfinished_; }
  bool bulk() const { return open() && bulk_; }
  // True if a turn would use an allowance.
  bool wants_read() const { return open() && !source_over_ && source_ready_ && sink_ready_; }
  // Reads go on until the end or an error, whatever else they find; or they are over.
  bool reads_to_end() const { return !open() || source_over_ || read_to_end_; }
  std::uint64_t bytes() const { return bytes_; }  // that the sink has taken

 private:
  bool holds() const { return in_pipe_ > 0 || pending_ != nullptr; }
  bool Deliver(int sink, const FlowTools& tools);
  bool DeliverPending(int sink, const FlowTools& tools);
  bool DeliverPipe(int sink, const FlowTools& tools);
  std::size_t Fetch(int source, int sink, std::size_t room, const FlowTools& tools);
  std::size_t FetchCopy(int source, int sink, std::span<std::uint8_t> room, const FlowTools& tools);
  std::size_t FetchPeeked(int source, int sink, std::span<std::uint8_t> room, const FlowTools& tools);
  std::size_t FetchSplice(int source, std::size_t room);
  void SendOrKeep(int sink, std::span<const std::uint8_t> bytes, const FlowTools& tools);
  bool Keep(std::span<const std::uint8_t> bytes, const FlowTools& tools);
  void NoteRead(const IoResult& result, std::size_t room);
  void NoteCopy(bool full, int sink);
  void NoteSplice(bool small);
  void CheckInvariants() const;

  std::unique_ptr<Pipe> pipe_;
  std::unique_ptr<PendingBuffer> pending_;
  std::uint64_t bytes_ = 0;
  std::uint32_t in_pipe_ = 0;
  FlowState state_ = FlowState::kOpen;
  std::uint8_t run_ = 0;  // of full copies, or of small splices
  bool source_ready_ : 1 = false;
  bool sink_ready_ : 1 = false;
  bool read_to_end_ : 1 = false;    // a short read proves nothing any more
  bool source_over_ : 1 = false;    // the end or an error was read
  bool source_ended_ : 1 = false;   // an edge told of the end, and of no break: the end came first
  bool source_broken_ : 1 = false;  // ... and it was no clean end
  bool bulk_ : 1 = false;           // splice
  bool bounded_ : 1 = false;        // the sink's queue is (BoundUnsent)
  bool urgent_ : 1 = false;         // splice(2) stops for good in front of an urgent byte; recv(2) passes it
  bool unfinished_ : 1 = false;
};

}  // namespace penstock
