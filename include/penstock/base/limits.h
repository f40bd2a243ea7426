// All limits of the program that are not settings of the operator, and how they depend on each other.
// Constants only: no state, no owner; any thread.
// Invariant: a static_assert ties each limit that follows from another to it, so neither can change alone.
// Deliberately not here: settings (policy/settings.h), and the numbers of the wire format (socks5.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace penstock {

// --- The handshake -------------------------------------------------------------------------------------------------

// The longest message of each kind: RFC 1928 sections 3 and 4, RFC 1929 section 2.
inline constexpr std::size_t kGreetingBytesMax = 1 + 1 + 255;
inline constexpr std::size_t kCredentialsBytesMax = 1 + 1 + 255 + 1 + 255;
inline constexpr std::size_t kRequestBytesMax = 4 + 1 + 255 + 2;

// One buffer receives the whole handshake, in whatever segments it arrives. Bytes that do not fit stay in the kernel
// until the target is connected.
inline constexpr std::size_t kHandshakeBytes = 1280;
static_assert(kGreetingBytesMax + kCredentialsBytesMax + kRequestBytesMax <= kHandshakeBytes,
              "a client may send all of it at once");

// How long, and how many bytes, a refused client may still send before its connection is reset: enough for the refusal
// to arrive, too little to be of use to an attacker.
inline constexpr std::chrono::milliseconds kLingerMax{2'000};
inline constexpr std::size_t kLingerBytesMax = 64 * 1024;

// --- Users and logins ----------------------------------------------------------------------------------------------

inline constexpr std::size_t kUserNameBytesMax = 255;  // RFC 1929 section 2: the length is one byte
inline constexpr std::size_t kPasswordBytesMax = 255;
inline constexpr std::size_t kPasswordHashBytesMax = 383;            // crypt(3): CRYPT_OUTPUT_SIZE, with its NUL
inline constexpr std::size_t kUsersFileBytesMax = 64 * 1024 * 1024;  // about 600,000 users

// Logins whose hash waits to be computed, in all and of one client (login/queue.h).
inline constexpr std::size_t kLoginsQueuedMax = 4'096;
inline constexpr std::size_t kLoginsQueuedPerClient = 256;
static_assert(kLoginsQueuedPerClient < kLoginsQueuedMax);

// Verified logins that are cached. Each takes two digests: one by login, one by login and client (login/logins.h).
inline constexpr std::size_t kLoginsCached = 8'192;
inline constexpr std::size_t kLoginDigestsCached = 2 * kLoginsCached;

// Waits after failed logins (login/backoff.h): failures in a row that are free at one name; failures at one name that
// count towards the client; failures of a client that are free; and misses of the cache at one name during a wait.
inline constexpr int kFailuresFree = 2;
inline constexpr int kFailuresCounted = kFailuresFree + 1;
inline constexpr int kFailuresFreePerClient = 30;
static_assert(kFailuresFreePerClient >= 4 * kFailuresCounted, "failures at one name must not lock out its client");
inline constexpr int kLoginMissesMax = 16;
inline constexpr std::chrono::seconds kBackoffFirst{1};
inline constexpr std::chrono::seconds kBackoffMax{60};
inline constexpr std::chrono::minutes kBackoffMemory{10};  // without a failure; then all counts are cleared
inline constexpr std::size_t kBackoffShards = 16;
inline constexpr std::size_t kBackoffEntriesPerShard = 4'096;  // about 9 MiB in all

// --- Names and dialling --------------------------------------------------------------------------------------------

inline constexpr std::size_t kNameBytesMax = 253;  // RFC 1035 section 2.3.4, in text, without the final dot
inline constexpr std::size_t kLabelBytesMax = 63;
inline constexpr std::size_t kAddressesPerName = 16;               // the rest is dropped, evenly by family
inline constexpr std::size_t kAttemptsAtOnce = 6;                  // of one dialer; the next one waits for a failure
inline constexpr std::chrono::milliseconds kAttemptDelay{250};     // RFC 8305 section 5
inline constexpr std::chrono::milliseconds kFamilyGraceDelay{50};  // RFC 8305 section 3

// Queries to name servers, per worker. Each attempt has a socket, and a lookup starts with two (A and AAAA). If no
// socket is left for another lookup, an attempt may be ended after kNameAttemptTurn. That is longer than a server
// takes for a cached name, and so short that 1,000 names of silent servers delay the next name of the same client by
// less than 100 ms.
inline constexpr std::size_t kNameAttemptsMax = 768;
inline constexpr std::chrono::milliseconds kNameAttemptTurn{40};
static_assert((1000 * 2 / kNameAttemptsMax) * kNameAttemptTurn < std::chrono::milliseconds(100));

// Clients are divided into shares by a hash with a secret key; limits hold for each share (fair_shares.h).
inline constexpr std::size_t kNameShares = 256;

// Lookups under way, per worker. One more ends the oldest lookup of the share that has most.
inline constexpr std::size_t kLookupsMax = 16 * 1024;

// A share may take one more if it holds less than this many times what is free (fair_shares.h).
inline constexpr std::size_t kFairness = 3;

// If a server has not answered for this long, the next one is asked as well. An answer still counts for the `timeout`
// of resolv.conf (5 s), but a client should not wait that long for a server that is down.
inline constexpr std::chrono::milliseconds kNextNameAttemptDelay{1'000};

// For this long after a timeout, a server is asked last.
inline constexpr std::chrono::seconds kServerSuspectTime{10};

// After this many datagrams on one socket that do not answer its query, the answer may be forged: the query is repeated
// over TCP.
inline constexpr int kForeignAnswersMax = 32;

inline constexpr std::size_t kNameServersMax = 3;  // resolv.conf(5), MAXNS
inline constexpr std::size_t kSearchMax = 32;      // domains of the search list; one more is the name as it is
inline constexpr std::size_t kAliasesMax = 16;     // the longest chain of CNAMEs
inline constexpr std::size_t kRecordsMax = 512;    // of an answer; the rest is ignored

inline constexpr std::size_t kNamesCached = 4096;  // per worker
inline constexpr std::chrono::seconds kNameTtlMax{24 * 60 * 60};
inline constexpr std::chrono::seconds kNoNameTtlMax{60 * 60};  // RFC 2308 section 5: one to three hours
inline constexpr std::chrono::seconds kNoAnswerTtl{1};         // RFC 9520 section 3.2: one second at least

inline constexpr std::chrono::seconds kNameFilesInterval{1};  // how often resolv.conf and hosts are checked
inline constexpr std::chrono::seconds kFamiliesInterval{5};   // how often the host's own addresses are checked
inline constexpr std::size_t kResolvConfBytesMax = 64 * 1024;
inline constexpr std::size_t kHostsBytesMax = 16 * 1024 * 1024;  // block lists of some megabytes are common

// --- Rules ---------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kRulesMax = 1'000'000;
inline constexpr std::size_t kSetFileBytesMax = 256 * 1024 * 1024;

// --- Ports of a range ----------------------------------------------------------------------------------------------

// The number of ports of --bind-ports or --udp-ports that one request tries before it fails; each takes about 5
// microseconds. After that, requests fail at once for kPortsFullMemory, or until a port is returned.
inline constexpr std::size_t kPortAttempts = 32;
inline constexpr std::chrono::milliseconds kPortsFullMemory{100};

// --- BIND ----------------------------------------------------------------------------------------------------------

inline constexpr int kBindBacklog = 128;      // of the listener of one session
inline constexpr int kBindPeersPerTurn = 16;  // that one session checks in one turn of its worker

// --- The relay -----------------------------------------------------------------------------------------------------

// Small messages are copied through one buffer of this size per worker. A read that fills it indicates a bulk flow.
inline constexpr std::size_t kCopyBytes = 16 * 1024;

// A flow changes to splice after this many full reads in a row, and back after this many small splices.
inline constexpr std::uint8_t kBulkAfter = 2;
inline constexpr std::uint8_t kCopyAfter = 8;
inline constexpr std::size_t kSmallSplice = kCopyBytes / 2;

// What a copy could not deliver waits in a pending buffer, lent by the worker. Beyond the bound a slow reader costs
// one more system call a turn instead of memory.
inline constexpr std::size_t kPendingBufferBytes = kCopyBytes;
inline constexpr std::size_t kPendingBuffersPerWorker = 1024;
static_assert(kPendingBufferBytes >= kCopyBytes, "one read must fit one pending buffer");
static_assert(kPendingBufferBytes >= kHandshakeBytes, "what came early must fit one pending buffer");

// A pipe has one slot for each 4 KiB of its nominal size, and a slot holds between 1,448 bytes and 32 KiB. If the quota
// of pipe(7) does not allow kPipeBytes, kPipeBytesMin is still faster than a copy; a smaller pipe is not.
inline constexpr std::size_t kPipeBytes = 1024 * 1024;
inline constexpr std::size_t kPipeBytesMin = 256 * 1024;

// The maximum of one splice(2) into an empty pipe.
inline constexpr std::size_t kSpliceBytes = 1024 * 1024;

// The limit of unsent bytes in the send queue of a bulk flow's sink (TCP_NOTSENT_LOWAT, tcp(7)). Without it, the kernel
// queues megabytes for a peer that does not read.
inline constexpr std::size_t kUnsentBytes = 1024 * 1024;

// kTurnBytes is the quantum of a flow on the ready list, and of all of them together before the worker polls for events
// again. It is kSharedTurnBytes for kSharedTurnMemory after a session without bulk had an event: its next message would
// wait for two turns on its round trip. kFirstBytes is the quantum of a flow that an event starts.
inline constexpr std::size_t kTurnBytes = 1024 * 1024;
inline constexpr std::size_t kSharedTurnBytes = 256 * 1024;
inline constexpr std::chrono::milliseconds kSharedTurnMemory{10};
inline constexpr std::size_t kFirstBytes = 64 * 1024;
static_assert(kTurnBytes >= kSpliceBytes && kFirstBytes > kBulkAfter * kCopyBytes);

// The allowance of a flow without a bandwidth limit.
inline constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Bandwidth limits. A session takes a quantum, what its rate brings in kThrottleQuantum, and then waits. A session that
// shares its user's rate takes smaller ones, so that a hundred sessions have their turns within a second. Over five
// seconds a quantum more or less, and the credit, are no more than 3 % together.
inline constexpr std::chrono::milliseconds kThrottleQuantum{50};
inline constexpr std::chrono::milliseconds kThrottleUserQuantum{5};
inline constexpr std::size_t kThrottleQuantumBytesMin = 1'024;

// The time that a session which wakes late may still use; less would lose bandwidth to the ticks at which throttled
// sessions ask again. A longer wait ends with a slow tick, half of one too late at most.
inline constexpr std::chrono::milliseconds kThrottleCredit{50};
inline constexpr std::chrono::milliseconds kThrottleTick{5};
inline constexpr std::chrono::milliseconds kThrottleTickSlow{50};
static_assert(kThrottleTickSlow / 2 + kThrottleTick < kThrottleCredit);
static_assert((kThrottleQuantum + kThrottleCredit) * 100 <= std::chrono::milliseconds(5'000) * 3);

// Workers tell the accounts of users at this interval what has been counted (policy/meter.h).
inline constexpr std::chrono::milliseconds kSettleInterval{250};

// Users' limits on time, and quotas that are used up, are looked at every kUsersWatchInterval (server/bookkeeper.h).
// A worker leases this many bytes of a quota at a time (relay/quota.h).
inline constexpr std::chrono::milliseconds kUsersWatchInterval{250};
inline constexpr std::int64_t kQuotaLeaseBytesMin = 64 * 1024;
inline constexpr std::int64_t kQuotaLeaseBytesMax = 4 * 1024 * 1024;

// Users with series of their own in the metrics; others with less traffic have none.
inline constexpr std::size_t kUserSeriesMax = 1'000;

// The accounts are saved at this interval if they have changed (server/bookkeeper.h). About 2 million accounts fit the
// file.
inline constexpr std::chrono::milliseconds kAccountsSaveInterval{5'000};
inline constexpr std::size_t kAccountsFileBytesMax = std::size_t{512} * 1024 * 1024;

// A reset waits for the bytes before it to be delivered: for at most kResetDrainMax, checking at these intervals.
inline constexpr std::chrono::milliseconds kResetDrainMax{10'000};
inline constexpr std::chrono::milliseconds kResetPollInterval{10};
inline constexpr std::chrono::milliseconds kResetPollIntervalSlow{250};

// --- Clients and users ---------------------------------------------------------------------------------------------

// Clients are counted in kLimiterShards tables, each with its own lock. A table is swept when its size has doubled, but
// not below kClientsSweepMin.
inline constexpr std::size_t kLimiterShards = 64;
inline constexpr std::size_t kClientsSweepMin = 64;
static_assert(256 % kLimiterShards == 0, "a byte of a digest chooses a table");

// --- UDP -----------------------------------------------------------------------------------------------------------

// The longest datagram: 65,535 bytes of IPv6 payload without the UDP header. Over IPv4 it is 65,507.
inline constexpr std::size_t kUdpBytesMax = 65'535 - 8;
inline constexpr std::size_t kUdpBytesMaxIpv4 = 65'535 - 20 - 8;

// The messages of one system call, and the number of such calls of one socket in one turn of its worker.
inline constexpr std::size_t kUdpBatch = 32;
inline constexpr int kUdpBatchesPerTurn = 4;

// How often a worker yields its core when one association alone keeps it busy (server/worker.h). 3 was measured to be
// best: with 1, the program that received the datagrams mostly does not get to run; from 6 on, the yields cost more.
inline constexpr int kYieldsToFillBatches = 3;

// The limits of one message with UDP_SEGMENT: datagrams (64 in older kernels, 128 since 6.9) and bytes. Datagrams
// longer than an Ethernet frame are not joined: the kernel rejects a message whose segments would be fragmented.
inline constexpr std::size_t kUdpSegmentsMax = 64;
inline constexpr std::size_t kUdpJoinedBytesMax = 65'000;
inline constexpr std::size_t kUdpSegmentBytesMaxIpv4 = 1'500 - 20 - 8;
inline constexpr std::size_t kUdpSegmentBytesMaxIpv6 = 1'500 - 40 - 8;
inline constexpr std::size_t kUdpIovecs = 1'024;  // a joined datagram has at most two: header and data
static_assert(kUdpJoinedBytesMax <= kUdpBytesMaxIpv4);

inline constexpr int kUdpReceiveBuffer = 1024 * 1024;

// If the request of an association named no port, the client's port is learnt from its datagrams, and kept for this
// long without one. NATs forget a port after a similar time. A client that is silent for longer loses nothing unless
// another client shares its address.
inline constexpr std::chrono::seconds kUdpPortMemory{30};

// Datagrams that wait for the address of their target. If they are too many, one of the client that has most is
// dropped.
inline constexpr std::size_t kWaitingDatagramsPerAssociation = 16;
inline constexpr std::size_t kWaitingDatagramsPerWorker = 1'024;
inline constexpr std::size_t kWaitingBytesPerWorker = 4 * 1024 * 1024;

// Addresses that a client has sent to, and from which it may receive. A page of 4 KiB holds about a thousand.
inline constexpr std::size_t kAddressesInline = 24;
inline constexpr std::size_t kAddressesPerPage = 1'024;
inline constexpr std::size_t kAddressesPerBucket = 8;
inline constexpr std::size_t kAddressPagesPerWorker = 1'024;

// The memory of a session and its association together, while no datagram moves.
inline constexpr std::size_t kAssociationBytesMax = 512;

// --- The worker ----------------------------------------------------------------------------------------------------

inline constexpr int kEventsPerTurn = 256;
inline constexpr int kAcceptsPerTurn = 64;
inline constexpr std::uint32_t kPolicyUpdatesPerTurn = 64;  // of a new policy
inline constexpr std::uint32_t kSurveyedPerTurn = 256;  // slots of sessions that are listed or ended for an operator
inline constexpr std::chrono::milliseconds kAnswerTimeout{1'000};  // of a worker that is asked (server/surveyor.h)
inline constexpr std::chrono::seconds kNotifyTimeout{5};           // of the service manager, to take a message
inline constexpr std::chrono::seconds kStatusInterval{10};         // between two reports of the state of the service
inline constexpr std::size_t kPermitsPerBatch = 64;                // that a worker leases in advance (server/permits.h)
inline constexpr std::chrono::milliseconds kAcceptRetryDelay{
    100};  // without descriptors or memory, unless a session ends
inline constexpr std::size_t kWorkersMax = 1024;
inline constexpr unsigned kCpusMax = 1024;          // CPU_SETSIZE, sched_setaffinity(2)
inline constexpr std::size_t kSteeringSample = 64;  // connections of a worker between comparisons (steering.h)
inline constexpr std::size_t kListenersMax = 64;

// Descriptors that belong to no session: those of the process (standard streams and the like) and of each worker
// (poller, wake-up, routing table), beside listeners, name queries, further attempts of dialers, and pipes.
inline constexpr std::size_t kDescriptorsOfProcess = 16;
inline constexpr std::size_t kDescriptorsPerWorker = 8;
inline constexpr std::size_t kNameAttemptsMin = 16;
inline constexpr std::size_t kFurtherAttemptsMin = 4;
inline constexpr std::size_t kFurtherAttemptsMax = 256;
inline constexpr std::size_t kPipesMin = 4;
inline constexpr std::size_t kPipesMax = 64;
inline constexpr std::size_t kDescriptorsPerSession = 2;

// --- The admin interface --------------------------------------------------------------------------------------------

// A request is its head and its body. A connection answers at most kAdminRequestsPerTurn pipelined ones before the
// others have a turn.
inline constexpr std::size_t kAdminListenersMax = 8;
inline constexpr std::size_t kAdminConnectionsMax = 64;
inline constexpr std::size_t kAdminRequestBytesMax = 8 * 1024;
inline constexpr std::size_t kAdminHeadersMax = 64;  // of a request
inline constexpr int kAdminRequestsPerTurn = 16;

// Accepted from one listener in one turn: so few that no connection is replaced before it has had a turn.
inline constexpr int kAdminAcceptsPerTurn = 4;
static_assert(kAdminAcceptsPerTurn * kAdminListenersMax < kAdminConnectionsMax);

inline constexpr std::size_t kAdminTokenBytesMax = 1'024;

// The timeout of a request from its first byte, of an idle connection, and of a client that takes none of its answer.
inline constexpr std::chrono::milliseconds kAdminTimeout{30'000};

// Rows of a list of sessions: by default, and at most. A list that is sorted is made from pieces of the maximum.
inline constexpr std::size_t kRowsDefault = 100;
inline constexpr std::size_t kRowsMax = 10'000;

// Accounts that a list or the watch of limits looks at before a login that waits for them goes first.
inline constexpr std::size_t kAccountsPerPiece = 256;

// Sessions whose rate is known (admin/session_rates.h), and the time between the two lists that it is computed from.
inline constexpr std::size_t kRatesMax = 65'536;
inline constexpr std::chrono::seconds kRateTimeMin{1};
inline constexpr std::chrono::seconds kRateTimeMax{60};

inline constexpr std::size_t kDescriptorsOfAdmin = 2;  // poller and wake-up, beside listeners and connections

// What a worker keeps for the admin interface: its last sessions that have ended, and targets (server/top_targets.h). A
// list of targets has kTopTargets, so that each of them has more bytes than those which a worker could not count.
inline constexpr std::size_t kRecentSessions = 1'024;
inline constexpr std::size_t kTargetsCounted = 512;
inline constexpr std::size_t kTopTargets = 100;
static_assert(kTopTargets < kTargetsCounted);

// The stream of events: readers at a time, and the time between two events.
inline constexpr std::size_t kEventReadersMax = 16;
inline constexpr std::chrono::milliseconds kEventInterval{1'000};
static_assert(kEventReadersMax < kAdminConnectionsMax, "readers must not keep out others");

// --- The configuration ----------------------------------------------------------------------------------------------

inline constexpr std::size_t kConfigBytesMax = 16 * 1024 * 1024;  // of one file
inline constexpr std::size_t kConfigFilesMax = 1'024;
inline constexpr std::size_t kConfigDepthMax = 16;  // files that include each other

// --- The log -------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kLogQueueBytes = 1024 * 1024;  // when it is full, lines are lost and counted
inline constexpr std::size_t kLogLineBytes = 2048;
inline constexpr std::chrono::milliseconds kLogExitMax{1000};  // to write the queue at the end
inline constexpr std::size_t kLogEventsPaced = 16;             // events whose rate is limited; more than there are
static_assert(kLogLineBytes > 4 * 255 + 512,
              "a name of the maximum length, with every byte escaped, leaves room for the other fields");

}  // namespace penstock
