// The deadlines of one worker's sessions, a queue for each duration.
// Owned by the worker; its thread only. A session arms its Deadline in one of the queues, which outlive all sessions.
// Invariant: every queue is in `all`, so the worker waits for each of them and expires it. A duration never changes.
// Deliberately not here: what a session does at its deadline (session.h, handshake.h), and deadlines of names
// (resolver.h).
#pragma once

#include <array>

#include "penstock/os/timers.h"
#include "penstock/policy/settings.h"
#include "penstock/relay/throttle.h"

namespace penstock {

struct SessionDeadlines {
  explicit SessionDeadlines(const Settings& settings);

  DeadlineQueue handshake;
  DeadlineQueue connect;
  DeadlineQueue bind;
  DeadlineQueue attempt_delay;
  DeadlineQueue relay_check;  // idle relays and dead peers are looked for this often: a byte costs no timer work
  DeadlineQueue udp_check;    // the same for associations
  DeadlineQueue linger;
  DeadlineQueue reset_poll;
  DeadlineQueue reset_poll_slow;
  ThrottleTicks throttle;

  const std::array<DeadlineQueue*, 11> all{&handshake,       &connect,       &bind,         &attempt_delay,
                                           &relay_check,     &udp_check,     &linger,       &reset_poll,
                                           &reset_poll_slow, &throttle.fast, &throttle.slow};
};

}  // namespace penstock
