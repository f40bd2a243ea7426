// The counters, gauges and durations of one worker, and their names: events since its start, how many of each object it
// has, and how long things took.
// Owned by the worker, whose thread alone writes; any thread may read. A copy is a value of its own.
// Invariants, between two steps of sessions; so a copy that the worker makes then has them, too (server/survey.h):
//   - accepted = all of `ended` + all of Gauges::sessions
//   - the observations of durations.sessions = all of `ended`
//   - relays_begun = all relays that ended, by reason, + the sessions in RELAY and RESETTING
//   - associations_begun = associations_ended + the sessions in ASSOCIATED
//   - the observations of durations.dns = all answers of names[kNetwork]
// A gauge that repeats the number of some sessions agrees with it: handshakes with the first five states, associations
// with ASSOCIATED.
// Does not: add up workers, compute rates, write the text that shows them (admin/metrics.h).
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "penstock/base/counter.h"
#include "penstock/base/histogram.h"

namespace penstock {

// The scales of the durations that are counted.
struct AttemptScale {  // until another host answers
  using Unit = std::chrono::microseconds;
  static constexpr std::array<std::uint64_t, 13> kBounds{1'000,     2'500,     5'000,     10'000,  25'000,
                                                         50'000,    100'000,   250'000,   500'000, 1'000'000,
                                                         2'500'000, 5'000'000, 10'000'000};
};
struct SessionScale {  // of a session, from 0.1 seconds to a day
  using Unit = std::chrono::milliseconds;
  static constexpr std::array<std::uint64_t, 12> kBounds{
      100, 500, 1'000, 5'000, 15'000, 60'000, 300'000, 900'000, 3'600'000, 14'400'000, 43'200'000, 86'400'000};
};
struct TurnScale {  // of a worker, from 10 microseconds to a second
  using Unit = std::chrono::nanoseconds;
  static constexpr std::array<std::uint64_t, 13> kBounds{10'000,     25'000,      50'000,       100'000,   250'000,
                                                         500'000,    1'000'000,   2'500'000,    5'000'000, 10'000'000,
                                                         50'000'000, 100'000'000, 1'000'000'000};
};

struct Histograms {
  Histogram<AttemptScale> connect;   // from the first attempt to the connection, of targets that connected
  Histogram<AttemptScale> dns;       // from the question to the answer, of names that name servers were asked for
  Histogram<SessionScale> sessions;  // from accept to the end, of sessions that have ended
  Histogram<TurnScale> turns;        // of the worker, without the wait for events

  void Add(const Histograms& other) {
    connect.Add(other.connect);
    dns.Add(other.dns);
    sessions.Add(other.sessions);
    turns.Add(other.turns);
  }
};

// The sources of an answer about a name, and what it says. Denied names are not looked up.
enum class NameSource : std::uint8_t {
  kHosts,  // the hosts file, and names that are special (RFC 6761)
  kCache,
  kNetwork,  // name servers
};
enum class NameResult : std::uint8_t {
  kFound,
  kNotFound,  // it does not exist, or has no address
  kNoAnswer,  // no name server has answered
};

// What denied a request.
enum class Denial : std::uint8_t {
  kRule,
  kGuard,
  kDefault,  // no rule allows it, or its login is no longer valid
};

struct Counters {
  // Sessions.
  Counter accepted;               // connections that became sessions
  std::array<Counter, 18> ended;  // sessions that were released, by SessionEnd without kNone
  Counter accept_exhausted;       // pauses: no descriptor, no memory
  Counter accept_full;            // pauses: --max-connections reached

  // Connections beyond a limit of their client or user. All but floods are accepted, and refused by a reply.
  Counter over_client_limit;  // --max-connections-per-client
  Counter over_connect_rate;  // --connect-rate
  Counter over_user_limit;    // --max-connections-per-user
  Counter over_clients;       // --max-clients
  Counter over_quota;         // --quota
  Counter user_expired;       // --expires
  Counter outside_hours;      // --hours
  Counter client_floods;      // reset at once: above twice one of these limits

  // Handshakes.
  Counter not_socks5;
  Counter malformed;
  Counter no_method;  // the greeting does not offer the method that is required
  Counter handshake_expired;
  Counter handshake_left;  // the client left before its request was complete
  Counter logins_accepted;
  Counter logins_failed;
  Counter logins_throttled;  // rejected without a check (login/logins.h)

  // Requests. Each is counted once, with its last reply; the first reply of a BIND counts as a wait.
  static constexpr std::size_t kUnknownCommand = 3;  // a request that is malformed, or has another command
  std::array<std::array<Counter, 9>, kUnknownCommand + 1> replies;  // by Command, and by REP
  std::array<Counter, 3> denied;                                    // by Denial

  // BIND.
  Counter bind_waits;  // listeners opened for a peer
  Counter bind_admitted;
  Counter bind_wrong;    // peers other than the expected one, which were reset
  Counter bind_expired;  // no peer connected in time
  Counter bind_paused;   // no descriptor or memory for a peer, which stayed in the backlog

  // Relays.
  Counter relays_begun;
  Counter relays_ended;      // both sides finished sending
  Counter relays_reset;      // a reset was passed on
  Counter relays_expired;    // idle
  Counter relays_stopped;    // with the gateway
  Counter relays_forbidden;  // by a reload
  Counter relays_killed;     // by the operator
  Counter relays_limited;    // by a quota, an expiry date or the hours of the user
  Counter bytes_up;          // client to target
  Counter bytes_down;        // target to client
  Counter pipes_missing;     // a bulk flow got no pipe and copied

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
  Counter udp_over_quota;   // more than its user has left of the quota
  Counter udp_unreachable;  // refused by the kernel: no route, no socket, a local firewall

  // Names.
  std::array<std::array<Counter, 3>, 3> names;  // that were resolved, by NameSource and NameResult
  Counter names_withdrawn;                      // nobody waited for the answer of the name servers any more
  Counter names_asked;                          // sent to name servers, each once for all who wait

  Histograms durations;

  void CountName(NameSource source, NameResult result) {
    names[static_cast<std::size_t>(source)][static_cast<std::size_t>(result)].Add();
  }
  std::uint64_t named(NameSource source, NameResult result) const {
    return names[static_cast<std::size_t>(source)][static_cast<std::size_t>(result)].value();
  }
};

// The sum of counters that differ in a label.
template <std::size_t kCount>
std::uint64_t SumOf(const std::array<Counter, kCount>& counters) {
  std::uint64_t sum = 0;
  for (const Counter& each : counters) sum += each.value();
  return sum;
}

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
  Gauge dns_waiters;  // sessions and datagrams that wait for name servers
};

// A series for the outside: `name` is that of a metric without its prefix. Series of one name share the help,
// which is one sentence, and differ in their `labels` (KEY="VALUE", with a comma between two; empty: the only series).
struct SeriesName {
  std::string_view name;
  std::string_view help;
  std::string_view labels = {};

  constexpr SeriesName With(std::string_view with) const { return {name, help, with}; }
};

// Calls visit(SeriesName, Counter&) for each counter; series of one name follow each other. Both overloads take the
// object const or not.
template <class Owner, class Visit>
requires std::same_as<std::remove_const_t<Owner>, Counters>
constexpr void ForEach(Owner& c, Visit visit) {
  visit(SeriesName{"connections_accepted_total", "Connections that became sessions."}, c.accepted);

  constexpr SeriesName kEnded{"sessions_ended_total", "Sessions that have ended, by reason."};
  constexpr std::string_view kEnds[] = {R"(reason="closed")",
                                        R"(reason="reset")",
                                        R"(reason="refused")",
                                        R"(reason="over-limit")",
                                        R"(reason="bad-request")",
                                        R"(reason="login-failed")",
                                        R"(reason="login-throttled")",
                                        R"(reason="client-left")",
                                        R"(reason="handshake-expired")",
                                        R"(reason="idle")",
                                        R"(reason="stopped")",
                                        R"(reason="forbidden")",
                                        R"(reason="killed")",
                                        R"(reason="quota")",
                                        R"(reason="expired")",
                                        R"(reason="hours")",
                                        R"(reason="max-clients")",
                                        R"(reason="exhausted")"};
  for (std::size_t end = 0; end < c.ended.size(); ++end) visit(kEnded.With(kEnds[end]), c.ended[end]);

  constexpr SeriesName kPauses{"accept_pauses_total", "Times a worker stopped accepting, by reason."};
  visit(kPauses.With(R"(reason="exhausted")"), c.accept_exhausted);
  visit(kPauses.With(R"(reason="max-connections")"), c.accept_full);

  constexpr SeriesName kRefused{"connections_refused_total", "Connections beyond a limit, by the limit."};
  visit(kRefused.With(R"(reason="max-connections-per-client")"), c.over_client_limit);
  visit(kRefused.With(R"(reason="connect-rate")"), c.over_connect_rate);
  visit(kRefused.With(R"(reason="max-connections-per-user")"), c.over_user_limit);
  visit(kRefused.With(R"(reason="max-clients")"), c.over_clients);
  visit(kRefused.With(R"(reason="quota")"), c.over_quota);
  visit(kRefused.With(R"(reason="expires")"), c.user_expired);
  visit(kRefused.With(R"(reason="hours")"), c.outside_hours);
  visit(kRefused.With(R"(reason="client-flood")"), c.client_floods);

  constexpr SeriesName kHandshakes{"handshake_failures_total", "Handshakes that failed, by reason."};
  visit(kHandshakes.With(R"(reason="not-socks5")"), c.not_socks5);
  visit(kHandshakes.With(R"(reason="malformed")"), c.malformed);
  visit(kHandshakes.With(R"(reason="no-method")"), c.no_method);
  visit(kHandshakes.With(R"(reason="handshake-expired")"), c.handshake_expired);
  visit(kHandshakes.With(R"(reason="client-left")"), c.handshake_left);

  constexpr SeriesName kLogins{"logins_total", "Logins, by verdict."};
  visit(kLogins.With(R"(result="accepted")"), c.logins_accepted);
  visit(kLogins.With(R"(result="failed")"), c.logins_failed);
  visit(kLogins.With(R"(result="throttled")"), c.logins_throttled);

  constexpr SeriesName kRequests{"requests_total",
                                 "Requests, by command and by the REP of their last reply (RFC 1928)."};
  constexpr std::string_view kReplies[][9] = {
      {R"(protocol="socks5",command="connect",rep="0")", R"(protocol="socks5",command="connect",rep="1")",
       R"(protocol="socks5",command="connect",rep="2")", R"(protocol="socks5",command="connect",rep="3")",
       R"(protocol="socks5",command="connect",rep="4")", R"(protocol="socks5",command="connect",rep="5")",
       R"(protocol="socks5",command="connect",rep="6")", R"(protocol="socks5",command="connect",rep="7")",
       R"(protocol="socks5",command="connect",rep="8")"},
      {R"(protocol="socks5",command="bind",rep="0")", R"(protocol="socks5",command="bind",rep="1")",
       R"(protocol="socks5",command="bind",rep="2")", R"(protocol="socks5",command="bind",rep="3")",
       R"(protocol="socks5",command="bind",rep="4")", R"(protocol="socks5",command="bind",rep="5")",
       R"(protocol="socks5",command="bind",rep="6")", R"(protocol="socks5",command="bind",rep="7")",
       R"(protocol="socks5",command="bind",rep="8")"},
      {R"(protocol="socks5",command="udp-associate",rep="0")", R"(protocol="socks5",command="udp-associate",rep="1")",
       R"(protocol="socks5",command="udp-associate",rep="2")", R"(protocol="socks5",command="udp-associate",rep="3")",
       R"(protocol="socks5",command="udp-associate",rep="4")", R"(protocol="socks5",command="udp-associate",rep="5")",
       R"(protocol="socks5",command="udp-associate",rep="6")", R"(protocol="socks5",command="udp-associate",rep="7")",
       R"(protocol="socks5",command="udp-associate",rep="8")"},
      {R"(protocol="socks5",command="unknown",rep="0")", R"(protocol="socks5",command="unknown",rep="1")",
       R"(protocol="socks5",command="unknown",rep="2")", R"(protocol="socks5",command="unknown",rep="3")",
       R"(protocol="socks5",command="unknown",rep="4")", R"(protocol="socks5",command="unknown",rep="5")",
       R"(protocol="socks5",command="unknown",rep="6")", R"(protocol="socks5",command="unknown",rep="7")",
       R"(protocol="socks5",command="unknown",rep="8")"},
  };
  for (std::size_t command = 0; command < c.replies.size(); ++command) {
    for (std::size_t rep = 0; rep < c.replies[command].size(); ++rep)
      visit(kRequests.With(kReplies[command][rep]), c.replies[command][rep]);
  }

  constexpr SeriesName kDenied{"requests_denied_total", "Requests that were denied, by what denied them."};
  visit(kDenied.With(R"(reason="rule")"), c.denied[0]);
  visit(kDenied.With(R"(reason="guard")"), c.denied[1]);
  visit(kDenied.With(R"(reason="default")"), c.denied[2]);

  visit(SeriesName{"bind_waits_total", "Listeners opened for the peer of a BIND."}, c.bind_waits);
  constexpr SeriesName kPeers{"bind_peers_total", "Peers of a BIND that connected, by verdict."};
  visit(kPeers.With(R"(result="accepted")"), c.bind_admitted);
  visit(kPeers.With(R"(result="reset")"), c.bind_wrong);
  visit(SeriesName{"bind_expired_total", "BINDs whose peer did not connect in time."}, c.bind_expired);
  visit(SeriesName{"bind_pauses_total", "Times a BIND stopped accepting for lack of descriptors or memory."},
        c.bind_paused);

  visit(SeriesName{"relays_begun_total", "Relays begun."}, c.relays_begun);
  constexpr SeriesName kRelays{"relays_ended_total", "Relays that have ended, by reason."};
  visit(kRelays.With(R"(reason="closed")"), c.relays_ended);
  visit(kRelays.With(R"(reason="reset")"), c.relays_reset);
  visit(kRelays.With(R"(reason="idle")"), c.relays_expired);
  visit(kRelays.With(R"(reason="stopped")"), c.relays_stopped);
  visit(kRelays.With(R"(reason="forbidden")"), c.relays_forbidden);
  visit(kRelays.With(R"(reason="killed")"), c.relays_killed);
  visit(kRelays.With(R"(reason="user-limit")"), c.relays_limited);

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
  visit(kDropped.With(R"(reason="quota")"), c.udp_over_quota);
  visit(kDropped.With(R"(reason="unreachable")"), c.udp_unreachable);

  constexpr SeriesName kNames{"dns_lookups_total",
                              "Names that were resolved, by the source of the answer and by result."};
  constexpr std::string_view kNamed[][3] = {
      {R"(source="hosts",result="found")", R"(source="hosts",result="not-found")",
       R"(source="hosts",result="no-answer")"},
      {R"(source="cache",result="found")", R"(source="cache",result="not-found")",
       R"(source="cache",result="no-answer")"},
      {R"(source="network",result="found")", R"(source="network",result="not-found")",
       R"(source="network",result="no-answer")"},
  };
  for (std::size_t source = 0; source < c.names.size(); ++source) {
    for (std::size_t result = 0; result < c.names[source].size(); ++result)
      visit(kNames.With(kNamed[source][result]), c.names[source][result]);
  }
  visit(kNames.With(R"(source="network",result="withdrawn")"), c.names_withdrawn);
  visit(SeriesName{"dns_names_asked_total", "Names sent to name servers, each once for all who wait."}, c.names_asked);
}

// Calls visit(SeriesName, Gauge&) for each gauge; series of one name follow each other.
template <class Owner, class Visit>
requires std::same_as<std::remove_const_t<Owner>, Gauges>
constexpr void ForEach(Owner& g, Visit visit) {
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
  visit(SeriesName{"dns_names_pending", "Names that name servers are asked for."}, g.dns_lookups);
  visit(SeriesName{"dns_sockets", "Sockets that wait for an answer of a name server."}, g.dns_sockets);
  visit(SeriesName{"dns_waiters", "Sessions and datagrams that wait for name servers."}, g.dns_waiters);
}

// Calls visit(SeriesName, const Histogram&) for each histogram.
template <class Visit>
constexpr void ForEach(const Histograms& h, Visit visit) {
  visit(SeriesName{"connect_duration_seconds", "From the first attempt to the connection, of targets that connected."},
        h.connect);
  visit(SeriesName{"dns_duration_seconds", "From the question to the answer of the name servers."}, h.dns);
  visit(SeriesName{"session_duration_seconds", "From accept to the end, of sessions that have ended."}, h.sessions);
  visit(SeriesName{"worker_turn_seconds", "Turns of a worker, without the wait for events."}, h.turns);
}

// Adds each member of `part` to the same one of `sum`.
template <class Owner>
void AddTo(Owner& sum, const Owner& part) {
  std::array<std::uint64_t, sizeof(Owner) / sizeof(Counter)> values;
  std::size_t count = 0;
  ForEach(part, [&](const SeriesName&, const auto& member) { values[count++] = member.value(); });
  count = 0;
  ForEach(sum, [&](const SeriesName&, auto& member) { member.Add(values[count++]); });
  if constexpr (std::same_as<Owner, Counters>) sum.durations.Add(part.durations);
}

}  // namespace penstock
