#include "penstock/relay/flow.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string>

#include <doctest/doctest.h>

#include "test/support/rig.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using unit::Bytes;
using unit::kNarrow;
using unit::kWide;
using unit::Pair;
using unit::Pattern;
using unit::TcpPair;
using unit::WaitFor;
using unit::WaitUntil;

constexpr Events kReadable{.readable = true};
constexpr Events kWritable{.writable = true};

// One flow: what `giver` sends can be read from `source`, and what is written to `sink` arrives at `taker`.
struct FlowRig {
  explicit FlowRig(int in_bytes = 0, int out_bytes = 0, std::size_t pending_buffers_max = 8, bool sink_delays = false)
      : tools(pending_buffers_max), in(TcpPair(in_bytes)), out(TcpPair(out_bytes)), flow(sink_delays) {
    REQUIRE(poller.Add(source(), {0, {}}));
    REQUIRE(poller.Add(sink(), {1, {}}));
    Look();
  }
  ~FlowRig() { flow.Release(tools.All()); }

  int source() const { return in.near.get(); }
  int sink() const { return out.near.get(); }
  Fd& giver() { return in.far; }
  Fd& taker() { return out.far; }

  // Passes the poller's events to the flow, after a wait of `timeout` at most. True if there were any.
  bool Look(std::chrono::nanoseconds timeout = 0ns) {
    const int count = poller.Wait(timeout);
    for (int i = 0; i < count; ++i) {
      const Poller::Event event = poller.At(i);
      event.cookie.tag == 0 ? flow.OnSource(event.events) : flow.OnSink(event.events);
    }
    return count > 0;
  }
  std::size_t Step(std::size_t allowance = kNoLimit) { return flow.Step(source(), sink(), allowance, tools.All()); }
  void StepWithoutPipes() { flow.Step(source(), sink(), kNoLimit, tools.NoPipes()); }
  void Turn() {
    Look();
    Step();
  }

  // Sends `text`, waits until it has arrived, and runs a turn.
  void Pass(std::string_view text) {
    REQUIRE(unit::SendSome(giver().get(), text) == text.size());
    unit::WaitUntilArrived(giver());
    Turn();
  }
  void Finish() {
    ShutdownSend(giver().get());
    REQUIRE(WaitFor(source(), POLLRDHUP));
  }
  void Break() {
    unit::Reset(giver());
    REQUIRE(WaitFor(source(), POLLHUP));
  }

  // Sends until the flow holds bytes because the sink is full; the source's buffer is not full. Returns what was sent.
  std::string FillUntilHeld() {
    const std::string much = Pattern(kWide);
    std::size_t sent = 0;
    while (tools.pending_buffers.lent() + tools.pipes.lent() == 0 || Look(1ms)) {
      Pass(std::string_view(much).substr(sent, 4 * kCopyBytes));
      sent += 4 * kCopyBytes;
    }
    return much.substr(0, sent);
  }

  // Makes the flow change to splice, and receives the bytes that this takes.
  void MakeBulk() {
    Pass(Pattern(2 * kCopyBytes));
    Take(2 * kCopyBytes);
  }

  // Receives until `size` bytes have arrived.
  std::string Take(std::size_t size) {
    return unit::Collect(
        taker(), [&] { Turn(); }, [&](const std::string& text) { return text.size() >= size; });
  }
  // Receives until the flow is over.
  std::string TakeAll() {
    std::string text = unit::Collect(
        taker(), [&] { Turn(); }, [&](const std::string&) { return !flow.open(); });
    unit::WaitUntilArrived(out.near);
    return text + unit::ReceiveSome(taker().get());
  }

  // True if the flow splices: without pipes its next read is counted as one whose pipe is missing.
  bool IsBulk() {
    const std::uint64_t before = tools.counters.pipes_missing.value();
    REQUIRE(unit::SendSome(giver().get(), "?") == 1);
    unit::WaitUntilArrived(giver());
    Look();
    StepWithoutPipes();
    Take(1);
    return tools.counters.pipes_missing.value() > before;
  }

  unit::Tools tools;
  Pair in, out;
  Poller poller;
  Flow flow;
};

TEST_CASE("flow: messages are passed on in order, each byte once") {
  FlowRig rig;
  std::string all;
  for (int i = 0; i < 50; ++i) {
    const std::string message = Pattern(static_cast<std::size_t>(1 + i * i));
    rig.Pass(message);
    CHECK(rig.flow.bytes() == all.size() + message.size());
    CHECK(rig.Take(message.size()) == message);
    all += message;
  }
  CHECK(rig.flow.open());
  CHECK_FALSE(rig.flow.unfinished());
  rig.Finish();
  CHECK(rig.TakeAll().empty());
  CHECK(rig.flow.state() == FlowState::kEnded);
  CHECK(rig.flow.bytes() == all.size());
}

TEST_CASE("flow: after a short read the end that an edge has reported is not read") {
  FlowRig rig;
  REQUIRE(unit::SendSome(rig.giver().get(), "last") == 4);
  unit::WaitUntilArrived(rig.giver());
  // The source has not ended: a read for the end would return EAGAIN, and the flow would stay open.
  rig.flow.OnSource({.readable = true, .closing = true});
  CHECK(rig.Step() == 4);
  CHECK(rig.flow.state() == FlowState::kEnded);
  CHECK(rig.TakeAll() == "last");
}

TEST_CASE("flow: a sink that delays small segments gets TCP_NODELAY before the second send") {
  FlowRig rig(0, 0, 8, true);
  const auto delays = [&] {
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    REQUIRE(::getsockopt(rig.sink(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size) == 0);
    return no_delay == 0;
  };
  const int off = 0;
  REQUIRE(::setsockopt(rig.sink(), IPPROTO_TCP, TCP_NODELAY, &off, sizeof off) == 0);
  rig.Pass("one");
  CHECK(delays());
  rig.Pass("two");
  CHECK_FALSE(delays());
  CHECK(rig.Take(6) == "onetwo");
}

TEST_CASE("flow: a large transfer is passed on whole") {
  for (const int buffer : {kNarrow, 0, kWide}) {
    CAPTURE(buffer);
    FlowRig rig(buffer, buffer);
    const std::string much = Pattern(buffer == kNarrow ? 300'000 : 6'000'000);
    std::size_t sent = 0;
    std::string got = unit::Collect(
        rig.taker(),
        [&] {
          sent += unit::SendSome(rig.giver().get(), std::string_view(much).substr(sent));
          if (sent == much.size()) ShutdownSend(rig.giver().get());
          rig.Turn();
        },
        [&](const std::string&) { return !rig.flow.open(); });
    got += rig.TakeAll();
    CHECK(rig.flow.state() == FlowState::kEnded);
    CHECK(got.size() == much.size());
    CHECK((got == much));
    CHECK(rig.flow.bytes() == much.size());
  }
}

TEST_CASE("flow: without an edge nothing is read") {
  FlowRig rig;
  REQUIRE(Send(rig.giver().get(), Bytes("abc")).bytes == 3);
  unit::WaitUntilArrived(rig.giver());
  rig.Step();  // no event was passed to the flow
  CHECK(rig.flow.bytes() == 0);
  rig.Turn();
  CHECK(rig.flow.bytes() == 3);
}

TEST_CASE("flow: a short read clears the latch, so later bytes need a new edge") {
  FlowRig rig;
  rig.Pass("abc");
  REQUIRE(Send(rig.giver().get(), Bytes("def")).bytes == 3);
  unit::WaitUntilArrived(rig.giver());
  rig.Step();
  CHECK(rig.flow.bytes() == 3);
  rig.Turn();
  CHECK(rig.flow.bytes() == 6);
}

TEST_CASE("flow: a latch that is wrongly true is harmless") {
  FlowRig rig(kWide, kNarrow);
  rig.flow.OnSource(kReadable);
  rig.Step();
  CHECK(rig.flow.open());
  CHECK(rig.flow.bytes() == 0);

  const std::string sent = rig.FillUntilHeld();
  const std::uint64_t before = rig.flow.bytes();
  rig.flow.OnSource(kReadable);
  rig.flow.OnSink(kWritable);
  rig.Step();
  CHECK(rig.flow.open());
  CHECK(rig.flow.bytes() >= before);
  CHECK((rig.Take(sent.size()) == sent));
}

TEST_CASE("flow: bytes and an end in one event are read to the end in one turn") {
  FlowRig rig;
  REQUIRE(Send(rig.giver().get(), Bytes("last words")).bytes == 10);
  rig.Finish();
  rig.Turn();
  CHECK(rig.flow.state() == FlowState::kEnded);
  CHECK(rig.TakeAll() == "last words");
}

TEST_CASE("flow: an end whose event follows that of the bytes ends the flow then") {
  FlowRig rig;
  REQUIRE(Send(rig.giver().get(), Bytes("last words")).bytes == 10);
  rig.Finish();
  rig.flow.OnSource(kReadable);  // the event of the bytes alone
  rig.Step();
  CHECK(rig.flow.bytes() == 10);
  CHECK(rig.flow.open());
  rig.Turn();
  CHECK(rig.flow.state() == FlowState::kEnded);
}

TEST_CASE("flow: an end without bytes ends the flow, whether it copies, splices or peeks") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig;
    if (bulk) rig.MakeBulk();
    rig.Finish();
    rig.Turn();
    CHECK(rig.flow.state() == FlowState::kEnded);
  }
  FlowRig peeking(0, 0, 0);
  peeking.Finish();
  peeking.Turn();
  CHECK(peeking.flow.state() == FlowState::kEnded);
}

TEST_CASE("flow: bytes that a full sink does not take are held, and no more are read until they are sent") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig(kWide, kNarrow);
    if (bulk) rig.MakeBulk();
    const std::uint64_t before = rig.flow.bytes();
    const std::string sent = rig.FillUntilHeld();
    CHECK(rig.tools.pending_buffers.lent() + rig.tools.pipes.lent() == 1);

    const std::size_t unread = unit::Readable(rig.source());
    const std::uint64_t delivered = rig.flow.bytes();
    rig.flow.OnSource(kReadable);
    rig.Step();
    CHECK(unit::Readable(rig.source()) == unread);
    CHECK(rig.flow.bytes() == delivered);
    CHECK(rig.flow.open());

    CHECK((rig.Take(sent.size()) == sent));
    CHECK(rig.flow.bytes() == before + sent.size());
    CHECK(rig.tools.pending_buffers.lent() + rig.tools.pipes.lent() == 0);
  }
}

TEST_CASE("flow: it ends only once the sink has taken everything") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig(kWide, kNarrow);
    if (bulk) rig.MakeBulk();
    const std::string sent = rig.FillUntilHeld();
    rig.Finish();
    rig.Turn();
    CHECK(rig.flow.open());
    CHECK((rig.TakeAll() == sent));
    CHECK(rig.flow.state() == FlowState::kEnded);
  }
}

TEST_CASE("flow: full copies in a row make it splice; with short copies between them it copies") {
  SUBCASE("two full copies") {
    FlowRig rig(kWide, kWide);
    const std::string much = Pattern(2 * kCopyBytes);
    REQUIRE(unit::SendSome(rig.giver().get(), much) == much.size());
    unit::WaitUntilArrived(rig.giver());
    rig.Look();
    rig.StepWithoutPipes();
    CHECK(rig.tools.counters.pipes_missing.value() > 0);  // the third read needed a pipe
    CHECK((rig.Take(much.size()) == much));
    CHECK(rig.IsBulk());
  }
  SUBCASE("full and short copies alternate") {
    FlowRig rig(kWide, kWide);
    for (int i = 0; i < 4; ++i) {
      rig.Pass(Pattern(kCopyBytes + 1));
      rig.Take(kCopyBytes + 1);
    }
    CHECK_FALSE(rig.IsBulk());
  }
}

TEST_CASE("flow: a run of small splices makes it copy again; a large splice ends the run") {
  SUBCASE("eight small splices") {
    FlowRig rig(kWide, kWide);
    rig.MakeBulk();
    for (int i = 0; i < 8; ++i) {
      rig.Pass("small");
      CHECK(rig.Take(5) == "small");
    }
    CHECK_FALSE(rig.IsBulk());
    CHECK(rig.tools.pipes.lent() == 0);
    CHECK(rig.tools.pipes.idle() == 1);
  }
  SUBCASE("seven small splices, a large one, and seven small ones") {
    FlowRig rig(kWide, kWide);
    rig.MakeBulk();
    for (int i = 0; i < 15; ++i) {
      const std::string message = Pattern(i == 7 ? kCopyBytes : 5);
      rig.Pass(message);
      CHECK(rig.Take(message.size()) == message);
    }
    CHECK(rig.IsBulk());
  }
}

TEST_CASE("flow: a pipe is lent only while bytes are inside") {
  FlowRig rig(kWide, kWide);
  rig.MakeBulk();
  rig.Pass(Pattern(100'000));
  CHECK(rig.tools.pipes.lent() == 0);
  CHECK(rig.tools.pipes.idle() == 1);
  rig.Turn();  // nothing new
  CHECK(rig.tools.pipes.lent() == 0);
}

TEST_CASE("flow: without a pipe it copies, and counts the missing pipe") {
  FlowRig rig(kWide, kWide);
  rig.MakeBulk();
  const std::string much = Pattern(500'000);
  REQUIRE(unit::SendSome(rig.giver().get(), much) == much.size());
  unit::WaitUntilArrived(rig.giver());
  rig.Look();
  rig.StepWithoutPipes();
  CHECK(rig.tools.counters.pipes_missing.value() > 0);
  const std::string got = unit::Collect(
      rig.taker(),
      [&] {
        rig.Look();
        rig.StepWithoutPipes();
      },
      [&](const std::string& text) { return text.size() >= much.size(); });
  CHECK((got == much));
  CHECK(rig.tools.pipes.idle() <= 1);
}

TEST_CASE("flow: without pending buffers it takes from the source only what the sink has taken") {
  FlowRig rig(kNarrow, kNarrow, 0);
  const std::string much = Pattern(200'000);
  std::size_t sent = 0;
  REQUIRE(WaitUntil([&] {  // until no more bytes move
    sent += unit::SendSome(rig.giver().get(), std::string_view(much).substr(sent));
    rig.Look();
    rig.StepWithoutPipes();
    return !rig.Look(5ms) && sent < much.size() && rig.flow.bytes() > 0;
  }));
  CHECK(rig.flow.open());
  const std::size_t unread = unit::Readable(rig.source());
  CHECK(unread > 0);

  std::string got = unit::Collect(
      rig.taker(),
      [&] {
        sent += unit::SendSome(rig.giver().get(), std::string_view(much).substr(sent));
        if (sent == much.size()) ShutdownSend(rig.giver().get());
        rig.Look();
        rig.StepWithoutPipes();
      },
      [&](const std::string&) { return !rig.flow.open(); });
  got += rig.TakeAll();
  CHECK((got == much));
  CHECK(rig.flow.state() == FlowState::kEnded);
  CHECK(rig.flow.bytes() == much.size());
}

TEST_CASE("flow: without pending buffers a reset still follows the bytes before it") {
  FlowRig rig(0, 0, 0);
  REQUIRE(Send(rig.giver().get(), Bytes("last words")).bytes == 10);
  rig.Break();
  CHECK(rig.TakeAll() == "last words");
  CHECK(rig.flow.state() == FlowState::kBroken);
}

TEST_CASE("flow: after a reset of the source it is broken once the sink has taken the earlier bytes") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig(kWide, kNarrow);
    if (bulk) rig.MakeBulk();
    const std::string sent = rig.FillUntilHeld();
    rig.Break();
    rig.Turn();
    CHECK(rig.flow.open());  // the sink is full
    CHECK((rig.TakeAll() == sent));
    CHECK(rig.flow.state() == FlowState::kBroken);
  }
}

TEST_CASE("flow: after a few bytes and a reset of the source it is broken in the same turn") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig;
    if (bulk) rig.MakeBulk();
    REQUIRE(Send(rig.giver().get(), Bytes("last words")).bytes == 10);
    rig.Break();
    rig.Turn();
    CHECK(rig.flow.state() == FlowState::kBroken);
    CHECK(rig.TakeAll() == "last words");
  }
}

TEST_CASE("flow: a broken sink abandons it, and what was lent is returned") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig(kWide, kNarrow);
    if (bulk) rig.MakeBulk();
    const std::size_t idle = rig.tools.pipes.idle();
    rig.FillUntilHeld();
    const bool in_pipe = rig.tools.pipes.lent() == 1;
    unit::AbortNow(rig.taker());
    REQUIRE(WaitFor(rig.sink(), POLLHUP));
    rig.Turn();
    CHECK(rig.flow.state() == FlowState::kAbandoned);
    CHECK(rig.tools.pending_buffers.lent() == 0);
    CHECK(rig.tools.pipes.lent() == 0);
    CHECK(rig.tools.pipes.idle() == (in_pipe && idle > 0 ? idle - 1 : idle));  // one with bytes inside is closed
    if (bulk) CHECK(in_pipe);
    rig.Turn();
    CHECK(rig.flow.state() == FlowState::kAbandoned);
  }
}

TEST_CASE("flow: an idle sink that breaks abandons it at the next bytes") {
  for (const std::size_t pending_buffers : {8U, 0U}) {
    FlowRig rig(0, 0, pending_buffers);
    unit::Reset(rig.taker());
    REQUIRE(WaitFor(rig.sink(), POLLHUP));
    rig.Pass("nobody reads this");
    CHECK(rig.flow.state() == FlowState::kAbandoned);
  }
}

TEST_CASE("flow: Abandon drops what it holds, and does not change a final state") {
  FlowRig rig(kWide, kNarrow);
  rig.FillUntilHeld();
  rig.flow.Abandon(rig.tools.All());
  CHECK(rig.flow.state() == FlowState::kAbandoned);
  CHECK(rig.tools.pending_buffers.lent() + rig.tools.pipes.lent() == 0);

  FlowRig ended;
  ended.Finish();
  ended.Turn();
  ended.flow.Abandon(ended.tools.All());
  CHECK(ended.flow.state() == FlowState::kEnded);
}

TEST_CASE("flow: Release returns what it holds; a pipe with bytes inside is closed") {
  FlowRig rig(kWide, kNarrow);
  rig.MakeBulk();
  rig.FillUntilHeld();
  REQUIRE(rig.tools.pipes.lent() == 1);
  const std::size_t idle = rig.tools.pipes.idle();
  rig.flow.Release(rig.tools.All());
  CHECK(rig.tools.pipes.lent() == 0);
  CHECK(rig.tools.pipes.idle() == idle);
}

TEST_CASE("flow: a turn moves its quantum and reports that it is unfinished" *
          doctest::skip(unit::BufferBytesMax() < 2 * kTurnBytes + 100'000)) {
  FlowRig rig(kWide, kWide);
  const std::string much = Pattern(2 * kTurnBytes + 100'000);
  REQUIRE(unit::SendSome(rig.giver().get(), much) == much.size());
  REQUIRE(WaitUntil([&] { return unit::Readable(rig.source()) == much.size(); }));
  rig.Look();
  int turns = 0;
  std::uint64_t before = 0;
  do {  // without an edge in between, which unfinished flows do not need
    rig.Step();
    CHECK(rig.flow.bytes() - before <= kTurnBytes + kSpliceBytes);
    before = rig.flow.bytes();
    ++turns;
  } while (rig.flow.unfinished());
  CHECK(turns >= 2);
  CHECK((rig.Take(much.size()) == much));
  CHECK_FALSE(rig.flow.unfinished());
}

TEST_CASE("flow: early bytes are sent first") {
  FlowRig rig;
  REQUIRE(Send(rig.giver().get(), Bytes(" then the rest")).bytes == 14);
  unit::WaitUntilArrived(rig.giver());
  REQUIRE(rig.flow.SendEarly(rig.sink(), Bytes("early"), rig.tools.All()));
  CHECK(rig.flow.bytes() == 5);
  CHECK(rig.Take(19) == "early then the rest");
}

TEST_CASE("flow: early bytes that the sink does not take yet are held") {
  FlowRig rig(kWide, kNarrow);
  std::string filler = Pattern(kWide);
  filler.resize(unit::SendSome(rig.sink(), filler));
  const std::string early = Pattern(kHandshakeBytes);
  REQUIRE(rig.flow.SendEarly(rig.sink(), Bytes(early), rig.tools.All()));
  CHECK(rig.flow.open());
  rig.Pass("rest");
  const std::string all = filler + early + "rest";
  CHECK((rig.Take(all.size()) == all));
}

TEST_CASE("flow: early bytes need a pending buffer only if the sink does not take them") {
  FlowRig rig(0, kNarrow, 0);
  CHECK(rig.flow.SendEarly(rig.sink(), {}, rig.tools.All()));
  CHECK(rig.flow.SendEarly(rig.sink(), Bytes("early"), rig.tools.All()));
  CHECK(rig.flow.bytes() == 5);
  // A full socket has room again once its bytes have moved into the buffer of the other side.
  CHECK(WaitUntil([&] {
    unit::SendSome(rig.sink(), Pattern(kWide));
    return !rig.flow.SendEarly(rig.sink(), Bytes("late"), rig.tools.All());
  }));
}

TEST_CASE("flow: early bytes for a broken sink abandon it") {
  FlowRig rig;
  unit::Reset(rig.taker());
  REQUIRE(WaitFor(rig.sink(), POLLHUP));
  CHECK(rig.flow.SendEarly(rig.sink(), Bytes("early"), rig.tools.All()));
  CHECK(rig.flow.state() == FlowState::kAbandoned);
}

TEST_CASE("flow: after OnSourceBroken an end of the source counts as a reset") {
  FlowRig rig;
  REQUIRE(Send(rig.giver().get(), Bytes("last words")).bytes == 10);
  rig.Finish();
  rig.flow.OnSourceBroken();
  rig.Step();  // no edge is needed
  CHECK(rig.flow.state() == FlowState::kBroken);
  CHECK(rig.TakeAll() == "last words");
}

TEST_CASE("flow: an urgent byte is a byte of the stream, in its place") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig(kWide, kWide);
    if (bulk) rig.MakeBulk();
    for (int i = 0; i < 3; ++i) {
      rig.Pass("ab");
      REQUIRE(::send(rig.giver().get(), "!", 1, MSG_OOB) == 1);
      REQUIRE(Send(rig.giver().get(), Bytes("cd")).bytes == 2);
      CHECK(rig.Take(5) == "ab!cd");
    }
    const std::string much = Pattern(100'000);
    REQUIRE(unit::SendSome(rig.giver().get(), much) == much.size());
    rig.Finish();
    CHECK((rig.TakeAll() == much));
    CHECK(rig.flow.state() == FlowState::kEnded);
  }
}

TEST_CASE("flow: bytes behind an urgent byte are not lost if the end arrives before its edge is passed on") {
  FlowRig rig(kWide, kWide);
  rig.MakeBulk();
  const std::string before = Pattern(100'000);
  REQUIRE(unit::SendSome(rig.giver().get(), before) == before.size());
  REQUIRE(::send(rig.giver().get(), "!", 1, MSG_OOB) == 1);
  REQUIRE(Send(rig.giver().get(), Bytes("tail")).bytes == 4);
  rig.Finish();
  REQUIRE(WaitFor(rig.source(), POLLRDHUP));
  rig.flow.OnSource({.readable = true});  // the only event so far
  rig.Step();
  CHECK((rig.TakeAll() == before + "!tail"));
  CHECK(rig.flow.state() == FlowState::kEnded);
}

TEST_CASE("flow: bytes around an urgent byte keep their order in one read") {
  for (const std::size_t pending_buffers : {8U, 0U}) {
    FlowRig rig(0, 0, pending_buffers);
    REQUIRE(Send(rig.giver().get(), Bytes("ab")).bytes == 2);
    REQUIRE(::send(rig.giver().get(), "!", 1, MSG_OOB) == 1);
    REQUIRE(Send(rig.giver().get(), Bytes("cd")).bytes == 2);
    rig.Finish();
    CHECK(rig.TakeAll() == "ab!cd");
    CHECK(rig.flow.state() == FlowState::kEnded);
  }
}

// The three ways to read from a source.
enum class Taking { kCopy, kSplice, kPeek };
constexpr Taking kTakings[] = {Taking::kCopy, Taking::kSplice, Taking::kPeek};

struct LimitedFlowRig : FlowRig {
  explicit LimitedFlowRig(Taking taking, int out_bytes = kWide)
      : FlowRig(kWide, out_bytes, taking == Taking::kPeek ? 0 : 8) {
    if (taking == Taking::kSplice) MakeBulk();
    before = flow.bytes();
  }
  void Send(std::string_view text) {
    REQUIRE(unit::SendSome(giver().get(), text) == text.size());
    unit::WaitUntilArrived(giver());
    Look();
  }
  std::uint64_t moved() const { return flow.bytes() - before; }

  std::uint64_t before = 0;
};

TEST_CASE("flow: no more is read than the allowance, and what is left needs no edge") {
  for (const Taking taking : kTakings) {
    for (const std::size_t allowance : {1U, 7U, 100U, 4096U, 16384U, 20000U}) {
      CAPTURE(static_cast<int>(taking));
      CAPTURE(allowance);
      LimitedFlowRig rig(taking);
      const std::string message = Pattern(std::min<std::size_t>(10 * allowance + 3, 100'000));
      rig.Send(message);
      std::size_t taken = 0;
      while (taken + allowance <= message.size()) {
        REQUIRE(rig.Step(allowance) == allowance);
        taken += allowance;
        CHECK(rig.moved() == taken);
        CHECK(rig.flow.unfinished());
        CHECK(rig.flow.wants_read());
      }
      CHECK(rig.Step(allowance) == message.size() - taken);
      CHECK_FALSE(rig.flow.unfinished());
      CHECK_FALSE(rig.flow.wants_read());
      CHECK((rig.Take(message.size()) == message));
    }
  }
}

TEST_CASE("flow: with an allowance of 0 nothing is read and nothing is lost") {
  for (const Taking taking : kTakings) {
    CAPTURE(static_cast<int>(taking));
    LimitedFlowRig rig(taking);
    CHECK(rig.Step(0) == 0);
    CHECK_FALSE(rig.flow.unfinished());  // there are no bytes
    rig.Send("message");
    CHECK(rig.flow.wants_read());
    for (int i = 0; i < 3; ++i) {
      CHECK(rig.Step(0) == 0);
      CHECK(rig.flow.unfinished());
      CHECK(unit::Readable(rig.source()) == 7);
    }
    CHECK(rig.Step() == 7);
    CHECK(rig.Take(7) == "message");
  }
}

TEST_CASE("flow: a read of exactly the allowance does not prove the source empty") {
  for (const Taking taking : kTakings) {
    CAPTURE(static_cast<int>(taking));
    LimitedFlowRig rig(taking);
    rig.Send("message");
    CHECK(rig.Step(7) == 7);
    CHECK(rig.flow.unfinished());  // there may be more
    CHECK(rig.Step(7) == 0);
    CHECK_FALSE(rig.flow.unfinished());  // now the source is known to be empty
    rig.Send("more");
    CHECK(rig.Step(7) == 4);
    CHECK_FALSE(rig.flow.unfinished());
    CHECK(rig.Take(11) == "messagemore");
  }
}

TEST_CASE("flow: an end or a reset keeps its place behind bytes that the allowance delayed") {
  for (const Taking taking : kTakings) {
    for (const bool broken : {false, true}) {
      CAPTURE(static_cast<int>(taking));
      CAPTURE(broken);
      LimitedFlowRig rig(taking);
      rig.Send("last words");
      broken ? rig.Break() : rig.Finish();
      rig.Look();
      CHECK(rig.Step(0) == 0);
      CHECK(rig.flow.unfinished());
      CHECK(rig.Step(4) == 4);
      CHECK(rig.flow.unfinished());
      CHECK(rig.Step(6) == 6);
      CHECK(rig.flow.open());  // the allowance was used up
      CHECK(rig.flow.unfinished());
      CHECK(rig.Step(0) == 0);
      CHECK(rig.flow.open());
      CHECK(rig.Step(1) == 0);
      CHECK(rig.flow.state() == (broken ? FlowState::kBroken : FlowState::kEnded));
      CHECK_FALSE(rig.flow.unfinished());
      CHECK(rig.TakeAll() == "last words");
    }
  }
}

TEST_CASE("flow: held bytes are already counted and are sent with an allowance of 0") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    FlowRig rig(kWide, kNarrow);
    if (bulk) rig.MakeBulk();
    const std::string sent = rig.FillUntilHeld();
    const std::size_t unread = unit::Readable(rig.source());
    std::string got = unit::Collect(
        rig.taker(),
        [&] {
          rig.Look();
          CHECK(rig.Step(0) == 0);
        },
        [&](const std::string& text) { return text.size() >= sent.size() - unread; });
    CHECK(rig.tools.pending_buffers.lent() + rig.tools.pipes.lent() == 0);
    CHECK((rig.flow.unfinished() || unread == 0));
    CHECK(unit::Readable(rig.source()) == unread);
    got += rig.Take(unread);
    CHECK((got == sent));
  }
}

TEST_CASE("flow: with a full sink it waits for the sink, not for an allowance") {
  FlowRig rig(kWide, kNarrow);
  rig.FillUntilHeld();
  rig.flow.OnSource(kReadable);
  CHECK_FALSE(rig.flow.wants_read());
  CHECK(rig.Step(100) == 0);
  CHECK_FALSE(rig.flow.unfinished());  // the sink's edge will wake it
}

TEST_CASE("flow: an allowance larger than the quantum does not make the turn longer" *
          doctest::skip(unit::BufferBytesMax() < 2 * kTurnBytes + 100'000)) {
  FlowRig rig(kWide, kWide);
  const std::string much = Pattern(2 * kTurnBytes + 100'000);
  REQUIRE(unit::SendSome(rig.giver().get(), much) == much.size());
  REQUIRE(WaitUntil([&] { return unit::Readable(rig.source()) == much.size(); }));
  rig.Look();
  CHECK(rig.Step(3 * kTurnBytes) <= kTurnBytes + kSpliceBytes);
  CHECK(rig.flow.unfinished());
  CHECK((rig.Take(much.size()) == much));
}

TEST_CASE("flow: under an allowance bulk is still spliced") {
  LimitedFlowRig rig(Taking::kSplice);
  const std::string message = Pattern(50'000);
  rig.Send(message);
  for (int i = 0; i < 20; ++i) CHECK(rig.Step(100) == 100);
  CHECK((rig.Take(message.size()) == message));
  CHECK(rig.IsBulk());

  LimitedFlowRig copying(Taking::kCopy);
  copying.Send(message);
  for (int i = 0; i < 2; ++i) CHECK(copying.Step(1500) == 1500);
  CHECK((copying.Take(message.size()) == message));
  CHECK(copying.IsBulk());
}

TEST_CASE("flow: under an allowance small messages are copied, too") {
  LimitedFlowRig rig(Taking::kSplice);
  for (int i = 0; i < 8; ++i) {
    rig.Send("small");
    CHECK(rig.Step(1500) == 5);
    CHECK(rig.Take(5) == "small");
  }
  CHECK_FALSE(rig.IsBulk());
}

TEST_CASE("flow: under an allowance an urgent byte is a byte of the stream, in its place") {
  for (const Taking taking : kTakings) {
    CAPTURE(static_cast<int>(taking));
    LimitedFlowRig rig(taking);
    REQUIRE(Send(rig.giver().get(), Bytes("ab")).bytes == 2);
    REQUIRE(::send(rig.giver().get(), "!", 1, MSG_OOB) == 1);
    REQUIRE(Send(rig.giver().get(), Bytes("cd")).bytes == 2);
    rig.Finish();
    std::string text = unit::Collect(
        rig.taker(),
        [&] {
          rig.Look();
          rig.Step(1);
        },
        [&](const std::string&) { return !rig.flow.open(); });
    CHECK(text + rig.TakeAll() == "ab!cd");
    CHECK(rig.flow.state() == FlowState::kEnded);
  }
}

}  // namespace
}  // namespace penstock
