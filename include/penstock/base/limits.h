// Every bound of the program that is not an operator's setting, in one place, and how the bounds relate to each other.
// Values only: no state, no owner, any thread.
// Invariant: a bound that follows from another is tied to it by a static_assert, so neither can change alone.
// Deliberately not here: what an operator may choose (config.h) and the numbers of the wire format (socks5.h).
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

// One buffer receives the whole handshake, however it is split or glued. What a client sends beyond it stays in the
// kernel until its target is connected.
inline constexpr std::size_t kHandshakeBytes = 1280;
static_assert(kGreetingBytesMax + kCredentialsBytesMax + kRequestBytesMax <= kHandshakeBytes,
              "a client may send all of it at once");

// A refused client may go on sending for this long and this much before it is cut off: enough for the refusal to
// arrive, too little to be worth an attacker's while.
inline constexpr std::chrono::milliseconds kLingerMax{2'000};
inline constexpr std::size_t kLingerBytesMax = 64 * 1024;

// --- Users and logins ----------------------------------------------------------------------------------------------

inline constexpr std::size_t kUserNameBytesMax = 255;  // RFC 1929 section 2: what one length byte can say
inline constexpr std::size_t kPasswordBytesMax = 255;
inline constexpr std::size_t kPasswordHashBytesMax = 383;            // crypt(3): CRYPT_OUTPUT_SIZE, with its NUL
inline constexpr std::size_t kUsersFileBytesMax = 64 * 1024 * 1024;  // some 600,000 users

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
inline constexpr std::size_t kAddressesPerName = 16;               // more are left out, evenly by family
inline constexpr std::size_t kAttemptsAtOnce = 6;                  // of one dialer; the next waits for one to fail
inline constexpr std::chrono::milliseconds kAttemptDelay{250};     // RFC 8305 section 5
inline constexpr std::chrono::milliseconds kFamilyGraceDelay{50};  // RFC 8305 section 3

// Attempts at name servers, per worker. Each is a socket, and a lookup begins with two (A and AAAA). If no socket is
// left, another share may take one after kNameAttemptTurn: longer than a server needs for a cached name, and so short
// that 1,000 names of silent servers delay the next name of the same client by less than 100 ms.
inline constexpr std::size_t kNameAttemptsMax = 768;
inline constexpr std::chrono::milliseconds kNameAttemptTurn{40};
static_assert((1000 * 2 / kNameAttemptsMax) * kNameAttemptTurn < std::chrono::milliseconds(100));

// Clients share what there is: each counts towards one of so many shares, by a hash that nobody can foresee.
inline constexpr std::size_t kNameShares = 256;

// Lookups at a time. At the limit the share with the most loses its oldest.
inline constexpr std::size_t kLookupsMax = 16 * 1024;

// Of what clients share in other ways one may hold so many times as much as is free (fair_shares.h).
inline constexpr std::size_t kFairness = 3;

// When a server has not answered for this long the next one is asked too. resolv.conf's `timeout` (5 s) is how long an
// answer still counts; a client of a gateway should not wait that long for a server that is down.
inline constexpr std::chrono::milliseconds kNextNameAttemptDelay{1'000};

// A server that kept silent is asked last for this long.
inline constexpr std::chrono::seconds kServerDoubt{10};

// Datagrams on one socket that are no answer to its query: with so many somebody is guessing, and TCP takes over.
inline constexpr int kForeignAnswersMax = 32;

inline constexpr std::size_t kNameServersMax = 3;  // resolv.conf(5), MAXNS
inline constexpr std::size_t kSearchMax = 32;      // domains of the search list; one more is the name as it is
inline constexpr std::size_t kAliasesMax = 16;     // CNAMEs in a row
inline constexpr std::size_t kRecordsMax = 512;    // of an answer; what comes after is not looked at

inline constexpr std::size_t kNamesCached = 4096;  // per worker
inline constexpr std::chrono::seconds kNameTtlMax{24 * 60 * 60};
inline constexpr std::chrono::seconds kNoNameTtlMax{60 * 60};  // RFC 2308 section 5: one to three hours
inline constexpr std::chrono::seconds kNoAnswerTtl{1};         // RFC 9520 section 3.2: one second at least

inline constexpr std::chrono::seconds kNameFilesInterval{1};  // how often resolv.conf and hosts are looked at
inline constexpr std::chrono::seconds kFamiliesInterval{5};   // how often the host's own addresses are looked at
inline constexpr std::size_t kResolvConfBytesMax = 64 * 1024;
inline constexpr std::size_t kHostsBytesMax = 16 * 1024 * 1024;  // block lists of some megabytes are common

// --- Rules ---------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kRulesMax = 1'000'000;
inline constexpr std::size_t kSetFileBytesMax = 256 * 1024 * 1024;

// --- Ports of a range ----------------------------------------------------------------------------------------------

// Ports of --bind-ports or --udp-ports that one request tries before it is told that there is none; a try takes some 5
// microseconds. For how long requests are then told so without a try, unless a port is given back.
inline constexpr std::size_t kPortAttempts = 32;
inline constexpr std::chrono::milliseconds kPortsFullMemory{100};

// --- BIND ----------------------------------------------------------------------------------------------------------

inline constexpr int kBindBacklog = 128;      // of the listener of one session
inline constexpr int kBindPeersPerTurn = 16;  // that one session judges before the others of its worker have their turn

// --- The relay -----------------------------------------------------------------------------------------------------

// Small messages are copied through one buffer of this size per worker; a read that fills it is the sign of bulk.
inline constexpr std::size_t kCopyBytes = 16 * 1024;

// So many full reads in a row turn a flow to splice, and so many small splices turn it back.
inline constexpr std::uint8_t kBulkAfter = 2;
inline constexpr std::uint8_t kCopyAfter = 8;
inline constexpr std::size_t kSmallSplice = kCopyBytes / 2;

// What a copy could not deliver waits in a stash, lent by the worker. Beyond the bound a slow reader costs one more
// system call a turn instead of memory.
inline constexpr std::size_t kStashBytes = kCopyBytes;
inline constexpr std::size_t kStashesPerWorker = 1024;
static_assert(kStashBytes >= kCopyBytes, "one read must fit one stash");
static_assert(kStashBytes >= kHandshakeBytes, "what came early must fit one stash");

// A pipe of this nominal size has a slot for each 4 KiB of it, and a slot may hold 1,448 bytes or 32 KiB. Where the
// quota of pipe(7) does not allow the first size, the second one still pays; below that, copying is as good.
inline constexpr std::size_t kPipeBytes = 1024 * 1024;
inline constexpr std::size_t kPipeBytesMin = 256 * 1024;

// What one splice(2) may move into an empty pipe.
inline constexpr std::size_t kSpliceBytes = 1024 * 1024;

// What may wait in a sink's queue without having been sent (TCP_NOTSENT_LOWAT, tcp(7)), of a flow that is bulk. The
// kernel alone would queue megabytes for a reader that does not read.
inline constexpr std::size_t kUnsentBytes = 1024 * 1024;

// What one flow of the ready list may move before the others have their turn, and all of them before the worker looks
// for events again; and what a flow may move at once when an event begins it.
inline constexpr std::size_t kTurnBytes = 1024 * 1024;
inline constexpr std::size_t kFirstBytes = 64 * 1024;
static_assert(kTurnBytes >= kSpliceBytes && kFirstBytes > kBulkAfter * kCopyBytes);

// What a flow may take when nobody limits it.
inline constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Bandwidth limits. A session takes what its rate brings in kThrottlePiece and then waits; a session that shares its
// user's rate takes smaller pieces, so that a hundred have their turns within a second. Small enough that over five
// seconds a piece more or less, and the credit, are no more than 3 % together.
inline constexpr std::chrono::milliseconds kThrottlePiece{50};
inline constexpr std::chrono::milliseconds kThrottleUserPiece{5};
inline constexpr std::size_t kThrottlePieceBytesMin = 1'024;

// Who wakes late is owed so much time at most; less would lose bandwidth to the ticks at which throttled sessions look
// again. A longer wait ends with slow ticks, half of one too late at most.
inline constexpr std::chrono::milliseconds kThrottleCredit{50};
inline constexpr std::chrono::milliseconds kThrottleTick{5};
inline constexpr std::chrono::milliseconds kThrottleTickSlow{50};
static_assert(kThrottleTickSlow / 2 + kThrottleTick < kThrottleCredit);
static_assert((kThrottlePiece + kThrottleCredit) * 100 <= std::chrono::milliseconds(5'000) * 3);

// A reset waits for the bytes before it to leave, this long at most, and looks this often whether they have.
inline constexpr std::chrono::milliseconds kResetDrainMax{10'000};
inline constexpr std::chrono::milliseconds kResetPollInterval{10};
inline constexpr std::chrono::milliseconds kResetPollIntervalSlow{250};

// --- Clients and users ---------------------------------------------------------------------------------------------

// Clients are counted in so many tables, each with its own lock, and each is swept when it has doubled, but not before
// it has so many.
inline constexpr std::size_t kLimiterShards = 64;
inline constexpr std::size_t kClientsSweepMin = 64;
static_assert(256 % kLimiterShards == 0, "a byte of a digest chooses a table");

// --- UDP -----------------------------------------------------------------------------------------------------------

// The longest datagram: 65,535 bytes of IPv6 payload without the UDP header. Over IPv4 it is 65,507.
inline constexpr std::size_t kUdpBytesMax = 65'535 - 8;
inline constexpr std::size_t kUdpBytesMaxIpv4 = 65'535 - 20 - 8;

// Messages of one system call, and how many such calls a socket may have before the others of its worker have their
// turn.
inline constexpr std::size_t kUdpBatch = 32;
inline constexpr int kUdpBatchesPerTurn = 4;

// How often a worker lets others have its core first when one association alone keeps it busy (worker.h). Measured: 3.
// With 1, whoever was woken by its datagrams mostly does not get to run; from 6 on the yields themselves cost more.
inline constexpr int kYieldsToFillBatches = 3;

// What the kernel takes as one message: datagrams (64 in older kernels, 128 since 6.9) and bytes in all. Longer ones
// than fit Ethernet are not joined: where a segment would have to be fragmented, the message is refused.
inline constexpr std::size_t kUdpSegmentsMax = 64;
inline constexpr std::size_t kUdpJoinedBytesMax = 65'000;
inline constexpr std::size_t kUdpSegmentBytesMaxIpv4 = 1'500 - 20 - 8;
inline constexpr std::size_t kUdpSegmentBytesMaxIpv6 = 1'500 - 40 - 8;
inline constexpr std::size_t kUdpPieces = 1'024;  // a joined datagram has two at most: header and data
static_assert(kUdpJoinedBytesMax <= kUdpBytesMaxIpv4);

inline constexpr int kUdpReceiveBuffer = 1024 * 1024;

// How long an association's client keeps a port that its request did not name without sending. NATs forget sooner or
// later than that; programs that are silent for longer are few, and lose nothing unless somebody shares their address.
inline constexpr std::chrono::seconds kUdpPortMemory{30};

// Datagrams that wait until their name has been looked up. The client that has most of them waiting makes room for one
// that has fewer.
inline constexpr std::size_t kWaitingDatagramsPerAssociation = 16;
inline constexpr std::size_t kWaitingDatagramsPerWorker = 1'024;
inline constexpr std::size_t kWaitingBytesPerWorker = 4 * 1024 * 1024;

// Addresses that a client has sent to and may hear from. A page has room for some thousand (4 KiB).
inline constexpr std::size_t kAddressesInline = 24;
inline constexpr std::size_t kAddressesPerPage = 1'024;
inline constexpr std::size_t kAddressesPerBucket = 8;
inline constexpr std::size_t kAddressPagesPerWorker = 1'024;

// Of the program's own memory, session and association together, while no datagram moves.
inline constexpr std::size_t kAssociationBytesMax = 512;

// --- The worker ----------------------------------------------------------------------------------------------------

inline constexpr int kEventsPerTurn = 256;
inline constexpr int kAcceptsPerTurn = 64;
inline constexpr std::uint32_t kSessionsToldPerTurn = 64;  // of another policy
inline constexpr std::size_t kPermitsPerBatch = 64;        // that a worker leases for sessions to come (permits.h)
inline constexpr std::chrono::milliseconds kAcceptRetryDelay{100};  // out of descriptors or memory, and no session ends
inline constexpr std::size_t kWorkersMax = 1024;
inline constexpr std::size_t kListenersMax = 64;

// Descriptors that are not a session's: standard streams and the like, and per worker its poller, its wake-up and its
// routing table, beside its listeners, its name queries, its dialers' further attempts and its pipes.
inline constexpr std::size_t kDescriptorsOfProcess = 16;
inline constexpr std::size_t kDescriptorsPerWorker = 8;
inline constexpr std::size_t kNameAttemptsMin = 16;
inline constexpr std::size_t kFurtherAttemptsMin = 4;
inline constexpr std::size_t kFurtherAttemptsMax = 256;
inline constexpr std::size_t kPipesMin = 4;
inline constexpr std::size_t kPipesMax = 64;
inline constexpr std::size_t kDescriptorsPerSession = 2;

// --- The configuration ----------------------------------------------------------------------------------------------

inline constexpr std::size_t kConfigBytesMax = 16 * 1024 * 1024;  // of one file
inline constexpr std::size_t kConfigFilesMax = 1'024;
inline constexpr std::size_t kConfigDepthMax = 16;  // files that include each other

// --- The log -------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kLogQueueBytes = 1024 * 1024;  // a reader slower than this loses lines, which are counted
inline constexpr std::size_t kLogLineBytes = 2048;
inline constexpr std::chrono::milliseconds kLogExitMax{1000};  // for the lines that are left at the end
inline constexpr std::size_t kLogEventsPaced = 16;             // that strangers can cause; more than there are
static_assert(kLogLineBytes > 4 * 255 + 512,
              "a name of the longest kind, every byte escaped, leaves room for the rest");

}  // namespace penstock
