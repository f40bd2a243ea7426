#include "penstock/relay/relay.h"

#include <sys/socket.h>

#include <string>

#include <doctest/doctest.h>

#include "test/support/rig.h"
#include "test/support/segments.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Progress = Relay::Progress;
using unit::Bytes;
using unit::kNarrow;
using unit::kWide;
using unit::Pair;
using unit::Pattern;
using unit::TcpPair;
using unit::WaitFor;
using unit::WaitUntil;

// A relay between a client and a target, both of which are the test's.
struct RelayRig {
  explicit RelayRig(int client_bytes = 0, int target_bytes = 0, std::string_view early = {})
      : client_side(TcpPair(client_bytes)), target_side(TcpPair(target_bytes)) {
    REQUIRE(poller.Add(client_side.near.get(), {0, {}}));
    REQUIRE(poller.Add(target_side.near.get(), {1, {}}));
    REQUIRE(relay.Begin({.writable = true}, {.writable = true}, target_side.near.get(), Bytes(early), tools.All()));
  }
  ~RelayRig() { relay.Release(tools.All()); }

  Fd& client() { return client_side.far; }
  Fd& target() { return target_side.far; }

  bool Look(std::chrono::nanoseconds timeout = 0ns) {
    const int count = poller.Wait(timeout);
    for (int i = 0; i < count; ++i) {
      const Poller::Event event = poller.At(i);
      event.cookie.tag == 0 ? relay.OnClient(event.events) : relay.OnTarget(event.events);
    }
    return count > 0;
  }
  Progress Step() {
    Allowance any = kAnyAllowance;
    return Step(any);
  }
  Progress Step(Allowance& left) {
    if (!over()) progress = relay.Step(client_side.near.get(), target_side.near.get(), left, tools.All());
    return progress;
  }
  Progress Go() {
    Look();
    return Step();
  }
  bool over() const { return progress == Progress::kEnded || progress == Progress::kBroken; }

  // Receives from `fd` until `size` bytes have arrived.
  std::string Take(const Fd& fd, std::size_t size) {
    return unit::Collect(
        fd, [&] { Go(); }, [&](const std::string& text) { return text.size() >= size; });
  }
  // Receives from `fd` up to a clean end.
  std::string TakeToEnd(const Fd& fd) {
    IoResult last{};
    std::string text;
    CHECK(WaitUntil([&] {
      Go();
      text += unit::ReceiveSome(fd.get(), &last);
      return last.status == IoStatus::kEnd || last.status == IoStatus::kFault;
    }));
    CHECK(last.status == IoStatus::kEnd);
    return text;
  }
  // Receives from `fd` until the relay is broken, and checks that no end was passed on.
  std::string TakeUntilBroken(const Fd& fd) {
    std::string text = unit::Collect(
        fd, [&] { Go(); }, [&](const std::string&) { return over(); });
    CHECK(progress == Progress::kBroken);
    // As in a session, the bytes under way arrive before the sockets are closed.
    const Fd& sender = &fd == &client_side.far ? client_side.near : target_side.near;
    CHECK(WaitUntil([&] {
      text += unit::ReceiveSome(fd.get());
      return UnsentBytes(sender.get()) == 0;
    }));
    IoResult last{};
    text += unit::ReceiveSome(fd.get(), &last);
    CHECK(last.status == IoStatus::kAgain);  // a truncated transfer does not look complete
    return text;
  }

  // Sends `text` until all is sent or no more bytes move, and runs turns. Returns what was sent, all of which the
  // gateway's kernel has acknowledged or passed on.
  std::string SendMuch(const Fd& from, std::string_view text) {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const std::size_t more = unit::SendSome(from.get(), text.substr(sent, 65536));
      sent += more;
      REQUIRE(WaitUntil([&] {
        Go();
        return UnsentBytes(from.get()) == 0 || !Look(5ms);
      }));
      if (UnsentBytes(from.get()) > 0) break;
    }
    return std::string(text.substr(0, sent));
  }

  unit::Tools tools;
  Pair client_side, target_side;
  Poller poller;
  Relay relay;
  Progress progress = Progress::kWaiting;
};

void SendTo(const Fd& fd, std::string_view text) { REQUIRE(unit::SendSome(fd.get(), text) == text.size()); }

// Both sides have the same rules: most tests run with the client as `from`, then with the target.
struct Sides {
  Fd& from;
  Fd& to;
  bool client;  // `from` is the client
};
Sides ClientFirst(RelayRig& rig) { return {rig.client(), rig.target(), true}; }
Sides TargetFirst(RelayRig& rig) { return {rig.target(), rig.client(), false}; }
constexpr Sides (*kBothWays[])(RelayRig&) = {ClientFirst, TargetFirst};

TEST_CASE("relay: both directions work at the same time") {
  RelayRig rig;
  for (int i = 0; i < 10; ++i) {
    SendTo(rig.client(), "question " + std::to_string(i));
    CHECK(rig.Take(rig.target(), 10) == "question " + std::to_string(i));
    SendTo(rig.target(), "answer " + std::to_string(i));
    CHECK(rig.Take(rig.client(), 8) == "answer " + std::to_string(i));
  }
  CHECK(rig.progress == Progress::kWaiting);
  CHECK_FALSE(rig.relay.half_closed());
  CHECK(rig.relay.bytes_up() == 100);
  CHECK(rig.relay.bytes_down() == 80);
  CHECK(rig.tools.counters.bytes_up.value() == 100);
  CHECK(rig.tools.counters.bytes_down.value() == 80);
}

TEST_CASE("relay: what the client sent behind its request arrives first and once") {
  RelayRig rig(0, 0, "early ");
  SendTo(rig.client(), "and late");
  CHECK(rig.Take(rig.target(), 14) == "early and late");
  CHECK(rig.relay.bytes_up() == 14);
}

TEST_CASE("relay: it does not begin without a pending buffer for early bytes that its target does not take") {
  unit::Tools tools(0);
  const Pair target = TcpPair(kNarrow);
  unit::SendSome(target.near.get(), Pattern(kWide));
  Relay relay;
  CHECK_FALSE(relay.Begin({}, {}, target.near.get(), Bytes("early"), tools.All()));
  relay.Release(tools.All());
}

TEST_CASE("relay: a half-close leaves the other direction open") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    SendTo(sides.from, "question");
    ShutdownSend(sides.from.get());
    CHECK(rig.TakeToEnd(sides.to) == "question");
    CHECK(rig.progress == Progress::kWaiting);
    CHECK(rig.relay.half_closed());

    for (const char* part : {"a long ", "answer ", "in parts"}) {
      SendTo(sides.to, part);
      CHECK(rig.Take(sides.from, std::string_view(part).size()) == part);
    }
    CHECK(rig.progress == Progress::kWaiting);
    ShutdownSend(sides.to.get());
    CHECK(WaitUntil([&] { return rig.Go() != Progress::kWaiting; }));
    CHECK(rig.progress == Progress::kEnded);
    CHECK_FALSE(rig.relay.client_broken());
    CHECK_FALSE(rig.relay.target_broken());
  }
}

TEST_CASE("relay: the last bytes and the end that an edge reported with them leave in one segment") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    SendTo(sides.from, "last");
    ShutdownSend(sides.from.get());
    REQUIRE(WaitFor(sides.client ? rig.client_side.near.get() : rig.target_side.near.get(), POLLRDHUP));
    const auto segments = [&] { return unit::SegmentsReceived(sides.to); };
    const std::uint32_t before = segments();
    CHECK(rig.TakeToEnd(sides.to) == "last");
    CHECK(segments() == before + 1);
  }
}

TEST_CASE("relay: both sides may half-close at once, behind their last bytes") {
  RelayRig rig;
  SendTo(rig.client(), "question");
  SendTo(rig.target(), "answer");
  ShutdownSend(rig.client().get());
  ShutdownSend(rig.target().get());
  REQUIRE(WaitFor(rig.client_side.near.get(), POLLRDHUP));
  REQUIRE(WaitFor(rig.target_side.near.get(), POLLRDHUP));
  CHECK(rig.Go() == Progress::kEnded);
  rig.client_side.near.Close();  // as the session does
  rig.target_side.near.Close();
  CHECK(rig.TakeToEnd(rig.target()) == "question");
  CHECK(rig.TakeToEnd(rig.client()) == "answer");
}

TEST_CASE("relay: a large transfer before a clean end arrives whole") {
  for (const auto way : kBothWays) {
    RelayRig rig(kWide, kWide);
    const Sides sides = way(rig);
    const std::string sent = rig.SendMuch(sides.from, Pattern(3'000'000));
    ShutdownSend(sides.from.get());
    CHECK((rig.TakeToEnd(sides.to) == sent));
  }
}

TEST_CASE("relay: the bytes of a side that resets are delivered, few or many, and no end") {
  for (const auto way : kBothWays) {
    for (const bool much : {false, true}) {
      RelayRig rig(kWide, kWide);
      const Sides sides = way(rig);
      CAPTURE(sides.client);
      CAPTURE(much);
      std::string sent = "last words";
      if (much) {
        sent = rig.SendMuch(sides.from, Pattern(3'000'000));
      } else {
        SendTo(sides.from, sent);
      }
      unit::Reset(sides.from);
      CHECK((rig.TakeUntilBroken(sides.to) == sent));
      CHECK(rig.relay.client_broken() == sides.client);
      CHECK(rig.relay.target_broken() == !sides.client);
      CHECK(rig.relay.half_closed());
    }
  }
}

TEST_CASE("relay: the bytes of a side that resets are delivered to a slow reader") {
  for (const auto way : kBothWays) {
    RelayRig probe;
    const bool from_client = way(probe).client;
    RelayRig rig(from_client ? kWide : kNarrow, from_client ? kNarrow : kWide);
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    const std::string sent = rig.SendMuch(sides.from, Pattern(500'000));
    unit::Reset(sides.from);
    REQUIRE(WaitUntil([&] {
      rig.Go();
      return !rig.Look(5ms);
    }));
    CHECK_FALSE(rig.over());
    CHECK((rig.TakeUntilBroken(sides.to) == sent));
  }
}

TEST_CASE("relay: a reset drops the bytes that were on their way to that side") {
  for (const auto way : kBothWays) {
    for (const bool bulk : {false, true}) {
      RelayRig probe;
      const bool from_client = way(probe).client;
      RelayRig rig(from_client ? kNarrow : kWide, from_client ? kWide : kNarrow);
      const Sides sides = way(rig);  // `from` resets while `to` sends
      CAPTURE(sides.client);
      rig.SendMuch(sides.to, Pattern(bulk ? 1'000'000 : 100'000));
      REQUIRE(rig.tools.pending_buffers.lent() + rig.tools.pipes.lent() > 0);
      unit::AbortNow(sides.from);
      CHECK(WaitUntil([&] { return rig.Go() == Progress::kBroken; }));
      CHECK(rig.relay.client_broken() == sides.client);
      CHECK(rig.relay.target_broken() == !sides.client);
      CHECK(rig.tools.pending_buffers.lent() + rig.tools.pipes.lent() == 0);
    }
  }
}

TEST_CASE("relay: after a reset that a write finds first, the bytes before it are delivered, and no clean end") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    SendTo(sides.from, "last words");
    unit::Reset(sides.from);
    // Both flows get the event before either reads: the write of these bytes consumes the socket's only error.
    SendTo(sides.to, "too late");
    unit::WaitUntilArrived(sides.to);
    CHECK(rig.TakeUntilBroken(sides.to) == "last words");
    CHECK(rig.relay.client_broken() == sides.client);
    CHECK(rig.relay.target_broken() == !sides.client);
  }
}

TEST_CASE("relay: a target that answers, closes and then resets breaks the relay after its answer and its end") {
  RelayRig rig;
  SendTo(rig.client(), "question");
  CHECK(rig.Take(rig.target(), 8) == "question");
  SendTo(rig.target(), "answer");
  rig.target().Close();
  REQUIRE(WaitFor(rig.target_side.near.get(), POLLRDHUP));

  SendTo(rig.client(), "more");
  CHECK(rig.TakeToEnd(rig.client()) == "answer");
  SendTo(rig.client(), "and more");
  CHECK(WaitUntil([&] { return rig.Go() == Progress::kBroken; }));
  CHECK(rig.relay.target_broken());
  CHECK_FALSE(rig.relay.client_broken());
}

TEST_CASE("relay: the answer of a target that closes and resets reaches a slow client whole") {
  RelayRig rig(kNarrow, kWide);
  const std::string answer = rig.SendMuch(rig.target(), Pattern(500'000));
  rig.target().Close();
  SendTo(rig.client(), "more");
  REQUIRE(WaitFor(rig.target_side.near.get(), POLLRDHUP));
  CHECK(WaitUntil([&] {  // the reset has arrived
    rig.Go();
    return WaitFor(rig.target_side.near.get(), POLLHUP, 0ms);
  }));
  std::string got = unit::Collect(
      rig.client(), [&] { rig.Go(); }, [&](const std::string& text) { return text.size() >= answer.size(); });
  CHECK((got == answer));
}

TEST_CASE("relay: a side that half-closes and then resets breaks the relay") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    SendTo(sides.from, "question");
    ShutdownSend(sides.from.get());
    CHECK(rig.TakeToEnd(sides.to) == "question");
    // It closes, which shows once something is sent to it.
    sides.from.Close();
    SendTo(sides.to, "answer");
    CHECK(WaitUntil([&] {
      rig.Go();
      return WaitFor((sides.client ? rig.client_side : rig.target_side).near.get(), POLLHUP, 0ms);
    }));
    // The other side sends nothing more, so the relay has only this edge.
    CHECK(WaitUntil([&] { return rig.Go() == Progress::kBroken; }));
    CHECK(rig.relay.client_broken() == sides.client);
  }
}

TEST_CASE("relay: more than a turn's quantum is unfinished, and needs no edge" *
          doctest::skip(unit::BufferBytesMax() < 2 * kTurnBytes + 100'000)) {
  for (const auto way : kBothWays) {
    RelayRig rig(kWide, kWide);
    const Sides sides = way(rig);
    const std::string much = Pattern(2 * kTurnBytes + 100'000);
    const Fd& near = (sides.client ? rig.client_side : rig.target_side).near;
    REQUIRE(unit::SendSome(sides.from.get(), much) == much.size());
    REQUIRE(WaitUntil([&] { return unit::Readable(near.get()) == much.size(); }));
    CHECK(rig.Go() == Progress::kUnfinished);
    while (rig.Step() == Progress::kUnfinished) {
    }
    CHECK((rig.Take(sides.to, much.size()) == much));
  }
}

TEST_CASE("relay: each direction takes no more than its allowance, and returns what is left") {
  RelayRig rig;
  SendTo(rig.client(), "question");
  SendTo(rig.target(), "a long answer");
  unit::WaitUntilArrived(rig.client());
  unit::WaitUntilArrived(rig.target());
  rig.Look();
  CHECK(rig.relay.wants_read().up);
  CHECK(rig.relay.wants_read().down);

  Allowance left{100, 6};
  CHECK(rig.Step(left) == Progress::kUnfinished);
  CHECK(left.up == 92);
  CHECK(left.down == 0);
  CHECK_FALSE(rig.relay.unfinished().up);
  CHECK(rig.relay.unfinished().down);
  CHECK_FALSE(rig.relay.wants_read().up);

  left = {100, 0};
  CHECK(rig.Step(left) == Progress::kUnfinished);
  CHECK(left.up == 100);
  left = {0, 100};
  CHECK(rig.Step(left) == Progress::kWaiting);
  CHECK(left.down == 93);
  CHECK(rig.Take(rig.target(), 8) == "question");
  CHECK(rig.Take(rig.client(), 13) == "a long answer");
}

TEST_CASE("relay: a direction with an allowance of 0 ends when its sink breaks") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    // `from` sends, is throttled, and `to` resets: there is no receiver any more.
    SendTo(sides.from, "held back");
    unit::WaitUntilArrived(sides.from);
    unit::AbortNow(sides.to);
    CHECK(WaitUntil([&] {
      rig.Look();
      Allowance left = kAnyAllowance;
      (sides.client ? left.up : left.down) = 0;
      return rig.Step(left) == Progress::kBroken;
    }));
    CHECK(rig.relay.target_broken() == sides.client);
  }
}

TEST_CASE("relay: the throttled bytes of a side that resets are delivered, and no end") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    CAPTURE(sides.client);
    SendTo(sides.from, "last words");
    unit::Reset(sides.from);
    REQUIRE(WaitFor((sides.client ? rig.client_side : rig.target_side).near.get(), POLLHUP));
    rig.Look();
    for (int i = 0; i < 5; ++i) {
      Allowance left{2, 2};
      CHECK(rig.Step(left) == Progress::kUnfinished);
      CHECK((sides.client ? left.up : left.down) == 0);
    }
    CHECK(rig.TakeUntilBroken(sides.to) == "last words");
    CHECK(rig.relay.client_broken() == sides.client);
  }
}

TEST_CASE("relay: a clean end waits for the throttled bytes before it, too") {
  for (const auto way : kBothWays) {
    RelayRig rig;
    const Sides sides = way(rig);
    SendTo(sides.from, "last words");
    ShutdownSend(sides.from.get());
    REQUIRE(WaitFor((sides.client ? rig.client_side : rig.target_side).near.get(), POLLRDHUP));
    rig.Look();
    for (int i = 0; i < 5; ++i) {
      Allowance left{2, 2};
      CHECK(rig.Step(left) == Progress::kUnfinished);
    }
    CHECK(rig.TakeToEnd(sides.to) == "last words");
    CHECK(rig.progress == Progress::kWaiting);
  }
}

}  // namespace
}  // namespace penstock
