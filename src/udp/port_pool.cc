#include "penstock/udp/port_pool.h"

#include <numeric>

#include "penstock/os/random.h"

namespace penstock {

PortPool::PortPool(const PortRange& ports)
    : any_(ports.high == 0),
      share_key_(RandomBits()),
      free_(any_ ? 0 : ports.count()),
      shares_(free_.size()),
      order_(static_cast<std::minstd_rand::result_type>(RandomBits())) {
  std::iota(free_.begin(), free_.end(), ports.low);
}

std::optional<std::uint16_t> PortPool::TakeFirst(std::size_t share, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (now < full_until_ || !shares_.MayTake(share)) return std::nullopt;
  const auto port = TakeLocked();
  if (port) shares_.Take(share);
  return port;
}

std::optional<std::uint16_t> PortPool::TakeNext() {
  const std::lock_guard lock(mutex_);
  return TakeLocked();
}

std::optional<std::uint16_t> PortPool::TakeLocked() {
  if (free_.empty()) return std::nullopt;  // ports without a lease are being opened by other threads
  std::swap(free_[order_() % free_.size()], free_.back());
  const std::uint16_t port = free_.back();
  free_.pop_back();
  return port;
}

void PortPool::PutBack(std::span<const std::uint16_t> ports, std::size_t share, Fault fault, TimePoint now) {
  const std::lock_guard lock(mutex_);
  free_.insert(free_.end(), ports.begin(), ports.end());
  if (fault != Fault::kNone) shares_.Return(share);
  if (fault == Fault::kOther) full_until_ = now + kPortsFullMemory;
}

void PortPool::Return(std::uint16_t port, std::size_t share) {
  const std::lock_guard lock(mutex_);
  free_.push_back(port);
  shares_.Return(share);
  full_until_ = {};
}

}  // namespace penstock
