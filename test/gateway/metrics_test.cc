// The text of /metrics of a gateway that has served clients. If PENSTOCK_METRICS names a directory, the texts are left
// there as files: test/clients/metrics has them checked by the programs of others.
#include "penstock/admin/metrics.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "penstock/os/clock.h"
#include "penstock/os/usage.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/udp_peer.h"
#include "test/support/wait.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("metrics");

TEST_CASE("metrics: the text has what clients have done, in both formats") {
  Settings settings = TestSettings();
  settings.workers = 2;
  settings.listen.push_back(kLoopback6);
  const TestGateway gateway(settings);
  const TargetListener listener;
  const ClosedPort closed;
  const UdpPeer udp_target;
  PingPong(gateway.Open(listener), 10);
  gateway.AnswerTo(ConnectRequest(closed.at()));
  gateway.AnswerTo(ConnectRequest("nothing.invalid", 1));
  UdpClient associated(gateway);
  associated.PingPong(udp_target, "ping");
  const auto open = gateway.Open(listener);
  CHECK(gateway.WaitForSessions(2));

  const Totals totals = gateway.server().Survey();
  const ProcessFacts facts{.version = "test",
                           .listening = gateway.server().listening(),
                           .sessions_max = gateway.server().settings().connections_max,
                           .workers = settings.workers,
                           .last_reload_succeeded = gateway.server().last_reload_succeeded(),
                           .last_reload_success = gateway.server().last_reload_success(),
                           .usage = ReadProcessUsage()};
  for (const bool openmetrics : {false, true}) {
    const std::string text = MetricsText(totals, facts, openmetrics);
    for (const char* line : {"penstock_sessions{state=\"relay\"} 1\n", "penstock_sessions{state=\"associated\"} 1\n",
                             "penstock_sessions_ended_total{reason=\"closed\"} 1\n",
                             "penstock_sessions_ended_total{reason=\"refused\"} 2\n",
                             "penstock_dns_lookups_total{source=\"hosts\",result=\"not-found\"} 1\n",
                             "penstock_datagrams_total{direction=\"up\"} 1\n", "\npenstock_workers_missing 0\n",
                             "\npenstock_config_last_reload_successful 1\n", "\nprocess_open_fds "}) {
      CAPTURE(line);
      CHECK(text.find(line) != std::string::npos);
    }
    if (const char* const directory = std::getenv("PENSTOCK_METRICS")) {
      std::ofstream(std::string(directory) + (openmetrics ? "/openmetrics.txt" : "/metrics.txt")) << text;
    }
  }
}

TEST_CASE("metrics: a failed reload shows until one succeeds, whose time is kept") {
  const TestGateway gateway;
  Server& server = gateway.server();
  CHECK(server.last_reload_succeeded());
  const std::chrono::milliseconds start = server.last_reload_success();
  CHECK(start <= TimeOfDay());
  server.NoteFailedReload("why");
  CHECK_FALSE(server.last_reload_succeeded());
  CHECK(server.last_reload_error() == "why");
  CHECK(server.last_reload_success() == start);
  CHECK(WaitUntil([&] { return TimeOfDay() > start; }));
  server.Reload({});
  CHECK(server.last_reload_succeeded());
  CHECK(server.last_reload_error() == "");
  CHECK(server.last_reload_success() > start);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
