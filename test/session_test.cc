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
  SessionTools session_tools{settings,   &settings.policy, guard,     log,        poller,     resolver,
                             handshakes, associations,     deadlines, complaints, tools.All()};
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
  REQUIRE(unit::WaitFor(listener.get(), POLLIN));  // connected is not yet waiting to be accepted
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
