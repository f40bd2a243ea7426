// One direction of a relay: moves bytes from a source socket to a sink socket, in order, each exactly once.
// Owned by Relay, as a member; its worker's thread only. Sockets are borrowed for the length of a call.
// Invariants:
//   - A latch may be up without need: that costs one system call. It is never down without proof: that would hang the
//     connection, for the poller is edge-triggered and reports each edge once.
//   - Nothing is read while the sink is full, while bytes are held, or beyond the allowance. So backpressure is the
//     source's own receive window, and a flow holds at most one pipe or one pending buffer.
//   - After Step an open flow has a latch down, whose edge will wake it, or is unfinished(): its caller gives it
//     another turn.
// Does not: decide what the end of one direction means for the other (relay.h), keep deadlines.
//
//            source_ready_                          sink_ready_
//   source ───────────────▶ copy buffer, or pipe ───────────────▶ sink
//                                     │                        ▲
//                                     ▼                        │
//                  held while the sink is full: pending buffer, or pipe
//
// An edge raises a latch: the source may have bytes, the sink may have space. Only the result of a system call lowers
// it, if that proves the source empty or the sink full:
//
//   call                  result       latch
//   recv from the source  full         stays up: more may follow
//                         short        down: the source is empty (epoll(7)); up after MSG_PEEK or if read_to_end_;
//                                      no more reads if source_ended_, for the end is next
//                         EAGAIN       down
//                         end, error   no more reads
//   splice to the pipe    some bytes   stays up: a pipe without free slots cuts a splice short, too
//                         EAGAIN       down: the pipe was empty, so the source is
//                         end, error   stays up: recv(2) decides, for splice(2) also returns 0 before an urgent byte
//   send to the sink      full         stays up
//                         short        down: the sink is full
//                         EAGAIN       down
//   splice to the sink    some bytes   stays up: a short splice proves nothing
//                         EAGAIN       down
//
// An edge that reports a break or an urgent byte sets read_to_end_. Then a short read may have stopped right before it,
// and no further edge reports what follows: reads continue until EAGAIN, the end or an error. An edge that reports the
// end does the same, but there a short recv is enough: the read that would return 0 is saved.
//
// Small messages are copied: one recv, one send. A splice needs a third call, to find the source empty. After
// kBulkAfter full reads in a row a flow splices; after kCopyAfter small splices in a row it copies again. A read that
// fills its allowance counts as full, however small the allowance is: a bandwidth limit is no reason to copy.
//
// A reader that stops reading holds up kUnsentBytes in the send queue of the sink, kSpliceBytes in a pipe, and the
// receive queue of the source: the mean of 100 downloads was 2.3 MiB, with a net.ipv4.tcp_rmem of at most 6 MiB.
// Splices of 256 KiB instead of 1 MiB were measured at 1.21 times the download rate and 1.55 times the CPU.
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

// What a worker lends to a flow for the length of a call.
struct FlowTools {
  std::span<std::uint8_t> copy_buffer;  // scratch of kCopyBytes
  PendingBufferPool& pending_buffers;
  PipePool& pipes;
  Counters& counters;
  const Clock& clock;
  std::size_t quantum = kTurnBytes;  // the maximum that one Step takes from the source
  std::uint8_t share = 0;            // of the client, in both pools; below kNameShares
};

// In life order; all but the first are final.
enum class FlowState : std::uint8_t {
  kOpen,       // bytes may still come
  kEnded,      // the source ended, and the sink has all bytes
  kBroken,     // the source broke, and the sink has all bytes that were read before
  kAbandoned,  // the sink broke: nothing can be delivered
};

class Flow {
 public:
  // `sink_delays`: the sink has no TCP_NODELAY yet.
  explicit Flow(bool sink_delays = false) : sink_delays_(sink_delays) {}
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;
  ~Flow();  // nothing is lent any more (Release)

  // Raises the latches. Call Step afterwards, or when the flow's turn comes.
  void OnSource(const Events& events);
  void OnSink(const Events& events);

  // Sends bytes that were received before the relay began: at most kPendingBufferBytes, before the first Step. What
  // the sink does not take goes into a pending buffer. If the sink fails, the flow is abandoned. False if there is no
  // pending buffer: bytes are lost then, and the session must end.
  [[nodiscard]] bool SendEarly(int sink, std::span<const std::uint8_t> early, const FlowTools& tools);

  // Moves bytes until a latch is down, the flow is over, or the quantum or `allowance` bytes have been taken from the
  // source. Returns how many were taken; the flow may hold some of them.
  std::size_t Step(int source, int sink, std::size_t allowance, const FlowTools& tools);

  // The sink is broken: drops the bytes that are held. Without effect on a flow that is not open().
  void Abandon(const FlowTools& tools);

  // The source is broken, which a read has perhaps not shown. Bytes in its receive queue are still delivered. An end
  // behind them counts as a break, unless an edge reported the end first: the kernel reports the error of a socket
  // once, and a write may have consumed it (SO_ERROR, socket(7)).
  void OnSourceBroken();

  // The peer of the source does not answer any more: what is held is delivered, nothing more is read, and the flow is
  // kBroken then.
  void OnSourceDead();

  // Returns what is lent to the flow; bytes inside are dropped.
  void Release(const FlowTools& tools);

  FlowState state() const { return state_; }
  bool open() const { return state_ == FlowState::kOpen; }
  // True if the source has finished sending; bytes of it may still be unread or held.
  bool source_finished() const { return !open() || source_ended_ || source_over_; }
  // True if the last Step used up its quantum or allowance with both latches up. No edge will come for what is left.
  bool unfinished() const { return open() && unfinished_; }
  bool bulk() const { return open() && bulk_; }
  // True if only an edge that reports space in the sink's send buffer wakes the flow.
  bool sink_full() const { return open() && !sink_ready_; }
  // True if the flow could make progress with an allowance.
  bool wants_read() const { return open() && !source_over_ && source_ready_ && sink_ready_; }
  // True if reads continue, without an edge, until EAGAIN, the end or an error, or are over.
  bool reads_to_end() const { return !open() || source_over_ || read_to_end_; }
  // The number of bytes that the sink has taken.
  std::uint64_t bytes() const { return bytes_; }

 private:
  bool holds() const { return in_pipe_ > 0 || pending_ != nullptr; }
  void BeforeSend(int sink);
  bool Deliver(int sink, const FlowTools& tools);
  bool DeliverPending(int sink, const FlowTools& tools);
  bool DeliverPipe(int sink, const FlowTools& tools);
  std::size_t Fetch(int source, int sink, std::size_t bytes_max, const FlowTools& tools);
  std::size_t FetchCopy(int source, int sink, std::span<std::uint8_t> buffer, const FlowTools& tools);
  std::size_t FetchPeeked(int source, int sink, std::span<std::uint8_t> buffer, const FlowTools& tools);
  std::size_t FetchSplice(int source, std::size_t bytes_max);
  void SendOrKeep(int sink, std::span<const std::uint8_t> bytes, const FlowTools& tools);
  bool Keep(std::span<const std::uint8_t> bytes, const FlowTools& tools);
  void NoteRead(const IoResult& result, std::size_t bytes_max);
  void NoteCopy(bool full, int sink);
  void NoteSplice(bool small);
  void CheckInvariants() const;

  std::unique_ptr<Pipe> pipe_;
  std::unique_ptr<PendingBuffer> pending_;
  std::uint64_t bytes_ = 0;
  std::uint32_t in_pipe_ = 0;
  FlowState state_ = FlowState::kOpen;
  std::uint8_t run_ = 0;             // full copies in a row; with bulk_, small splices in a row
  bool source_ready_ : 1 = false;    // latch: the source may have bytes, its end or an error
  bool sink_ready_ : 1 = false;      // latch: the sink may have space
  bool read_to_end_ : 1 = false;     // a short read does not prove the source empty
  bool source_over_ : 1 = false;     // the end or an error was read, or the peer is dead
  bool source_ended_ : 1 = false;    // an edge reported the end of the stream and no break
  bool source_broken_ : 1 = false;   // the end of the source is a break
  bool bulk_ : 1 = false;            // reads are splices
  bool sink_delays_ : 1;             // the sink has no TCP_NODELAY (BeforeSend)
  bool unsent_bounded_ : 1 = false;  // the sink's send queue has its limit (BoundUnsent)
  bool urgent_ : 1 = false;          // an urgent byte was reported, which splice(2) never passes; recv(2) does
  bool unfinished_ : 1 = false;
};

}  // namespace penstock
