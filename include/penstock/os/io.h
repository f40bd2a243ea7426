// Receive, send, and splice(2) into and out of a pipe: one system call each.
// Stateless; any thread. Descriptors are borrowed. Sockets must have O_NONBLOCK, for SPLICE_F_NONBLOCK covers only the
// pipe.
// Invariant: errno ends here. IoResult says all that a caller needs to know about a failure; EINTR is never returned.
// Deliberately not here: retries after EAGAIN, readiness, and the owner of the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

// Why a system call on a socket failed. Errors that no caller distinguishes are kOther.
enum class Fault : std::uint8_t {
  kNone,
  kRefused,             // ECONNREFUSED
  kReset,               // ECONNRESET, EPIPE: the peer reset the connection
  kNetworkUnreachable,  // ENETUNREACH, ENETDOWN
  kHostUnreachable,     // EHOSTUNREACH, EHOSTDOWN
  kTimedOut,            // ETIMEDOUT
  kDenied,              // EPERM, EACCES: denied by a local firewall or security module
  kNoFamily,            // EAFNOSUPPORT, EADDRNOTAVAIL: this host cannot use that address family
  kExhausted,           // EMFILE, ENFILE, ENOBUFS, ENOMEM
  kOther,
};

// The Fault for an errno; kNone for 0.
Fault FaultOfErrno(int error);

enum class IoStatus : std::uint8_t {
  kDone,   // `bytes` were moved, at least one
  kAgain,  // EAGAIN: nothing to read or no room to write; after SpliceIn perhaps no room in the pipe
  kEnd,    // end of file, of reads only: the peer has finished sending
  kFault,  // it failed; see `fault`
};

struct IoResult {
  IoStatus status;
  Fault fault;        // kNone unless the status is kFault
  std::size_t bytes;  // 0 unless the status is kDone
};

// recv(2) into `room`, which is not empty.
IoResult Receive(int socket, std::span<std::uint8_t> room);

// Receive, but leaves the bytes in the receive queue (MSG_PEEK).
IoResult Peek(int socket, std::span<std::uint8_t> room);

// Drops the next `bytes` of the receive queue, which must be there (MSG_TRUNC, tcp(7)).
IoResult Discard(int socket, std::size_t bytes);

// send(2) of `bytes`, which is not empty. MSG_NOSIGNAL: a broken connection is kReset and raises no SIGPIPE.
IoResult Send(int socket, std::span<const std::uint8_t> bytes);

// Send, for the last bytes of a stream: if all are taken, call ShutdownSend or close(2) next. Until then the kernel
// holds a short segment back, for at most 200 ms (MSG_MORE, tcp(7)), so that the FIN travels in it.
IoResult SendLast(int socket, std::span<const std::uint8_t> bytes);

// splice(2) of at most `bytes` from `socket` to the pipe's write end. While the pipe holds bytes, kAgain means an empty
// socket or a full pipe.
IoResult SpliceIn(int socket, int pipe_write, std::size_t bytes);

// splice(2) of at most `bytes` from the pipe's read end to `socket`. The pipe must hold as many. The process must
// ignore SIGPIPE, for splice(2) has no MSG_NOSIGNAL.
IoResult SpliceOut(int pipe_read, int socket, std::size_t bytes);

}  // namespace penstock
