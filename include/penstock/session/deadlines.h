// The deadlines of one worker's sessions: a queue for each duration.
// Owned by the worker; its thread only. A session arms its Deadline in one queue at a time; queues outlive sessions.
// Invariant: every queue is in `all`, so the worker includes each in its timeout for epoll_wait(2) and expires it. The
// duration of a queue never changes, so its deadlines expire in order.
// Does not: act at a deadline (session.h, handshake.h), time out queries (resolver.h).
#pragma once

#include <array>

#include "penstock/os/timers.h"
#include "penstock/policy/settings.h"
#include "penstock/relay/throttle.h"

namespace penstock {

struct SessionDeadlines {
  explicit SessionDeadlines(const Settings& settings);

  DeadlineQueue handshake;        // from accept to the complete request
  DeadlineQueue connect;          // from the request to the target, or to the first reply of a BIND
  DeadlineQueue bind;             // from the first reply of a BIND to the peer
  DeadlineQueue attempt_delay;    // before a further attempt of a dialer, or a retry of a BIND
  DeadlineQueue relay_check;      // the interval of the check for idle relays and dead peers: a quarter of the shortest
                                  // timeout it enforces, 10 ms to 30 s; a byte costs no timer work
  DeadlineQueue udp_check;        // the same for associations: an eighth of the UDP idle timeout, 10 ms to 10 s
  DeadlineQueue linger;           // of a refused client, to close
  DeadlineQueue reset_poll;       // the interval at which send queues are polled before a reset
  DeadlineQueue reset_poll_slow;  // the same once that has taken long
  ThrottleTicks throttle;         // until a token bucket has tokens again (throttle.h)

  const std::array<DeadlineQueue*, 11> all{&handshake,       &connect,       &bind,         &attempt_delay,
                                           &relay_check,     &udp_check,     &linger,       &reset_poll,
                                           &reset_poll_slow, &throttle.fast, &throttle.slow};
};

}  // namespace penstock
