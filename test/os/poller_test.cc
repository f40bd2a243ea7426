#include "penstock/os/poller.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <system_error>
#include <thread>

#include <doctest/doctest.h>

#include "test/support/process.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using unit::Bytes;
using unit::Pair;
using unit::TcpPair;

TEST_CASE("poller: a cookie is the same after packing and unpacking") {
  const Cookie rows[] = {
      {0, {0, 0}},
      {255, {0xffffffff, 0xffffff}},
      {1, {0, 0}},
      {0, {1, 0}},
      {0, {0, 1}},
      {0x80, {0x80000000, 0x800000}},
      {7, {Handle::kNoSlot, 0}},
      {0x12, {0x789abcde, 0x345678}},
  };
  for (const Cookie& cookie : rows) {
    const Cookie back = Cookie::Unpacked(cookie.Packed());
    CHECK(back.tag == cookie.tag);
    CHECK(back.handle == cookie.handle);
  }
  CHECK(Cookie{0x12, {0x789abcde, 0x345678}}.Packed() == 0x1234567'8789abcdeULL);
}

// A poller with one socket in it.
struct Watch {
  Watch() : pair(TcpPair()) {
    REQUIRE(poller.Add(pair.near.get(), {3, {17, 4}}));
    CHECK(Next().writable);  // as every fresh socket is
  }

  // The next event of the socket; all false when none comes in time.
  Events Next(std::optional<std::chrono::nanoseconds> timeout = unit::kTestTimeout) {
    if (poller.Wait(timeout) == 0) return {};
    const Poller::Event event = poller.At(0);
    CHECK(event.cookie.tag == 3);
    CHECK(event.cookie.handle == Handle{17, 4});
    return event.events;
  }

  // All that happened until `condition` holds for the sum of it.
  template <class Condition>
  Events Until(Condition condition) {
    Events sum;
    for (int i = 0; i < 10 && !condition(sum); ++i) {
      const Events next = Next();
      sum.readable |= next.readable;
      sum.writable |= next.writable;
      sum.closing |= next.closing;
      sum.broken |= next.broken;
      sum.urgent |= next.urgent;
    }
    return sum;
  }

  Poller poller;
  Pair pair;
};

TEST_CASE("poller: bytes that arrive are one edge") {
  Watch watch;
  CHECK(watch.poller.Wait(0ns) == 0);
  for (const char* text : {"first", "second"}) {  // nobody reads in between
    Send(watch.pair.far.get(), Bytes(text));
    const Events events = watch.Next();
    CHECK(events.readable);
    CHECK_FALSE(events.closing);
    CHECK_FALSE(events.broken);
    CHECK_FALSE(events.urgent);
    CHECK(watch.poller.Wait(0ns) == 0);
  }
}

TEST_CASE("poller: room in a full socket is an edge") {
  Poller poller;
  const Pair pair = TcpPair(16 * 1024);
  REQUIRE(poller.Add(pair.near.get(), {}));
  REQUIRE(poller.Wait(unit::kTestTimeout) == 1);
  const std::string much = unit::Pattern(1024 * 1024);
  bool told = false;
  CHECK(unit::WaitUntil([&] {  // full, and whatever room the first acknowledgements made told and used
    unit::SendSome(pair.near.get(), much);
    return poller.Wait(0ns) == 0;
  }));
  CHECK(unit::WaitUntil([&] {
    unit::ReceiveSome(pair.far.get());
    told = poller.Wait(0ns) == 1 && poller.At(0).events.writable;
    return told;
  }));
}

TEST_CASE("poller: a peer that finishes sending is closing, not broken") {
  Watch watch;
  ShutdownSend(watch.pair.far.get());
  const Events events = watch.Next();
  CHECK(events.readable);
  CHECK(events.closing);
  CHECK_FALSE(events.broken);
}

TEST_CASE("poller: a socket whose directions have both ended is broken") {
  Watch watch;
  ShutdownSend(watch.pair.near.get());
  ShutdownSend(watch.pair.far.get());
  const Events events = watch.Until([](const Events& sum) { return sum.broken; });
  CHECK(events.broken);
  CHECK(events.closing);
}

TEST_CASE("poller: a reset is readable, writable, closing and broken") {
  Watch watch;
  unit::Reset(watch.pair.far);
  const Events events = watch.Next();
  CHECK(events.readable);
  CHECK(events.writable);
  CHECK(events.closing);
  CHECK(events.broken);
}

TEST_CASE("poller: an urgent byte is an event") {
  Watch watch;
  REQUIRE(::send(watch.pair.far.get(), "!", 1, MSG_OOB) == 1);
  const Events events = watch.Until([](const Events& sum) { return sum.urgent && sum.readable; });
  CHECK(events.urgent);
  CHECK(events.readable);
}

TEST_CASE("poller: what happened before Add is an event") {
  Poller poller;
  const Pair pair = TcpPair();
  Send(pair.far.get(), Bytes("x"));
  REQUIRE(unit::WaitFor(pair.near.get(), POLLIN));
  REQUIRE(poller.Add(pair.near.get(), {}));
  REQUIRE(poller.Wait(unit::kTestTimeout) == 1);
  CHECK(poller.At(0).events.readable);
  CHECK(poller.At(0).events.writable);
}

bool FinIsAcknowledged(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  REQUIRE(::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
  return info.tcpi_state == TCP_FIN_WAIT2;
}

TEST_CASE("poller: a reader has no event for space to write until that is asked for, and then the space it has") {
  Poller poller;
  const Pair pair = TcpPair();
  REQUIRE(poller.AddReader(pair.near.get(), {5, {}}));
  CHECK(poller.Wait(0ns) == 0);
  ShutdownSend(pair.near.get());
  // The acknowledgement would be one more edge below.
  REQUIRE(unit::WaitUntil([&] { return FinIsAcknowledged(pair.near.get()); }));
  CHECK(poller.Wait(0ns) == 0);
  poller.WatchWrites(pair.near.get(), {5, {}});
  REQUIRE(poller.Wait(unit::kTestTimeout) == 1);
  CHECK(poller.At(0).cookie.tag == 5);
  CHECK(poller.At(0).events.writable);
  CHECK_FALSE(poller.At(0).events.readable);
  CHECK(poller.Wait(0ns) == 0);
  ShutdownSend(pair.far.get());
  REQUIRE(poller.Wait(unit::kTestTimeout) == 1);
  CHECK(poller.At(0).events.closing);
}

TEST_CASE("poller: a listener is reported while a connection waits, except while it is removed") {
  Poller poller;
  const Listening listening = ListenAlone({*IpAddress::Parse("127.0.0.1"), 0});
  REQUIRE(listening.fault == Fault::kNone);
  const int listener = listening.socket.get();
  REQUIRE(poller.AddListener(listener, {6, {}}));
  CHECK(poller.Wait(0ns) == 0);
  const Connecting first = Connect(LocalEndpoint(listener));
  for (int i = 0; i < 2; ++i) {
    REQUIRE(poller.Wait(unit::kTestTimeout) == 1);
    CHECK(poller.At(0).cookie.tag == 6);
  }
  poller.Remove(listener);
  CHECK(poller.Wait(0ns) == 0);
  REQUIRE(poller.AddListener(listener, {6, {}}));
  CHECK(poller.Wait(unit::kTestTimeout) == 1);
  CHECK(Accept(listener).status == Accepted::Status::kTaken);
  CHECK(poller.Wait(0ns) == 0);
}

TEST_CASE(
    "poller: a listener that was removed has no events, not even that it listens no more, and can be added again") {
  Poller poller;
  const Listening listening = ListenAlone({*IpAddress::Parse("127.0.0.1"), 0});
  REQUIRE(listening.fault == Fault::kNone);
  const int listener = listening.socket.get();
  REQUIRE(poller.AddListener(listener, {6, {}}));
  poller.Remove(listener);
  StopListening(listener);
  CHECK(poller.Wait(0ns) == 0);
  REQUIRE(ListenAgain(listener));
  REQUIRE(poller.AddListener(listener, {6, {}}));
  const Connecting first = Connect(LocalEndpoint(listener));
  CHECK(poller.Wait(unit::kTestTimeout) == 1);
}

TEST_CASE("poller: a closed descriptor has no events") {
  Poller poller;
  Pair pair = TcpPair();
  REQUIRE(poller.Add(pair.near.get(), {}));
  pair.near.Close();
  CHECK(poller.Wait(0ns) == 0);
}

TEST_CASE("poller: Add fails for a descriptor that epoll(7) does not support") {
  Poller poller;
  CHECK_FALSE(poller.Add(-1, {}));
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(poller.Add(file.get(), {}));
  const Pair pair = TcpPair();
  CHECK(poller.Add(pair.near.get(), {}));
  CHECK_FALSE(poller.Add(pair.near.get(), {}));  // once is all
}

TEST_CASE("poller: a wait without events ends after its timeout, never before") {
  Poller poller;
  const auto begin = std::chrono::steady_clock::now();
  CHECK(poller.Wait(3'500'000ns) == 0);
  CHECK(std::chrono::steady_clock::now() - begin >= 3'500'000ns);
}

TEST_CASE("poller: a timeout of months is cut, not zero") {
  Poller poller;
  const Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  itimerspec soon{};
  soon.it_value.tv_nsec = 20'000'000;
  REQUIRE(::timerfd_settime(timer.get(), 0, &soon, nullptr) == 0);
  REQUIRE(poller.Add(timer.get(), {}));
  CHECK(poller.Wait(std::chrono::milliseconds(std::int64_t{1} << 32)) == 1);
}

TEST_CASE("poller: another thread ends a wait, however often it calls Raise") {
  Poller poller;
  const WakeUp wake;
  REQUIRE(poller.Add(wake.fd(), {1, {}}));
  while (poller.Wait(0ns) > 0) {  // an eventfd is writable from the start
  }
  for (int round = 0; round < 3; ++round) {
    std::thread other([&] {
      for (int i = 0; i < 5; ++i) wake.Raise();
    });
    REQUIRE(poller.Wait(std::nullopt) == 1);
    CHECK(poller.At(0).cookie.tag == 1);
    CHECK(poller.At(0).events.readable);
    other.join();
    wake.Clear();
    CHECK_FALSE(unit::WaitFor(wake.fd(), POLLIN, 0ms));
    wake.Clear();  // of what was not raised: nothing
    while (poller.Wait(0ns) > 0) {
    }
  }
}

// Not under a sanitizer: its checker of exceptions wants descriptors for itself.
TEST_CASE("poller: without descriptors, the constructors of Poller and WakeUp throw" *
          doctest::skip(test::IsSanitized())) {
  const unit::NoDescriptors none;
  CHECK_THROWS_AS(Poller(), std::system_error);
  CHECK_THROWS_AS(WakeUp(), std::system_error);
}

}  // namespace
}  // namespace penstock
