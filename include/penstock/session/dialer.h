// Connects to the first of several addresses that answers ("happy eyeballs", RFC 8305).
// A member of a session's handshake; its worker's thread only. It owns the sockets of its attempts until one has won.
// Invariant: while it is kConnecting, at least one attempt is under way, so an event or a deadline will wake it.
// Deliberately not here: names (resolver.h), which addresses are allowed (guard.h), and the deadline for all of it.
//
// Families take turns, the first address's family first; an attempt gets kAttemptDelay before the next one starts
// beside it, and one that fails makes the next one start at once. No more than kAttemptsAtOnce are under way, for each
// costs a descriptor: all but the first come from a pool of the worker, and wait until there is one. The first to
// connect wins; the rest are closed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "penstock/base/endpoint.h"
#include "penstock/base/fair_shares.h"
#include "penstock/base/limits.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"

namespace penstock {

// What a worker lends to the dialer whose turn it is.
struct DialTools {
  Poller& poller;
  DeadlineQueue& attempt_delays;  // of kAttemptDelay
  const Clock& clock;
  FairShares& further_attempts;  // beside the first of a dialer, whose descriptor is its session's own
  std::size_t share;             // of its client
};

class Dialer {
 public:
  enum class Status : std::uint8_t { kIdle, kConnecting, kConnected, kFailed };

  // Attempt `n` is registered with the poller under tag `first_attempt_tag + n` and `owner`; the attempt delay yields
  // `delay_tag` and `owner`.
  Dialer(Handle owner, std::uint8_t first_attempt_tag, std::uint8_t delay_tag)
      : owner_(owner), first_attempt_tag_(first_attempt_tag), delay_({delay_tag, owner}) {}

  // Starts with `addresses`, one at least; more than kAddressesPerName are not tried. `sources`: where to connect to
  // each from, null for wherever the kernel likes; none at all stands for null for all. They live until it is
  // kConnected or kFailed.
  void Begin(std::span<const IpAddress> addresses, std::uint16_t port, const DialTools& tools,
             std::span<const Source* const> sources = {});

  void OnEvent(std::size_t attempt, const Events& events, const DialTools& tools);
  void OnDelay(const DialTools& tools);

  // Closes the attempts that are under way; to be called before it goes.
  void Stop(const DialTools& tools);

  Status status() const { return status_; }

  // When kConnected: the socket, which is registered already; who it is connected to; and what the poller told of it:
  // `broken` when the connection has been reset since.
  int socket() const { return attempts_[winner_].get(); }
  Fd TakeSocket() { return std::move(attempts_[winner_]); }
  std::uint8_t winner() const { return static_cast<std::uint8_t>(winner_); }  // the number of its attempt
  Endpoint peer() const { return {addresses_[winner_], port_}; }
  const Events& events() const { return events_; }

  // When kFailed: the most informative failure: "refused" beats "unreachable" beats "timed out"; else the last one.
  // While kConnecting: the same of those that have failed so far; kNone when none has.
  Fault fault() const { return fault_; }

 private:
  void Interleave(std::span<const IpAddress> addresses, std::span<const Source* const> sources);
  void StartNext(const DialTools& tools);
  bool StartAttempt(std::size_t attempt, const DialTools& tools);
  void EndAttempt(std::size_t attempt, const DialTools& tools);
  void NoteFault(Fault fault);
  void CheckInvariants() const;

  std::array<IpAddress, kAddressesPerName> addresses_;
  std::array<const Source*, kAddressesPerName> sources_{};
  std::array<Fd, kAddressesPerName> attempts_;
  std::size_t count_ = 0;
  std::size_t started_ = 0;
  std::size_t under_way_ = 0;
  std::size_t winner_ = 0;
  std::uint16_t port_ = 0;
  Status status_ = Status::kIdle;
  Fault fault_ = Fault::kNone;
  Events events_;
  Handle owner_;
  std::uint8_t first_attempt_tag_;
  Deadline delay_;
};

// Which of two failures says more about a target; `latest` among equals.
Fault MoreInformative(Fault earlier, Fault latest);

}  // namespace penstock
