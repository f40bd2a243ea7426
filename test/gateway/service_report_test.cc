// What the service manager is told of a gateway.
#include "penstock/server/service_report.h"

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"
#include "test/support/notify_socket.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("service report");

bool Has(std::string_view text, std::string_view line) { return text.find(std::string(line) + '\n') != text.npos; }

TEST_CASE("service report: sessions and rates are told, and the watchdog is fed while every worker answers") {
  const NotifySocket manager;
  const TestGateway gateway;
  const TargetListener target;
  const ServiceManager told;
  ServiceReport report(told, gateway.server());
  const auto session = gateway.Open(target);
  PingPong(session, 1);
  report.OnTime();
  const std::string fed = manager.Receive();
  CHECK(fed.starts_with("STATUS=1 sessions, "));
  CHECK(Has(fed, "WATCHDOG=1"));
  {
    const HeldThread held("worker");
    report.OnTime();
    const std::string hungry = manager.Receive();
    CHECK(Has(hungry, "STATUS=1 sessions, 0 Mbit/s up, 0 Mbit/s down, 1 workers do not answer"));
    CHECK_FALSE(Has(hungry, "WATCHDOG=1"));
  }
  report.OnTime();
  CHECK(Has(manager.Receive(), "WATCHDOG=1"));
}

TEST_CASE("service report: it is due twice in each period of the watchdog, and never if nobody listens") {
  const TestGateway gateway;
  {
    const ServiceManager nobody;
    CHECK(ServiceReport(nobody, gateway.server()).next() == TimePoint::max());
  }
  const NotifySocket manager;
  ::setenv("WATCHDOG_USEC", "4000000", 1);
  const ServiceManager told;
  const TimePoint before = SteadyNow();
  ServiceReport report(told, gateway.server());
  CHECK(report.next() >= before + std::chrono::seconds(2));
  CHECK(report.next() <= SteadyNow() + std::chrono::seconds(2));
  report.OnTime();
  CHECK(report.next() > before + std::chrono::seconds(2));
}

TEST_CASE("service report: a reload and a drain have the lines that systemd expects") {
  const NotifySocket manager;
  const TestGateway gateway;
  const ServiceManager told;
  ServiceReport report(told, gateway.server());
  report.Ready();
  CHECK(Has(manager.Receive(), "READY=1"));
  report.Reloading();
  const std::string reloading = manager.Receive();
  CHECK(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="));
  report.Stopping(std::chrono::seconds(30));
  const std::string stopping = manager.Receive();
  CHECK(Has(stopping, "STOPPING=1"));
  CHECK(Has(stopping, "EXTEND_TIMEOUT_USEC=40000000"));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
