// The ports of a range that the operator has configured (--bind-ports, --udp-ports), leased one by one.
// Owned by the server, shared by its workers; any thread. It is used when a socket is opened or closed. Its lock is
// never held during a system call.
// Invariants: a port has one lease at a time, whatever the address it is bound on. A client cannot lease so many ports
// that none are left for other clients (fair_shares.h).
// Does not: open sockets. Whether another program uses a port is found out by the caller's `open`.
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

// The lease of a port, until Return or its destructor; or of none. The pool must outlive it.
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
  // 0-0 means that the kernel picks each port; then no client has a limit, and leases are empty.
  explicit PortPool(const PortRange& ports);

  // Calls `open` with free ports in random order, as long as it returns kOther, which means that another program uses
  // the port; then returns its last fault. After kNone `lease` holds the port. Returns kOther if `client` may not
  // lease another port, if none is free, or after kPortAttempts ports that are in use: that result is cached for
  // kPortsFullMemory or until a lease ends, and `open` is not called meanwhile.
  template <class OpenOne>
  Fault Open(const IpAddress& client, TimePoint now, PortLease& lease, OpenOne open) {
    if (any_) return open(std::uint16_t{0});
    const std::size_t share = ShareOf(client, share_key_);
    std::array<std::uint16_t, kPortAttempts> unopened;
    std::size_t count = 0;
    Fault fault = Fault::kOther;
    std::optional<std::uint16_t> port = TakeFirst(share, now);
    while (port && (fault = open(*port)) != Fault::kNone) {
      unopened[count++] = *port;
      const bool again = fault == Fault::kOther && count < unopened.size();
      port = again ? TakeNext() : std::nullopt;
    }
    if (fault == Fault::kNone) lease = PortLease(this, *port, share);
    if (count > 0) PutBack(std::span(unopened).first(count), share, fault, now);
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
  std::vector<std::uint16_t> free_;  // neither leased nor being opened; in no order
  FairShares shares_;
  std::minstd_rand order_;  // need not be secret: access does not depend on an unknown port
  TimePoint full_until_{};  // kOther is cached until then
};

inline void PortLease::Return() {
  if (PortPool* const pool = std::exchange(pool_, nullptr)) pool->Return(port_, share_);
}

}  // namespace penstock
