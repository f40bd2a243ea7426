// Edge-triggered epoll(7), with cookies that carry a handle.
// Owned by a worker; its own thread only. Descriptors are borrowed; closing one takes it out of the poller.
// Invariant: a descriptor is registered once, for everything, and never modified: the steady state needs no
// epoll_ctl(2). An edge is reported once, so whoever gets it must remember it until a system call says "again".
// Deliberately not here: what a cookie's tag means (worker.h), and deadlines (timers.h).
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

// Whom an event, a deadline or an answer is for: a tag that its receiver gave it, and a handle. 64 bits, as epoll
// keeps them:
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

// What happened to a descriptor. Several at once are common.
struct Events {
  bool readable = false;
  bool writable = false;
  bool closing = false;  // RDHUP, HUP or ERR: no verdict, but no further edge will announce bytes: read to the end
  bool broken = false;   // HUP or ERR: both directions are over
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

  // Throws std::system_error when the system gives no epoll instance; at start-up only.
  Poller();

  // Registers `fd` for every kind of event, edge-triggered. False when the kernel has no memory or watches left
  // (epoll_ctl(2): ENOMEM, ENOSPC).
  [[nodiscard]] bool Add(int fd, Cookie cookie);

  // The same for whoever never waits for room to write. A UDP socket becomes writable again with every datagram that
  // has left it: without this, each sending would wake its own thread once more.
  [[nodiscard]] bool AddReader(int fd, Cookie cookie);

  // Waits for events, until `timeout` at most (nothing: without end; zero: only looks). Returns how many there are.
  int Wait(std::optional<std::chrono::nanoseconds> timeout);

  // Event `index` of the last Wait.
  Event At(int index) const;

 private:
  bool Register(int fd, Cookie cookie, std::uint32_t events);

  Fd epoll_;
  std::array<epoll_event, kEventsPerTurn> events_;
};

// Makes a poller's wait end from another thread (eventfd(2)). Raise: any thread; the rest: the poller's.
class WakeUp {
 public:
  // Throws std::system_error when the system has no descriptor left; at start-up only.
  WakeUp();

  void Raise() const;
  void Clear() const;
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
};

}  // namespace penstock
