// One connection to the admin interface: its bytes, its state and its deadline.
// Owned by Admin's slab; Admin's thread only.
// Invariants:
//   - Requests are answered in their order. While an answer has not been sent, nothing more is read, so a client that
//     pipelines or does not read costs one answer and kAdminRequestBytesMax.
//   - A deadline is always armed. That of a request starts with its first byte, and further bytes do not move it.
//   - A stream of events has at most one event under way: the next one is taken when the client's kernel has the last.
//     A client that takes nothing is cut off like any other.
//   - The last answer arrives even if the client has sent more: the rest is read and dropped before the close, which
//     would otherwise reset the connection.
// Does not: know permissions and routes (site.h), accept connections (admin.h).
//
//   kReading ──── a request, an error or 408 ────▶ kAnswering ── the last answer is sent ──▶ kLingering ──▶ over
//      ▲                                               │ ▲
//      └───────────── the answer is sent ──────────────┤ │ the next event
//                                                      ▼ │
//                                                  kStreaming
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "penstock/admin/site.h"
#include "penstock/base/limits.h"
#include "penstock/base/secret.h"
#include "penstock/base/slab.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"

namespace penstock {

struct ConnectionDeadlines {
  explicit ConnectionDeadlines(std::chrono::milliseconds timeout)
      : waiting(timeout), answering(timeout), streaming(kEventInterval), lingering(kLingerMax) {}

  DeadlineQueue waiting;    // for the first byte of a request, and then for the rest of it
  DeadlineQueue answering;  // since the client has last taken something of its answer
  DeadlineQueue streaming;  // until the next event
  DeadlineQueue lingering;  // for the client to close

  const std::array<DeadlineQueue*, 4> all{&lingering, &waiting, &answering, &streaming};  // in the order of replacement
};

class Connection {
 public:
  // What Admin should do after a step.
  enum class Next : std::uint8_t {
    kWait,     // for an event or the deadline
    kReady,    // give it another turn: it has more requests
    kRelease,  // it is over
  };

  // What Admin lends to a step.
  struct Tools {
    const Site& site;
    ConnectionDeadlines& deadlines;
    const Clock& clock;
  };

  // `tag` and `handle` are the cookie of its deadline.
  Connection(Handle handle, std::uint8_t tag, Fd socket, Entrance entrance, const Tools& tools);
  ~Connection() { Wipe(input_); }  // it may hold the token
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Handle handle() const { return handle_; }
  int fd() const { return socket_.get(); }

  bool on_ready_list() const { return on_ready_list_; }
  void set_on_ready_list(bool on) { on_ready_list_ = on; }

  void Raise(const Events& events);  // before Advance
  Next Advance(const Tools& tools);
  Next OnDeadline(const Tools& tools);  // its deadline has passed

  // Before it is released early: a client that has not received all of its answer gets a reset instead of an end.
  void Abandon();

 private:
  // In life order, see above.
  enum class State : std::uint8_t {
    kReading,    // for a whole request
    kAnswering,  // `output_` is being sent: an answer, or an event
    kStreaming,  // the last event has been sent; what the client sends is dropped, and its end ends the stream
    kLingering,  // no more is sent; what the client sends is dropped
  };
  enum class Step : std::uint8_t { kAgain, kWait, kRelease };

  Step StepRead(const Tools& tools);
  Step StepSend(const Tools& tools);
  Step StepDrop();
  void Answer(Response response, bool head_only, bool keep_alive, const Tools& tools);
  Next NextEvent(const Tools& tools);
  void Consume(std::size_t bytes);

  const Handle handle_;
  Fd socket_;
  const Entrance entrance_;
  State state_ = State::kReading;
  bool readable_ = true;  // latches (os/poller.h)
  bool writable_ = true;
  bool on_ready_list_ = false;
  bool keep_alive_ = true;       // after `output_`
  std::size_t input_bytes_ = 0;  // of `input_`: a prefix of a request, or requests that follow the one being answered
  std::size_t sent_ = 0;         // of `output_`
  std::size_t dropped_ = 0;      // bytes, while streaming or lingering
  std::string output_;
  EventReader events_;    // of a stream
  TimePoint streamed_{};  // when the last event was sent
  Deadline deadline_;
  std::array<std::uint8_t, kAdminRequestBytesMax> input_;
};

}  // namespace penstock
