// Tells the service manager how the gateway is: the steps of its life, and every few seconds that it is alive.
// Owned by main; its thread only. The manager and the server must outlive it.
// Invariant: WATCHDOG=1 is sent only after every worker has answered, so a gateway whose worker hangs is restarted.
// Does not: know sockets and environment (os/service_manager.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "penstock/os/clock.h"
#include "penstock/os/service_manager.h"
#include "penstock/server/server.h"

namespace penstock {

class ServiceReport {
 public:
  ServiceReport(const ServiceManager& manager, Server& server);

  void Ready();  // at the start, and when a reload has ended
  void Reloading();
  void Stopping(std::chrono::milliseconds timeout);  // sessions may continue for this long

  // When OnTime is due; TimePoint::max() if nobody listens. OnTime waits for the workers, at most kAnswerTimeout.
  TimePoint next() const { return next_; }
  void OnTime();

 private:
  std::string Status(const Totals& totals);

  const ServiceManager& manager_;
  Server& server_;
  const std::chrono::nanoseconds interval_;
  TimePoint next_;
  TimePoint last_;  // when the bytes below were read
  std::uint64_t last_up_ = 0;
  std::uint64_t last_down_ = 0;
};

}  // namespace penstock
