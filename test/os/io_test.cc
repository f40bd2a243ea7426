#include "penstock/os/io.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::Bytes;
using unit::Pair;
using unit::TcpPair;
using unit::WaitFor;
using unit::WaitUntil;

constexpr IoStatus kDone = IoStatus::kDone;
constexpr IoStatus kAgain = IoStatus::kAgain;
constexpr IoStatus kEnd = IoStatus::kEnd;
constexpr IoStatus kFault = IoStatus::kFault;

Pair UnixPair() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

struct Pipes {
  Pipes() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    read = Fd(ends[0]);
    write = Fd(ends[1]);
  }
  Fd read, write;
};

std::string Text(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

// A default SIGPIPE would end the test program, so surviving is the proof.
struct DefaultSigpipe {
  DefaultSigpipe() : before(::signal(SIGPIPE, SIG_DFL)) {}
  ~DefaultSigpipe() { ::signal(SIGPIPE, before); }
  void (*before)(int);
};

TEST_CASE("io: each errno has its fault") {
  const struct {
    int error;
    Fault fault;
  } rows[] = {
      {0, Fault::kNone},
      {ECONNREFUSED, Fault::kRefused},
      {ECONNRESET, Fault::kReset},
      {EPIPE, Fault::kReset},
      {ENETUNREACH, Fault::kNetworkUnreachable},
      {ENETDOWN, Fault::kNetworkUnreachable},
      {EHOSTUNREACH, Fault::kHostUnreachable},
      {EHOSTDOWN, Fault::kHostUnreachable},
      {ETIMEDOUT, Fault::kTimedOut},
      {EPERM, Fault::kDenied},
      {EACCES, Fault::kDenied},
      {EAFNOSUPPORT, Fault::kNoFamily},
      {EADDRNOTAVAIL, Fault::kNoFamily},
      {EMFILE, Fault::kExhausted},
      {ENFILE, Fault::kExhausted},
      {ENOBUFS, Fault::kExhausted},
      {ENOMEM, Fault::kExhausted},
      {EBADF, Fault::kOther},
      {EINVAL, Fault::kOther},
  };
  for (const auto& row : rows) {
    CAPTURE(row.error);
    CHECK(FaultOfErrno(row.error) == row.fault);
  }
}

// Both kinds of stream sockets that the tests use behave alike.
void ReceiveTellsApart(Pair pair) {
  std::array<std::uint8_t, 8> room;
  CHECK(Receive(pair.near.get(), room).status == kAgain);

  REQUIRE(Send(pair.far.get(), Bytes("0123456789")).bytes == 10);
  REQUIRE(WaitFor(pair.near.get(), POLLIN));
  IoResult read = Receive(pair.near.get(), room);
  CHECK(read.status == kDone);
  CHECK(read.bytes == 8);
  CHECK(Text(room) == "01234567");
  read = Receive(pair.near.get(), room);
  CHECK(read.status == kDone);
  CHECK(read.bytes == 2);
  CHECK(Receive(pair.near.get(), room).status == kAgain);

  ShutdownSend(pair.far.get());
  REQUIRE(WaitFor(pair.near.get(), POLLIN));
  read = Receive(pair.near.get(), room);
  CHECK(read.status == kEnd);
  CHECK(read.fault == Fault::kNone);
  CHECK(read.bytes == 0);
}

TEST_CASE("io: a receive distinguishes bytes, an empty queue and the end of file") {
  ReceiveTellsApart(UnixPair());
  ReceiveTellsApart(TcpPair());
}

TEST_CASE("io: a send that fills the socket is short, and the next one returns kAgain") {
  const Pair pair = TcpPair(16 * 1024);
  const std::string much = unit::Pattern(4 * 1024 * 1024);
  const IoResult sent = Send(pair.near.get(), Bytes(much));
  CHECK(sent.status == kDone);
  CHECK(sent.bytes > 0);
  CHECK(sent.bytes < much.size());
  const IoResult more = Send(pair.near.get(), Bytes(much));
  CHECK((more.status == kAgain || more.bytes < much.size()));
}

TEST_CASE("io: bytes that arrived before a reset are still received") {
  Pair pair = TcpPair();
  Send(pair.far.get(), Bytes("last words"));
  unit::Reset(pair.far);
  REQUIRE(WaitFor(pair.near.get(), POLLHUP));
  std::array<std::uint8_t, 100> room;
  const IoResult read = Receive(pair.near.get(), room);
  CHECK(read.status == kDone);
  CHECK(read.bytes == 10);
  const IoResult end = Receive(pair.near.get(), room);
  CHECK(end.status == kFault);
  CHECK(end.fault == Fault::kReset);
}

TEST_CASE("io: a send on a broken connection is a fault and raises no signal") {
  const DefaultSigpipe deadly;
  Pair pair = TcpPair();
  unit::Reset(pair.far);
  REQUIRE(WaitFor(pair.near.get(), POLLHUP));
  for (int i = 0; i < 3; ++i) {  // ECONNRESET, then EPIPE
    const IoResult sent = Send(pair.near.get(), Bytes("x"));
    CHECK(sent.status == kFault);
    CHECK(sent.fault == Fault::kReset);
  }
  Pair closed = UnixPair();
  closed.far.Close();
  CHECK(Send(closed.near.get(), Bytes("x")).fault == Fault::kReset);
}

TEST_CASE("io: a send after ShutdownSend is a fault") {
  const Pair pair = TcpPair();
  ShutdownSend(pair.near.get());
  CHECK(Send(pair.near.get(), Bytes("x")).fault == Fault::kReset);
}

TEST_CASE("io: a peek leaves the bytes in the queue, and a discard drops as many as asked") {
  const Pair pair = TcpPair();
  std::array<std::uint8_t, 100> room;
  CHECK(Peek(pair.near.get(), room).status == kAgain);
  Send(pair.far.get(), Bytes("abcdef"));
  REQUIRE(WaitFor(pair.near.get(), POLLIN));
  for (int i = 0; i < 2; ++i) {
    const IoResult seen = Peek(pair.near.get(), room);
    CHECK(seen.status == kDone);
    CHECK(Text(std::span(room).first(seen.bytes)) == "abcdef");
  }
  const IoResult dropped = Discard(pair.near.get(), 4);
  CHECK(dropped.status == kDone);
  CHECK(dropped.bytes == 4);
  const IoResult read = Receive(pair.near.get(), room);
  CHECK(Text(std::span(room).first(read.bytes)) == "ef");

  ShutdownSend(pair.far.get());
  REQUIRE(WaitFor(pair.near.get(), POLLIN));
  CHECK(Peek(pair.near.get(), room).status == kEnd);
}

TEST_CASE("io: splice carries bytes through a pipe, in order") {
  const Pair in = TcpPair();
  const Pair out = TcpPair();
  const Pipes pipe;
  CHECK(SpliceIn(in.near.get(), pipe.write.get(), 65536).status == kAgain);

  Send(in.far.get(), Bytes("through the pipe"));
  REQUIRE(WaitFor(in.near.get(), POLLIN));
  const IoResult read = SpliceIn(in.near.get(), pipe.write.get(), 65536);
  CHECK(read.status == kDone);
  REQUIRE(read.bytes == 16);
  CHECK(SpliceIn(in.near.get(), pipe.write.get(), 65536).status == kAgain);

  CHECK(SpliceOut(pipe.read.get(), out.near.get(), 7).bytes == 7);
  CHECK(SpliceOut(pipe.read.get(), out.near.get(), 9).bytes == 9);
  CHECK(SpliceOut(pipe.read.get(), out.near.get(), 1).status == kAgain);  // the pipe is empty
  REQUIRE(WaitUntil([&] { return unit::Readable(out.far.get()) == 16; }));
  CHECK(unit::ReceiveSome(out.far.get()) == "through the pipe");

  ShutdownSend(in.far.get());
  REQUIRE(WaitFor(in.near.get(), POLLIN));
  CHECK(SpliceIn(in.near.get(), pipe.write.get(), 65536).status == kEnd);
}

TEST_CASE("io: a splice into a full pipe returns kAgain although the socket has bytes") {
  const Pair in = TcpPair();
  const Pipes pipe;
  Send(in.far.get(), Bytes("x"));
  REQUIRE(WaitFor(in.near.get(), POLLIN));
  const std::array<char, 4096> filler{};
  while (::write(pipe.write.get(), filler.data(), filler.size()) > 0) {
  }
  CHECK(SpliceIn(in.near.get(), pipe.write.get(), 65536).status == kAgain);
  CHECK(unit::Readable(in.near.get()) == 1);
}

TEST_CASE("io: a splice into a full socket leaves the rest in the pipe") {
  const Pair out = TcpPair(16 * 1024);
  unit::SendSome(out.near.get(), unit::Pattern(4 * 1024 * 1024));
  const Pipes pipe;
  REQUIRE(::write(pipe.write.get(), "abc", 3) == 3);
  CHECK(SpliceOut(pipe.read.get(), out.near.get(), 3).status == kAgain);
  CHECK(unit::Readable(pipe.read.get()) == 3);
}

TEST_CASE("io: a splice from a reset connection moves the bytes before the reset") {
  Pair in = TcpPair();
  const Pipes pipe;
  Send(in.far.get(), Bytes("last words"));
  unit::Reset(in.far);
  REQUIRE(WaitFor(in.near.get(), POLLHUP));
  CHECK(SpliceIn(in.near.get(), pipe.write.get(), 65536).bytes == 10);
  const IoResult end = SpliceIn(in.near.get(), pipe.write.get(), 65536);
  CHECK(end.status == kFault);
  CHECK(end.fault == Fault::kReset);
}

TEST_CASE("io: a splice into a broken connection is a fault if SIGPIPE is ignored") {
  void (*const before)(int) = ::signal(SIGPIPE, SIG_IGN);  // splice(2) has no MSG_NOSIGNAL
  Pair out = TcpPair();
  const Pipes pipe;
  REQUIRE(::write(pipe.write.get(), "abc", 3) == 3);
  unit::Reset(out.far);
  REQUIRE(WaitFor(out.near.get(), POLLHUP));
  for (int i = 0; i < 2; ++i) {  // ECONNRESET, then EPIPE
    const IoResult sent = SpliceOut(pipe.read.get(), out.near.get(), 3);
    CHECK(sent.status == kFault);
    CHECK(sent.fault == Fault::kReset);
  }
  ::signal(SIGPIPE, before);
}

TEST_CASE("io: an invalid descriptor is a fault") {
  std::array<std::uint8_t, 8> room{};
  CHECK(Receive(-1, room).fault == Fault::kOther);
  CHECK(Send(-1, room).fault == Fault::kOther);
  CHECK(SpliceIn(-1, -1, 1).fault == Fault::kOther);
}

}  // namespace
}  // namespace penstock
