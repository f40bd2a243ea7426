// Connects to the first of several addresses that accepts ("happy eyeballs", RFC 8305).
// Owned by a session's Handshake, as a member; its worker's thread only. It owns the sockets of its attempts.
// Invariants:
//   - While the status is kConnecting, at least one attempt is under way. Its edge will wake the session.
//   - At most kAttemptsAtOnce attempts are under way, since each holds a descriptor. One is the session's own; the
//     others are taken from a budget that the clients of a worker share fairly (fair_shares.h), and returned to it as
//     attempts end.
// Does not: resolve names (resolver.h), decide which addresses are allowed (access.h), set a deadline for all of it.
//
// Families alternate, beginning with that of the first address (RFC 8305 section 4). If an attempt fails, the next one
// starts at once; if it stays silent, the next one starts beside it after kAttemptDelay (section 5). If the budget is
// used up then, it waits for another kAttemptDelay. The first attempt that connects wins, and the others are closed.
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

// What a worker lends for the length of a call.
struct DialTools {
  Poller& poller;
  DeadlineQueue& attempt_delays;  // of kAttemptDelay
  const Clock& clock;
  FairShares& further_attempts;  // the budget of attempts beside the first
  std::size_t share;             // of the client in that budget
};

class Dialer {
 public:
  enum class Status : std::uint8_t {
    kIdle,        // before Begin
    kConnecting,  // an attempt is under way
    kConnected,   // one has won: call TakeSocket
    kFailed,      // all have failed: fault() says why
  };

  // The cookie of attempt `n` is `first_attempt_tag + n` and `owner`, that of the attempt delay `delay_tag` and
  // `owner`.
  Dialer(Handle owner, std::uint8_t first_attempt_tag, std::uint8_t delay_tag)
      : owner_(owner), first_attempt_tag_(first_attempt_tag), delay_({delay_tag, owner}) {}

  // Starts to connect to `port` of `addresses`, at least one; at most kAddressesPerName are tried. `sources` has the
  // source of each address, null for the kernel's choice; an empty span means null for all. Sources must live until the
  // status is kConnected or kFailed, which it may be when Begin returns. Call it once.
  void Begin(std::span<const IpAddress> addresses, std::uint16_t port, const DialTools& tools,
             std::span<const Source* const> sources = {});

  // The socket of `attempt` has an edge. Ignored unless the attempt is under way.
  void OnEvent(std::size_t attempt, const Events& events, const DialTools& tools);

  // The attempt delay has expired.
  void OnDelay(const DialTools& tools);

  // Closes the attempts that are under way and returns them to the budget. Call it before the dialer is destroyed.
  void Stop(const DialTools& tools);

  Status status() const { return status_; }

  // If kConnected: the socket of the winner, which is registered with the poller; its attempt number; its peer; and the
  // events of its edge. `broken` is set if the target has reset the connection since.
  int socket() const { return attempts_[winner_].get(); }
  Fd TakeSocket() { return std::move(attempts_[winner_]); }
  std::uint8_t winner() const { return static_cast<std::uint8_t>(winner_); }
  Endpoint peer() const { return {addresses_[winner_], port_}; }
  const Events& events() const { return events_; }

  // The most informative fault of the attempts that have failed so far; kNone if none has.
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
  std::size_t count_ = 0;      // of addresses_
  std::size_t started_ = 0;    // attempts that have been started, ended or not
  std::size_t under_way_ = 0;  // attempts with a socket
  std::size_t winner_ = 0;
  std::uint16_t port_ = 0;
  Status status_ = Status::kIdle;
  Fault fault_ = Fault::kNone;
  Events events_;
  Handle owner_;
  std::uint8_t first_attempt_tag_;
  Deadline delay_;
};

// The fault that says more about a target: "refused" before all others, "timed out" after them; of equals, `latest`.
Fault MoreInformative(Fault earlier, Fault latest);

}  // namespace penstock
