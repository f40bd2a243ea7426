// Unit tests of the session without a gateway; test/gateway has the scenarios.
#include "penstock/session/session.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/dns/resolver.h"
#include "test/support/rig.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// A session with everything that a worker lends it, and the worker's part of a turn.
struct SessionRig {
  explicit SessionRig(Settings chosen = {}) : settings(std::move(chosen)) { REQUIRE(session.Begin(session_tools)); }
  ~SessionRig() {
    session.Stop();
    session.Finish(session_tools);
  }

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
  NameFiles name_files{settings.names.resolv_conf, settings.names.hosts_file};
  Resolver resolver{settings.names, name_files, poller, tools.clock, tools.counters, kTagNames};
  Slab<Handshake> handshakes{1};
  AssociationPool associations{1, kTagDatagramName};
  Slab<Throttle> throttles{1};
  FairShares further_attempts{1};
  PortPool ports{PortRange()};
  Accounts accounts;
  Meters meters{accounts};
  SessionDeadlines deadlines{settings};
  LogPace warnings;
  WakeUp wake;
  LoginMailbox login_answers{wake};
  Logins logins{1};
  Gauges gauges;
  SessionTools session_tools{.settings = settings,
                             .policy = &settings.policy,
                             .guard = guard,
                             .log = log,
                             .poller = poller,
                             .resolver = resolver,
                             .handshakes = handshakes,
                             .associations = associations,
                             .throttles = throttles,
                             .further_attempts = further_attempts,
                             .bind_ports = ports,
                             .udp_ports = ports,
                             .deadlines = deadlines,
                             .warnings = warnings,
                             .meters = meters,
                             .logins = logins,
                             .login_answers = login_answers,
                             .gauges = gauges,
                             .flow = tools.All()};
  unit::Pair client = unit::TcpPair();
  Session session{Handle{0, 0}, std::move(client.near), LocalEndpoint(client.far.get()), Admission::kUncounted,
                  tools.clock.now()};
};

TEST_CASE("session: events of a losing attempt do not affect the target") {
  SessionRig rig;
  const Fd listener = unit::MustListen(unit::At("127.0.0.1:0"));
  const std::uint16_t port = LocalEndpoint(listener.get()).port;
  const std::string handshake{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, static_cast<char>(port >> 8), static_cast<char>(port)};
  REQUIRE(unit::SendSome(rig.client.far.get(), handshake) == handshake.size());
  REQUIRE(unit::WaitUntil([&] {
    rig.Turn();
    return rig.session.state() == Session::State::kRelay;
  }));
  REQUIRE(unit::WaitFor(listener.get(), POLLIN));  // the connection may reach the backlog later
  Accepted target = Accept(listener.get());
  REQUIRE(target.socket.valid());

  rig.session.OnTarget(1, {.readable = true, .writable = true, .closing = true, .broken = true}, rig.session_tools);
  ShutdownSend(target.socket.get());  // the target half-closes and still reads
  REQUIRE(unit::WaitUntil([&] {
    rig.Turn();
    return unit::WaitFor(rig.client.far.get(), POLLRDHUP, 0ms);
  }));
  const auto upload = [&] { rig.Turn(); };
  REQUIRE(unit::SendSome(rig.client.far.get(), "upload") == 6);
  CHECK(unit::Collect(target.socket, upload, [](const std::string& text) { return text.size() >= 6; }) == "upload");
}

TEST_CASE("session: no password is left in the buffer of a handshake") {
  Users::Draft draft{DigestKey{}};
  std::string error;
  REQUIRE(draft.AddPair(SecretView("alice:open-sesame"), "--user", &error));
  Settings settings;
  settings.policy.users = draft.Finish();
  SessionRig rig(std::move(settings));
  const Handshake* const handshake = rig.handshakes.Resolve({0, 0});
  REQUIRE(handshake != nullptr);
  const std::string_view memory(reinterpret_cast<const char*>(handshake), sizeof *handshake);

  const std::string sent = std::string("\5\1\2\1\5alice\x0b", 11) + "open-sesame" + std::string("\5\1\0\1\x7f", 5);
  REQUIRE(unit::SendSome(rig.client.far.get(), sent.substr(0, 20)) == 20);
  REQUIRE(unit::WaitUntil([&] {
    rig.Turn();
    return rig.session.state() == Session::State::kAuth;
  }));
  CHECK(memory.find("open-sesa") != std::string_view::npos);  // it is there while it is incomplete
  REQUIRE(unit::SendSome(rig.client.far.get(), sent.substr(20)) == sent.size() - 20);
  REQUIRE(unit::WaitUntil([&] {
    rig.Turn();
    return rig.session.state() == Session::State::kRequest;
  }));
  CHECK(memory.find("sesa") == std::string_view::npos);
  CHECK(memory.find(std::string_view("\5\1\0\1\x7f", 5)) != std::string_view::npos);
}

}  // namespace
}  // namespace penstock
