#include "penstock/os/service_manager.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "test/support/notify_socket.h"
#include "test/support/temp_directory.h"

namespace penstock {
namespace {

TEST_CASE("service manager: it is told at a path and in the abstract namespace, and the environment forgets it") {
  const test::TempDirectory directory;
  const std::string own = std::to_string(::getpid());
  for (const std::string& name : {directory.PathOf("notify"), "@penstock-test-" + own}) {
    CAPTURE(name);
    const test::NotifySocket manager(name);
    const ServiceManager told;
    CHECK(told.listens());
    CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
    told.Tell("READY=1\n");
    CHECK(manager.Receive() == "READY=1\n");
    CHECK(manager.Receive() == "nothing");
  }
}

TEST_CASE("service manager: without a name, or with one that nobody has, nobody listens") {
  ::unsetenv("NOTIFY_SOCKET");
  CHECK_FALSE(ServiceManager().listens());
  for (const std::string& name : {std::string("relative"), std::string("@"), std::string("/nowhere/notify"),
                                  '/' + std::string(200, 'x'), std::string("vsock:2:1")}) {
    CAPTURE(name);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const ServiceManager nobody;
    CHECK_FALSE(nobody.listens());
    nobody.Tell("READY=1\n");
  }
}

TEST_CASE("service manager: the watchdog is for this process, or for whoever reads it") {
  const auto watchdog = [](const std::string& process, const char* microseconds) {
    process.empty() ? ::unsetenv("WATCHDOG_PID") : ::setenv("WATCHDOG_PID", process.c_str(), 1);
    ::setenv("WATCHDOG_USEC", microseconds, 1);
    return ServiceManager().watchdog();
  };
  CHECK(watchdog(std::to_string(::getpid()), "30000000") == std::chrono::seconds(30));
  CHECK(std::getenv("WATCHDOG_USEC") == nullptr);
  CHECK(watchdog("", "5") == std::chrono::microseconds(5));
  CHECK_FALSE(watchdog("1", "30000000").has_value());
  CHECK_FALSE(watchdog("", "0").has_value());
  CHECK_FALSE(watchdog("", "-1").has_value());
  CHECK_FALSE(watchdog("", "soon").has_value());
}

}  // namespace
}  // namespace penstock
