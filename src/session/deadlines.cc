#include "penstock/session/deadlines.h"

#include <algorithm>
#include <chrono>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

std::chrono::milliseconds RelayCheckInterval(const Settings& settings) {
  constexpr std::chrono::milliseconds kLongest = std::chrono::seconds(30);
  constexpr std::chrono::milliseconds kShortest{10};
  const auto shortest = std::min(
      {settings.half_close_timeout, settings.idle_timeout, std::chrono::milliseconds(settings.keepalive.timeout())});
  return std::clamp(shortest / 4, kShortest, kLongest);
}

std::chrono::milliseconds UdpCheckInterval(const Settings& settings) {
  constexpr std::chrono::milliseconds kLongest = std::chrono::seconds(10);
  constexpr std::chrono::milliseconds kShortest{10};
  return std::clamp(settings.udp_idle_timeout / 8, kShortest, kLongest);
}

}  // namespace

SessionDeadlines::SessionDeadlines(const Settings& settings)
    : handshake(settings.handshake_timeout),
      connect(settings.connect_timeout),
      bind(settings.bind_timeout),
      attempt_delay(kAttemptDelay),
      relay_check(RelayCheckInterval(settings)),
      udp_check(UdpCheckInterval(settings)),
      linger(std::min(kLingerMax, settings.handshake_timeout)),
      reset_poll(kResetPollInterval),
      reset_poll_slow(kResetPollIntervalSlow) {}

}  // namespace penstock
