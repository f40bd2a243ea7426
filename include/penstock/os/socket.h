// Sockets: listen, accept, connect, what they are called, and how they end.
// Stateless; any thread. A descriptor is owned by the Fd that a function returns and borrowed where it takes an int.
// Invariant: every socket made here is non-blocking and close-on-exec.
// Deliberately not here: waiting for a socket (poller.h) and moving its bytes (io.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/names.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"

namespace penstock {

// How a dead peer is found (tcp(7)): after `idle` without a segment, a probe each `interval`, `probes` of them.
struct KeepAlive {
  std::chrono::seconds idle{60};
  std::chrono::seconds interval{15};
  int probes = 4;

  // From the last segment of a peer until it counts as dead.
  std::chrono::seconds timeout() const { return idle + probes * interval; }
};

// A listening TCP socket with SO_REUSEPORT and SO_REUSEADDR, whose accepted sockets inherit TCP_NODELAY and
// SO_OOBINLINE (an urgent byte is a byte of the stream, in its place; without this, recv(2) would drop it). IPv6
// sockets are IPV6_V6ONLY, so that 0.0.0.0 and :: can be listened on side by side. On failure the Fd is invalid and
// `*error` is a sentence that names the address.
Fd Listen(const Endpoint& at, std::string* error);

// True exactly when a socket is bound to `at` already. SO_REUSEPORT would let a second gateway of the same user share
// the port without a word.
bool InUse(const Endpoint& at);

struct Listening {
  Fd socket;    // invalid exactly when `fault` is set
  Fault fault;  // kOther: the port is in use
};

// A listening TCP socket as Listen makes it, but alone on its port (no SO_REUSEPORT), for a peer that is expected.
Listening ListenAlone(const Endpoint& at);

struct Accepted {
  enum class Status : std::uint8_t {
    kTaken,
    kNone,       // nobody is waiting
    kGone,       // the next one left before it was taken (ECONNABORTED and kin, accept(2)): try again
    kExhausted,  // no descriptor, no memory, or not allowed; whoever waits goes on waiting
  };
  Status status;
  Fd socket;
  Endpoint peer;
};

// accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC.
Accepted Accept(int listener);

// How many connections wait to be accepted (TCP_INFO, tcp(7)); 0 for what is no listener.
std::size_t BacklogOf(int listener);

struct Connecting {
  Fd socket;    // invalid exactly when `fault` is set
  Fault fault;  // the answer came at once (no route, no descriptor...)
};

// Begins to connect, from `source` unless that is null. The outcome shows as writability; ask ConnectFault then. A
// source without an address of the family is kNoFamily; one that this host does not have is kOther.
Connecting Connect(const Endpoint& to, const Source* source = nullptr);

// A UDP socket that sends to `to` and hears only from it, from a port that the kernel picks at random.
Connecting ConnectUdp(const Endpoint& to, const Source* source = nullptr);

// The interface of `source`, if it names one (SO_BINDTODEVICE, socket(7)). Before the socket is bound to an address.
Fault BindToInterface(int socket, const Source& source);

// The address that this host would use towards `to`: what the kernel's routes say, or `source`. No packet is sent.
struct LocalAddress {
  Endpoint at;  // without a port; meaningless when `fault` is set
  Fault fault;
};
LocalAddress LocalAddressTowards(const IpAddress& to, const Source* source = nullptr);

// How connecting went, once the socket has told that it is over (SO_ERROR, which it clears): kNone when it is
// connected. kReset: it was connected, and has broken since. (What answers a SYN with RST refuses: ECONNREFUSED.)
Fault ConnectFault(int socket);

Endpoint LocalEndpoint(int socket);               // getsockname(2)
void BoundUnsent(int socket, std::size_t bytes);  // that wait in its queue, and have not been sent (TCP_NOTSENT_LOWAT)
void ShutdownSend(int socket);                    // sends FIN after what is queued; the other direction goes on
void AbortOnClose(int socket);                    // SO_LINGER {1, 0}: closing sends a reset and drops what is queued
void EnableKeepAlive(int socket, const KeepAlive& keepalive);

// Bytes that the peer has not acknowledged yet (SIOCOUTQ, tcp(7)); 0 too when the connection is gone.
std::uint32_t UnsentBytes(int socket);

// How long the peer has owed an answer: the time since its last acknowledgement, while the kernel sends bytes again, or
// asks a closed window, without having been answered (TCP_INFO). Zero when no answer is due. The kernel itself gives up
// after a quarter of an hour (tcp_retries2, tcp(7)), and sends no keepalive probe while bytes wait.
std::chrono::milliseconds UnansweredFor(int socket);

// Which address families an answer could be dialled in. A family counts when the host has an address in it beyond
// loopback and link-local; where neither has, both count (a machine on loopback alone is for tests).
Families HostFamilies();

// Every address of this host's interfaces (getifaddrs(3)), as they are now.
std::vector<IpAddress> HostAddresses();

}  // namespace penstock
