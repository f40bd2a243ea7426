// Moving bytes with one system call each: receive, send, and splice(2) into and out of a pipe.
// Stateless; any thread. Descriptors are borrowed, and sockets must be non-blocking themselves (SPLICE_F_NONBLOCK
// covers only the pipe).
// Invariant: errno ends here. What a caller needs to know about a failure is in IoResult; EINTR never reaches it.
// Deliberately not here: retrying, readiness, and whose bytes they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

// Why a system call on a socket failed, as far as anyone acts on the difference.
enum class Fault : std::uint8_t {
  kNone,
  kRefused,             // ECONNREFUSED
  kReset,               // ECONNRESET, EPIPE: the peer broke the connection
  kNetworkUnreachable,  // ENETUNREACH, ENETDOWN
  kHostUnreachable,     // EHOSTUNREACH, EHOSTDOWN
  kTimedOut,            // ETIMEDOUT
  kDenied,              // EPERM, EACCES: a local firewall or security module
  kNoFamily,            // EAFNOSUPPORT, EADDRNOTAVAIL: this host cannot speak to such an address
  kExhausted,           // EMFILE, ENFILE, ENOBUFS, ENOMEM
  kOther,
};

Fault FaultOfErrno(int error);

enum class IoStatus : std::uint8_t {
  kDone,   // `bytes` were moved, at least one
  kAgain,  // nothing to read, or no room to write, for now; for SpliceIn also: no room in the pipe
  kEnd,    // reads only: the peer has finished sending
  kFault,  // see `fault`
};

struct IoResult {
  IoStatus status;
  Fault fault;
  std::size_t bytes;
};

IoResult Receive(int socket, std::span<std::uint8_t> room);

// Copies what is there without taking it (MSG_PEEK).
IoResult Peek(int socket, std::span<std::uint8_t> room);

// Takes `bytes` that are known to be there and drops them (MSG_TRUNC, tcp(7)).
IoResult Discard(int socket, std::size_t bytes);

// MSG_NOSIGNAL: a broken connection is a result, not a signal.
IoResult Send(int socket, std::span<const std::uint8_t> bytes);

// At most `bytes` from `socket` into the pipe's write end. kAgain is ambiguous while the pipe has bytes inside.
IoResult SpliceIn(int socket, int pipe_write, std::size_t bytes);

// At most `bytes`, which must be in the pipe, from its read end to `socket`. splice(2) has no MSG_NOSIGNAL: the
// process must ignore SIGPIPE.
IoResult SpliceOut(int pipe_read, int socket, std::size_t bytes);

}  // namespace penstock
