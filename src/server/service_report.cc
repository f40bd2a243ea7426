#include "penstock/server/service_report.h"

#include <algorithm>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

// Two in each period of the watchdog, as sd_watchdog_enabled(3) advises.
std::chrono::nanoseconds IntervalFor(const ServiceManager& manager) {
  const std::chrono::nanoseconds longest = kStatusInterval;
  return manager.watchdog() ? std::min<std::chrono::nanoseconds>(*manager.watchdog() / 2, longest) : longest;
}

// A bit a microsecond is one.
std::string MegabitsPerSecond(std::uint64_t bytes, std::chrono::nanoseconds time) {
  const auto micros =
      static_cast<std::uint64_t>(std::max(time / std::chrono::microseconds(1), std::chrono::nanoseconds::rep{1}));
  return std::to_string((8 * bytes + micros / 2) / micros) + " Mbit/s";
}

}  // namespace

ServiceReport::ServiceReport(const ServiceManager& manager, Server& server)
    : manager_(manager),
      server_(server),
      interval_(IntervalFor(manager)),
      next_(manager.listens() ? SteadyNow() + interval_ : TimePoint::max()),
      last_(SteadyNow()) {}

void ServiceReport::Ready() { manager_.Tell("READY=1\nSTATUS=Serving\n"); }

// The time is the one by which systemd tells the READY=1 of this reload from an earlier one.
void ServiceReport::Reloading() {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(SteadyNow().time_since_epoch());
  manager_.Tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()) + "\nSTATUS=Reloading\n");
}

// Until the timeout, systemd waits even if its own timeout for stopping is shorter.
void ServiceReport::Stopping(std::chrono::milliseconds timeout) {
  const std::chrono::microseconds longest = timeout + kStatusInterval;
  manager_.Tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(longest.count()) + "\nSTATUS=Draining\n");
}

void ServiceReport::OnTime() {
  const Totals totals = server_.Survey();
  manager_.Tell(Status(totals) + (totals.workers_missing == 0 ? "WATCHDOG=1\n" : ""));
  next_ = SteadyNow() + interval_;
}

std::string ServiceReport::Status(const Totals& totals) {
  const Counters& counters = totals.counters;
  const std::uint64_t up = counters.bytes_up.value() + counters.datagram_bytes_up.value();
  const std::uint64_t down = counters.bytes_down.value() + counters.datagram_bytes_down.value();
  const TimePoint now = SteadyNow();
  std::string status = "STATUS=" + std::to_string(server_.sessions()) + " sessions, " +
                       MegabitsPerSecond(up - last_up_, now - last_) + " up, " +
                       MegabitsPerSecond(down - last_down_, now - last_) + " down";
  if (totals.workers_missing > 0) status += ", " + std::to_string(totals.workers_missing) + " workers do not answer";
  last_ = now;
  last_up_ = up;
  last_down_ = down;
  return status + '\n';
}

}  // namespace penstock
