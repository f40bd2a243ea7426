// Edge-triggered epoll(7), level-triggered for listeners, with cookies that carry a handle.
// Owned by a worker; its own thread only. Descriptors are borrowed; close(2) removes one from the poller.
// Invariant: a connected socket is registered once, and at most once more for space to write, so the steady state needs
// no epoll_ctl(2). An edge is reported once: its receiver keeps it as a latch until a system call returns EAGAIN.
// Deliberately not here: the meaning of tags (session/core.h), and deadlines (timers.h).
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "penstock/base/limits.h"
#include "penstock/base/slab.h"
#include "penstock/os/fd.h"

namespace penstock {

// The receiver of an event, a deadline or an answer: a tag and a handle, which whoever registers chooses. 64 bits, as
// epoll keeps them:
//
//   | tag: 8 | generation: 24 | slot: 32 |
struct Cookie {
  std::uint8_t tag = 0;
  Handle handle;

  std::uint64_t Packed() const {
    return std::uint64_t{tag} << 56 | std::uint64_t{handle.generation} << 32 | handle.slot;
  }
  static Cookie Unpacked(std::uint64_t bits) {
    return {static_cast<std::uint8_t>(bits >> 56),
            {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32) & Handle::kGenerationMask}};
  }

  bool operator==(const Cookie&) const = default;
};

// What happened to a descriptor. Several members may be true at once.
struct Events {
  bool readable = false;
  bool writable = false;
  bool closing = false;  // RDHUP, HUP or ERR: no further edge will come, so read until end of file or an error
  bool broken = false;   // HUP or ERR: both directions have ended
  bool urgent = false;   // PRI: an urgent byte is in the stream

  Events& operator|=(const Events& more) {
    readable |= more.readable;
    writable |= more.writable;
    closing |= more.closing;
    broken |= more.broken;
    urgent |= more.urgent;
    return *this;
  }
};

class Poller {
 public:
  struct Event {
    Cookie cookie;
    Events events;
  };

  // Throws std::system_error if the system has no descriptor or memory for it.
  Poller();

  // Registers `fd` for all events, edge-triggered. False if the kernel has no memory or no watches left (epoll_ctl(2):
  // ENOMEM, ENOSPC).
  [[nodiscard]] bool Add(int fd, Cookie cookie);

  // Add, but without events for writing, each of which would wake the thread for nothing: a new socket is writable at
  // once, a UDP socket again after each datagram that it sends, a TCP socket after shutdown(2).
  [[nodiscard]] bool AddReader(int fd, Cookie cookie);

  // Registers an `fd` of AddReader, with the same `cookie`, for all events. If it is writable by now, an event comes.
  void WatchWrites(int fd, Cookie cookie);

  // Registers a listening socket, level-triggered: an event comes in every Wait while a connection is in its backlog.
  // So its owner need not find out that the backlog is empty, which costs an accept(2). Of several pollers that have
  // the same socket, one or some report a connection (EPOLLEXCLUSIVE, epoll_ctl(2)). False as Add.
  [[nodiscard]] bool AddListener(int fd, Cookie cookie);

  // Forgets `fd`, so that it can be added again.
  void Remove(int fd);

  // Waits for events, for at most `timeout`; without a timeout for ever, with zero not at all. Returns the number of
  // events, at most kEventsPerTurn; 0 also after EINTR.
  int Wait(std::optional<std::chrono::nanoseconds> timeout);

  // Event `index` of the last Wait, below what it returned.
  Event At(int index) const;

 private:
  void Modify(int fd, Cookie cookie, std::uint32_t events);
  bool Control(int operation, int fd, Cookie cookie, std::uint32_t events);

  Fd epoll_;
  std::array<epoll_event, kEventsPerTurn> events_;
};

// Ends a poller's Wait from another thread (eventfd(2)). Raise: any thread; the rest: the poller's thread.
class WakeUp {
 public:
  // Throws std::system_error if the system has no descriptor left.
  WakeUp();

  void Raise() const;                   // makes fd() readable
  void Clear() const;                   // until the next Raise
  int fd() const { return fd_.get(); }  // to register with the poller

 private:
  Fd fd_;
};

}  // namespace penstock
