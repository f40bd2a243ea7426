// Sockets: listen, accept, connect, options, addresses, shutdown.
// Stateless; any thread. A returned Fd owns its descriptor; an int argument is borrowed.
// Invariant: every socket made here has O_NONBLOCK and FD_CLOEXEC.
// Deliberately not here: waiting for events (poller.h) and moving bytes (io.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/names.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"

namespace penstock {

// TCP keepalive (tcp(7)): after `idle` without a segment the kernel sends up to `probes` probes, one each `interval`.
struct KeepAlive {
  std::chrono::seconds idle{60};
  std::chrono::seconds interval{15};
  int probes = 4;

  // The time from a peer's last segment until the kernel drops the connection.
  std::chrono::seconds timeout() const { return idle + probes * interval; }
};

// Returns a listening TCP socket with SO_REUSEPORT and SO_REUSEADDR. Port 0 lets the kernel choose. Accepted sockets
// inherit TCP_NODELAY and SO_OOBINLINE; without SO_OOBINLINE recv(2) would drop urgent bytes. IPv6 sockets have
// IPV6_V6ONLY, so one gateway can listen on 0.0.0.0 and on ::. On failure the Fd is invalid and `*error` is a sentence
// that names the address.
Fd Listen(const Endpoint& at, std::string* error);

// Makes `listener`, which another program has made, one like those of Listen, except for what only a new socket can be
// given. False if it is no listening TCP socket.
[[nodiscard]] bool AdoptListener(int listener);

// True exactly when another socket is bound to `at`. Without this check, SO_REUSEPORT lets a second gateway of the same
// user share the port unnoticed.
bool InUse(const Endpoint& at);

// Ends listening: connections in the backlog are reset, and new ones refused. The socket keeps its port (shutdown(2) of
// a listener; Linux, inet_shutdown), which only sockets of the same user with SO_REUSEPORT can bind meanwhile.
void StopListening(int listener);

// Makes a socket of Listen listen again after StopListening (listen(2)). False if the kernel has no memory.
[[nodiscard]] bool ListenAgain(int listener);

struct Listening {
  Fd socket;    // invalid exactly when `fault` is set
  Fault fault;  // kOther: the port is in use
};

// Returns a listening TCP socket for one expected peer: as Listen does, but without SO_REUSEPORT.
Listening ListenAlone(const Endpoint& at);

struct Accepted {
  enum class Status : std::uint8_t {
    kTaken,      // `socket` and `peer` are set
    kNone,       // EAGAIN: the backlog is empty
    kGone,       // ECONNABORTED and the like (accept(2)): that connection is gone; accept the next one
    kExhausted,  // no descriptor, no memory, or denied; the connection stays in the backlog
  };
  Status status;
  Fd socket;
  Endpoint peer;
};

// Accepts one connection: accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC.
Accepted Accept(int listener);

// Gives each connection to the listener of the CPU that received it: `listener` is one of several with SO_REUSEPORT at
// one address, and the first to call listen(2) among them serves cpus[0], and so on. Connections that come in on other
// CPUs are spread as before. False if the kernel does not support that (SO_ATTACH_REUSEPORT_CBPF, socket(7)).
[[nodiscard]] bool SteerByCpu(int listener, std::span<const unsigned> cpus);

// Spreads connections by their addresses again (SO_DETACH_REUSEPORT_BPF).
void StopSteering(int listener);

// The number of connections in the backlog (TCP_INFO, tcp(7)); 0 if the socket does not listen.
std::size_t BacklogOf(int listener);

struct Connecting {
  Fd socket;    // invalid exactly when `fault` is set
  Fault fault;  // connect(2) failed at once: no route, no descriptor and so on
};

// Starts a connection to `to`, from `source` unless it is null. When the socket becomes writable, ConnectFault returns
// the outcome. kNoFamily: `source` has no address of that family. kOther: this host does not have the source address.
// The socket has SO_OOBINLINE; SendAtOnce is left to the caller.
Connecting Connect(const Endpoint& to, const Source* source = nullptr);

// Returns a UDP socket that is connected to `to`: it receives from no other address. The kernel picks a random port.
Connecting ConnectUdp(const Endpoint& to, const Source* source = nullptr);

// Binds a socket to the interface of `source`, if it names one (SO_BINDTODEVICE, socket(7)). Call it before bind(2).
Fault BindToInterface(int socket, const Source& source);

// The local address for packets to `to`: `source`, or what the routing table selects. Sends no packet.
struct LocalAddress {
  Endpoint at;  // its port is 0; meaningless when `fault` is set
  Fault fault;
};
LocalAddress LocalAddressTowards(const IpAddress& to, const Source* source = nullptr);

// The outcome of Connect, once the socket is writable: kNone if it is connected. Reads and clears SO_ERROR. kReset: the
// connection was established and has been reset since; a RST in answer to the SYN is kRefused.
Fault ConnectFault(int socket);

Endpoint LocalEndpoint(int socket);               // getsockname(2)
void SendAtOnce(int socket);                      // TCP_NODELAY: switches the Nagle algorithm off
void BoundUnsent(int socket, std::size_t bytes);  // TCP_NOTSENT_LOWAT: limits the unsent bytes in the send queue
void ShutdownSend(int socket);                    // SHUT_WR: sends FIN after the send queue; receiving goes on
void AbortOnClose(int socket);                    // SO_LINGER {1, 0}: close(2) sends a reset and drops the send queue
void EnableKeepAlive(int socket, const KeepAlive& keepalive);

// Bytes in the send queue, sent or not, that the peer has not acknowledged (SIOCOUTQ, tcp(7)); 0 if there is no
// connection.
std::uint32_t UnsentBytes(int socket);

// The time since the peer's last acknowledgement, while retransmissions or window probes are unanswered (TCP_INFO).
// Zero when none is unanswered. The kernel gives up after 15 minutes (tcp_retries2, tcp(7)), and sends no keepalive
// probe while bytes are queued.
std::chrono::milliseconds UnansweredFor(int socket);

// The address families that are worth asking a name server for: those of which the host has an address that is neither
// loopback nor link-local. If there is no such address, both: a host with loopback alone runs tests.
Families HostFamilies();

// The addresses of all interfaces of this host (getifaddrs(3)); empty on failure.
std::vector<IpAddress> HostAddresses();

}  // namespace penstock
