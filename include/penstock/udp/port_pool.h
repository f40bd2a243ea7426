// The ports of a range that an operator has chosen, lent one by one: --bind-ports and --udp-ports.
// Owned by the server, shared by its workers; any thread. It is touched when a socket is opened or closed, and its lock
// is held for no system call.
// Invariant: a port is lent to one lease at a time, on whichever address, and no client has so many that none are left
// for others (fair_shares.h).
// Deliberately not here: sockets. Whether another program has a port is found out by whoever opens one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/fair_shares.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/io.h"

namespace penstock {

class PortPool;

// A port that is lent until Return, or the end of the lease; or none. The pool outlives it.
class PortLease {
 public:
  PortLease() = default;
  PortLease(PortLease&& other) noexcept { *this = std::move(other); }
  PortLease& operator=(PortLease&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(port_, other.port_);
    std::swap(share_, other.share_);
    return *this;
  }
  ~PortLease() { Return(); }

  void Return();

 private:
  friend class PortPool;
  PortLease(PortPool* pool, std::uint16_t port, std::size_t share)
      : pool_(pool), port_(port), share_(static_cast<std::uint8_t>(share)) {}

  PortPool* pool_ = nullptr;
  std::uint16_t port_ = 0;
  std::uint8_t share_ = 0;
};

class PortPool {
 public:
  // 0-0: any port that the kernel picks, and no bound on them.
  explicit PortPool(const PortRange& ports);

  // Calls `open` with ports, in random order, until its Fault is another one than kOther, which says that a port is in
  // use. After kNone `lease` is that port's. kOther: there is none for `client`, or kPortAttempts ports were in use by
  // other programs; this is remembered for kPortsFullMemory, or until a lease ends.
  template <class OpenOne>
  Fault Open(const IpAddress& client, TimePoint now, PortLease& lease, OpenOne open) {
    if (any_) return open(std::uint16_t{0});
    const std::size_t share = ShareOf(client, share_key_);
    std::array<std::uint16_t, kPortAttempts> in_use;
    std::size_t count = 0;
    Fault fault = Fault::kOther;
    std::optional<std::uint16_t> port = TakeFirst(share, now);
    while (port && (fault = open(*port)) != Fault::kNone) {
      in_use[count++] = *port;
      const bool again = fault == Fault::kOther && count < in_use.size();
      port = again ? TakeNext() : std::nullopt;
    }
    if (fault == Fault::kNone) lease = PortLease(this, *port, share);
    if (count > 0) PutBack(std::span(in_use).first(count), share, fault, now);
    return fault;
  }

 private:
  friend class PortLease;

  std::optional<std::uint16_t> TakeFirst(std::size_t share, TimePoint now);
  std::optional<std::uint16_t> TakeNext();
  std::optional<std::uint16_t> TakeLocked();
  void PutBack(std::span<const std::uint16_t> ports, std::size_t share, Fault fault, TimePoint now);
  void Return(std::uint16_t port, std::size_t share);

  const bool any_;
  const std::uint64_t share_key_;
  std::mutex mutex_;
  std::vector<std::uint16_t> free_;  // in no order
  FairShares shares_;
  std::minstd_rand order_;  // no secret: who may come is not decided by who knows a port
  TimePoint full_until_{};
};

inline void PortLease::Return() {
  if (PortPool* const pool = std::exchange(pool_, nullptr)) pool->Return(port_, share_);
}

}  // namespace penstock
