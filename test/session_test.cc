// What of a session can be seen without one; what sessions do is in test/gateway.
#include "penstock/session.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/rig.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using socks5::Reply;

TEST_CASE("session: each fault of connecting has its reply") {
  const struct {
    Fault fault;
    Reply reply;
  } rows[] = {
      {Fault::kNone, Reply::kSucceeded},
      {Fault::kRefused, Reply::kConnectionRefused},
      {Fault::kReset, Reply::kConnectionRefused},
      {Fault::kNetworkUnreachable, Reply::kNetworkUnreachable},
      {Fault::kHostUnreachable, Reply::kHostUnreachable},
      {Fault::kTimedOut, Reply::kTtlExpired},
      {Fault::kDenied, Reply::kNotAllowed},
      {Fault::kNoFamily, Reply::kAddressTypeNotSupported},
      {Fault::kExhausted, Reply::kGeneralFailure},
      {Fault::kOther, Reply::kGeneralFailure},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.fault));
    CHECK(ReplyFor(row.fault) == row.reply);
  }
}

TEST_CASE("session: every end has a word of its own") {
  using End = Session::End;
  std::vector<std::string_view> seen;
  for (const End end : {End::kNone, End::kClosed, End::kReset, End::kRefused, End::kBadRequest, End::kClientLeft,
                        End::kHandshakeExpired, End::kIdle, End::kStopped, End::kExhausted}) {
    const std::string_view word = Describe(end);
    CHECK_FALSE(word.empty());
    CHECK(word.find(' ') == std::string_view::npos);
    CHECK(std::ranges::find(seen, word) == seen.end());
    seen.push_back(word);
  }
}

TEST_CASE("session: idleness is looked for often enough to keep its deadline, and not more often") {
  Settings settings;
  const auto check_interval = [&](std::chrono::milliseconds half_close, std::chrono::milliseconds idle) {
    settings.half_close_timeout = half_close;
    settings.idle_timeout = idle;
    return SessionDeadlines(settings).relay_check.duration();
  };
  CHECK(check_interval(10min, 2h) == 30s);
  CHECK(check_interval(40s, 2h) == 10s);
  CHECK(check_interval(2h, 40s) == 10s);
  CHECK(check_interval(1ms, 1ms) == 10ms);
}

TEST_CASE("session: the other deadlines are as the settings say") {
  Settings settings;
  settings.handshake_timeout = 123ms;
  settings.connect_timeout = 456ms;
  settings.bind_timeout = 789ms;
  const SessionDeadlines deadlines(settings);
  CHECK(deadlines.handshake.duration() == 123ms);
  CHECK(deadlines.connect.duration() == 456ms);
  CHECK(deadlines.bind.duration() == 789ms);
  CHECK(deadlines.attempt_delay.duration() == kAttemptDelay);
  CHECK(deadlines.linger.duration() == 123ms);  // a refused client has no longer than one that is heard
  CHECK(deadlines.reset_poll.duration() == kResetPollInterval);
  settings.handshake_timeout = 10min;
  CHECK(SessionDeadlines(settings).linger.duration() == kLingerMax);
}

TEST_CASE("session: every queue of deadlines is among those that are looked at") {
  const SessionDeadlines deadlines{Settings()};
  for (const DeadlineQueue* queue :
       {&deadlines.handshake, &deadlines.connect, &deadlines.bind, &deadlines.attempt_delay, &deadlines.relay_check,
        &deadlines.linger, &deadlines.reset_poll}) {
    CHECK(std::ranges::find(deadlines.all, queue) != deadlines.all.end());
  }
}

// A session with all that a worker would lend it, and the worker's part of a turn.
struct Rig {
  Rig() { REQUIRE(session.Begin(session_tools)); }
  ~Rig() { session.Finish(session_tools); }

  void Turn() {
    const int count = poller.Wait(10ms);
    for (int i = 0; i < count; ++i) {
      const auto [cookie, events] = poller.At(i);
      if (cookie.tag == kTagClient) session.OnClient(events, session_tools);
      if (cookie.tag >= kTagTarget) session.OnTarget(cookie.tag - kTagTarget, events, session_tools);
    }
  }

  Settings settings;
  Fd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null.get(), LogLevel::kError};
  unit::Tools tools;
  Poller poller;
  Guard guard{tools.clock};
  Resolver resolver{settings.names, poller, tools.clock, tools.counters, kTagNames};
  Slab<Handshake> handshakes{1};
  AssociationPool associations{1};
  SessionDeadlines deadlines{settings};
  LogPace complaints;
  SessionTools session_tools{settings,   guard,        log,       poller,     resolver,
                             handshakes, associations, deadlines, complaints, tools.All()};
  unit::Pair client = unit::TcpPair();
  Session session{Handle{0, 0}, std::move(client.near), LocalEndpoint(client.far.get()), tools.clock.now()};
};

TEST_CASE("session: an attempt that lost says nothing about the target") {
  Rig rig;
  const Fd listener = unit::MustListen(unit::At("127.0.0.1:0"));
  const std::uint16_t port = LocalEndpoint(listener.get()).port;
  const std::string handshake{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, static_cast<char>(port >> 8), static_cast<char>(port)};
  REQUIRE(unit::SendSome(rig.client.far.get(), handshake) == handshake.size());
  REQUIRE(unit::WaitUntil([&] {
    rig.Turn();
    return rig.session.state() == Session::State::kRelay;
  }));
  Accepted target = Accept(listener.get());
  REQUIRE(target.socket.valid());

  rig.session.OnTarget(1, {.readable = true, .writable = true, .closing = true, .broken = true}, rig.session_tools);
  ShutdownSend(target.socket.get());  // the target has finished sending, and goes on reading
  REQUIRE(unit::WaitUntil([&] {
    rig.Turn();
    return unit::WaitFor(rig.client.far.get(), POLLRDHUP, 0ms);
  }));
  const auto upload = [&] { rig.Turn(); };
  REQUIRE(unit::SendSome(rig.client.far.get(), "upload") == 6);
  CHECK(unit::Collect(target.socket, upload, [](const std::string& text) { return text.size() >= 6; }) == "upload");
}

}  // namespace
}  // namespace penstock
