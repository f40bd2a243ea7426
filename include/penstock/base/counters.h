// The counters and gauges of one worker, and their names: events since its start, and how many of each object it has.
// Owned by the worker, whose thread alone writes; any thread may read.
// Invariant: a counter never goes down, so a sum over the workers counts every event at most once. `sessions` follows
// each state; the other gauges are set at the end of a turn, so they are exact while the worker waits for events.
// Deliberately not here: sums over workers, rates, and the text that shows them.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

// Both are a plain load and store: only one thread writes, so no locked instruction is needed.
class Counter {
 public:
  void Add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Increment() { Set(value() + 1); }
  void Decrement() { Set(value() - 1); }
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
  Counter client_floods;      // reset at once: above twice one of these limits

  // Handshakes.
  Counter not_socks5;
  Counter malformed;
  Counter handshake_expired;
  Counter logins_accepted;
  Counter logins_failed;
  Counter logins_throttled;        // rejected without a check (login/logins.h)
  Counter forbidden_later;         // sessions that a reload ended, for its rules or users do not allow them
  Counter denied;                  // requests that a rule or the guard denied
  std::array<Counter, 9> replies;  // by REP

  // BIND.
  Counter bind_waits;  // listeners opened for a peer
  Counter bind_admitted;
  Counter bind_wrong;    // peers other than the expected one, which were reset
  Counter bind_expired;  // no peer connected in time
  Counter bind_paused;   // no descriptor or memory for a peer, which stayed in the backlog

  // Relays.
  Counter relays_begun;
  Counter relays_ended;  // both sides finished sending
  Counter relays_reset;  // a reset was passed on
  Counter relays_expired;
  Counter bytes_up;       // client to target
  Counter bytes_down;     // target to client
  Counter pipes_missing;  // a bulk flow got no pipe and copied

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
  Counter udp_queue_full;   // too many waited for the addresses of names
  Counter udp_too_long;     // an answer that does not fit a datagram with its header
  Counter udp_full;         // the send buffer of a socket was full
  Counter udp_over_limit;   // more than the bandwidth of its session or user
  Counter udp_unreachable;  // refused by the kernel: no route, no socket, a local firewall

  // Names.
  Counter names_cached;
  Counter names_asked;
  Counter names_failed;
};

struct Gauges {
  std::array<Gauge, 9> sessions;  // by SessionState; exact at any time
  Gauge accepting_paused;         // 1 while it accepts nobody, for lack of permits, descriptors or memory; else 0
  Gauge permits_unused;           // for sessions; leased, and in no session
  Gauge handshakes;               // lent to sessions
  Gauge associations;
  Gauge throttles;
  Gauge pipes;
  Gauge pipes_idle;
  Gauge pending_buffers;
  Gauge datagrams_waiting;  // for the address of their target
  Gauge dns_cache_entries;
  Gauge dns_lookups;
  Gauge dns_sockets;
};

// A counter or gauge for the outside: `name` is that of a metric without its prefix. Series of one name share the help,
// which is one sentence, and differ in their `labels` (KEY="VALUE", with a comma between two; empty: the only series).
struct SeriesName {
  std::string_view name;
  std::string_view help;
  std::string_view labels = {};

  constexpr SeriesName With(std::string_view with) const { return {name, help, with}; }
};

// Calls visit(SeriesName, const Counter&) for each counter; series of one name follow each other.
template <class Visit>
constexpr void ForEach(const Counters& c, Visit visit) {
  visit(SeriesName{"connections_accepted_total", "Connections accepted."}, c.accepted);
  visit(SeriesName{"sessions_ended_total", "Sessions that have ended."}, c.ended);

  constexpr SeriesName kPauses{"accept_pauses_total", "Times a worker stopped accepting, by reason."};
  visit(kPauses.With(R"(reason="exhausted")"), c.accept_exhausted);
  visit(kPauses.With(R"(reason="max-connections")"), c.accept_full);

  constexpr SeriesName kRefused{"connections_refused_total", "Connections beyond a limit, by the limit."};
  visit(kRefused.With(R"(reason="max-connections-per-client")"), c.over_client_limit);
  visit(kRefused.With(R"(reason="connect-rate")"), c.over_connect_rate);
  visit(kRefused.With(R"(reason="max-connections-per-user")"), c.over_user_limit);
  visit(kRefused.With(R"(reason="client-flood")"), c.client_floods);

  constexpr SeriesName kHandshakes{"handshake_failures_total", "Handshakes that failed, by reason."};
  visit(kHandshakes.With(R"(reason="not-socks5")"), c.not_socks5);
  visit(kHandshakes.With(R"(reason="malformed")"), c.malformed);
  visit(kHandshakes.With(R"(reason="handshake-expired")"), c.handshake_expired);

  constexpr SeriesName kLogins{"logins_total", "Logins, by verdict."};
  visit(kLogins.With(R"(result="accepted")"), c.logins_accepted);
  visit(kLogins.With(R"(result="failed")"), c.logins_failed);
  visit(kLogins.With(R"(result="throttled")"), c.logins_throttled);

  visit(SeriesName{"sessions_forbidden_total", "Sessions ended because a reload forbids them."}, c.forbidden_later);
  visit(SeriesName{"requests_denied_total", "Requests denied by a rule or the guard."}, c.denied);

  constexpr SeriesName kReplies{"replies_total", "Replies to requests, by REP (RFC 1928 section 6)."};
  constexpr std::string_view kReps[] = {R"(rep="0")", R"(rep="1")", R"(rep="2")", R"(rep="3")", R"(rep="4")",
                                        R"(rep="5")", R"(rep="6")", R"(rep="7")", R"(rep="8")"};
  for (std::size_t rep = 0; rep < c.replies.size(); ++rep) visit(kReplies.With(kReps[rep]), c.replies[rep]);

  visit(SeriesName{"bind_waits_total", "Listeners opened for the peer of a BIND."}, c.bind_waits);
  constexpr SeriesName kPeers{"bind_peers_total", "Peers of a BIND that connected, by verdict."};
  visit(kPeers.With(R"(result="accepted")"), c.bind_admitted);
  visit(kPeers.With(R"(result="reset")"), c.bind_wrong);
  visit(SeriesName{"bind_expired_total", "BINDs whose peer did not connect in time."}, c.bind_expired);
  visit(SeriesName{"bind_pauses_total", "Times a BIND stopped accepting for lack of descriptors or memory."},
        c.bind_paused);

  visit(SeriesName{"relays_begun_total", "Relays begun."}, c.relays_begun);
  constexpr SeriesName kRelays{"relays_ended_total", "Relays ended by a peer or the idle timeout, by reason."};
  visit(kRelays.With(R"(reason="closed")"), c.relays_ended);
  visit(kRelays.With(R"(reason="reset")"), c.relays_reset);
  visit(kRelays.With(R"(reason="idle")"), c.relays_expired);

  constexpr SeriesName kTraffic{"traffic_bytes_total", "Bytes of data carried, up (client to target) and down."};
  visit(kTraffic.With(R"(transport="tcp",direction="up")"), c.bytes_up);
  visit(kTraffic.With(R"(transport="tcp",direction="down")"), c.bytes_down);
  visit(kTraffic.With(R"(transport="udp",direction="up")"), c.datagram_bytes_up);
  visit(kTraffic.With(R"(transport="udp",direction="down")"), c.datagram_bytes_down);
  visit(SeriesName{"pipes_missing_total", "Times a bulk flow found no pipe and copied."}, c.pipes_missing);

  visit(SeriesName{"associations_begun_total", "UDP associations begun."}, c.associations_begun);
  visit(SeriesName{"associations_ended_total", "UDP associations ended."}, c.associations_ended);
  constexpr SeriesName kDatagrams{"datagrams_total", "Datagrams carried, up (client to target) and down."};
  visit(kDatagrams.With(R"(direction="up")"), c.datagrams_up);
  visit(kDatagrams.With(R"(direction="down")"), c.datagrams_down);
  constexpr SeriesName kDropped{"datagrams_dropped_total", "Datagrams dropped, by reason."};
  visit(kDropped.With(R"(reason="foreign")"), c.udp_foreign);
  visit(kDropped.With(R"(reason="malformed")"), c.udp_malformed);
  visit(kDropped.With(R"(reason="fragment")"), c.udp_fragment);
  visit(kDropped.With(R"(reason="denied")"), c.udp_denied);
  visit(kDropped.With(R"(reason="unsolicited")"), c.udp_unsolicited);
  visit(kDropped.With(R"(reason="nameless")"), c.udp_nameless);
  visit(kDropped.With(R"(reason="queue-full")"), c.udp_queue_full);
  visit(kDropped.With(R"(reason="too-long")"), c.udp_too_long);
  visit(kDropped.With(R"(reason="buffer-full")"), c.udp_full);
  visit(kDropped.With(R"(reason="over-limit")"), c.udp_over_limit);
  visit(kDropped.With(R"(reason="unreachable")"), c.udp_unreachable);

  visit(SeriesName{"dns_cache_hits_total", "Names answered from the cache."}, c.names_cached);
  visit(SeriesName{"dns_lookups_total", "Lookups sent to name servers."}, c.names_asked);
  visit(SeriesName{"dns_failures_total", "Lookups that no name server answered."}, c.names_failed);
}

// Calls visit(SeriesName, const Gauge&) for each gauge; series of one name follow each other.
template <class Visit>
constexpr void ForEach(const Gauges& g, Visit visit) {
  constexpr SeriesName kSessions{"sessions", "Sessions that are alive, by state."};
  constexpr std::string_view kStates[] = {R"(state="nego")",       R"(state="auth")",    R"(state="request")",
                                          R"(state="connecting")", R"(state="binding")", R"(state="relay")",
                                          R"(state="associated")", R"(state="closing")", R"(state="resetting")"};
  for (std::size_t state = 0; state < g.sessions.size(); ++state)
    visit(kSessions.With(kStates[state]), g.sessions[state]);
  visit(SeriesName{"accepting_paused", "Whether the worker has stopped accepting."}, g.accepting_paused);
  visit(SeriesName{"permits_unused", "Permits for sessions that the worker holds in reserve."}, g.permits_unused);
  visit(SeriesName{"handshakes", "Handshake buffers that are lent."}, g.handshakes);
  visit(SeriesName{"associations", "UDP associations that are alive."}, g.associations);
  visit(SeriesName{"throttles", "Sessions whose bandwidth is limited."}, g.throttles);
  visit(SeriesName{"pipes_in_use", "Pipes that are lent to flows."}, g.pipes);
  visit(SeriesName{"pipes_idle", "Pipes that are kept for the next flow."}, g.pipes_idle);
  visit(SeriesName{"pending_buffers_in_use", "Pending buffers that are lent to flows."}, g.pending_buffers);
  visit(SeriesName{"datagrams_waiting", "Datagrams that wait for the address of their target."}, g.datagrams_waiting);
  visit(SeriesName{"dns_cache_entries", "Names in the cache."}, g.dns_cache_entries);
  visit(SeriesName{"dns_lookups", "Lookups under way."}, g.dns_lookups);
  visit(SeriesName{"dns_sockets", "Sockets that wait for an answer of a name server."}, g.dns_sockets);
}

}  // namespace penstock
