// What one worker has counted since it started.
// Owned by the worker, who alone writes; any thread may read at any time.
// Invariant: a count never goes down, so a reader that adds up the workers sees every event at most once; gauges
// ("how many now") are differences of two counts.
// Deliberately not here: names for the outside, sums over workers, rates.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock {

class Counter {
 public:
  // A plain load and store: only one thread writes, so no locked instruction is needed.
  void Add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  // Sessions.
  Counter accepted;          // connections taken from a listener
  Counter ended;             // sessions released; accepted - ended are alive
  Counter accept_exhausted;  // pauses: no descriptor, no memory
  Counter accept_full;       // pauses: --max-connections reached

  // Connections beyond a limit of their client or user.
  Counter over_client_limit;  // refused: --max-connections-per-client
  Counter over_connect_rate;  // refused: --connect-rate
  Counter over_user_limit;    // refused: --max-connections-per-user
  Counter client_floods;      // closed at once: twice as many, or as often

  // Handshakes.
  Counter not_socks5;
  Counter malformed;
  Counter handshake_expired;
  Counter logins_accepted;
  Counter logins_failed;
  Counter logins_throttled;  // not looked at: see logins.h
  Counter forbidden_later;   // sessions that a reload ended, because its rules or users do not allow them
  Counter denied;            // requests that a rule or the guard did not allow
  Counter replies[9];        // by REP

  // BIND.
  Counter bind_waits;  // listeners opened for a peer
  Counter bind_admitted;
  Counter bind_wrong;    // peers that were not the expected one, and were reset
  Counter bind_expired;  // nobody came in time
  Counter bind_paused;   // no descriptor or memory for a peer; it waited

  // Relays.
  Counter relays_begun;
  Counter relays_ended;  // both sides said goodbye
  Counter relays_reset;  // a reset was passed on
  Counter relays_expired;
  Counter bytes_up;       // client to target
  Counter bytes_down;     // target to client
  Counter pipes_missing;  // a bulk flow went on by copying

  // UDP associations. A datagram is counted once: as carried or as dropped, by cause.
  Counter associations_begun;
  Counter associations_ended;
  Counter datagrams_up;  // client to target
  Counter datagrams_down;
  Counter datagram_bytes_up;  // of data, without SOCKS headers
  Counter datagram_bytes_down;
  Counter udp_foreign;      // not from the client of the association, or not from its port
  Counter udp_malformed;    // a SOCKS header that cannot be read
  Counter udp_fragment;     // FRAG is not 0
  Counter udp_denied;       // the client may not reach that target
  Counter udp_unsolicited;  // from an address that the client has not sent to
  Counter udp_nameless;     // the target's name has no address, or none that was found in time
  Counter udp_queue_full;   // too many were waiting for names
  Counter udp_too_long;     // an answer that does not fit a datagram with its header
  Counter udp_full;         // no room in a socket's buffer
  Counter udp_over_limit;   // more than the bandwidth of its session or user
  Counter udp_unreachable;  // refused by the kernel: no route, no socket, a local firewall

  // Names.
  Counter names_cached;
  Counter names_asked;
  Counter names_failed;
};

}  // namespace penstock
