// Workers stay on their CPUs, and connections go to the worker of the CPU that received them while that is even.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/os/thread.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("affinity");

// The value of `field` in the status file of each worker thread of this process (proc(5)), in the order of their start.
std::vector<std::string> OfWorkers(const std::string& field) {
  std::vector<std::string> values;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    bool is_worker = false;
    for (std::string line; std::getline(status, line);) {
      if (line == "Name:\tworker") is_worker = true;
      if (is_worker && line.starts_with(field + ":\t")) values.push_back(line.substr(field.size() + 2));
    }
  }
  return values;
}

TEST_CASE("with --cpu-affinity auto each worker stays on a usable CPU of its own, by default on any") {
  const auto usable = UsableCpus();
  Settings settings = TestSettings();
  settings.workers = usable.size();
  settings.cpu_affinity.mode = CpuAffinity::Mode::kAuto;
  std::vector<std::string> expected;
  for (const unsigned cpu : usable) expected.push_back(std::to_string(cpu));
  {
    const TestGateway gateway(settings);
    CHECK(WaitUntil([&] {
      auto cpus = OfWorkers("Cpus_allowed_list");
      std::ranges::sort(cpus, {}, [](const std::string& cpu) { return std::stoul(cpu); });
      return cpus == expected;
    }));
  }
  settings.cpu_affinity.mode = CpuAffinity::Mode::kOff;
  const TestGateway gateway(settings);
  std::ifstream own("/proc/self/task/" + std::to_string(::getpid()) + "/status");
  std::string all;
  while (std::getline(own, all) && !all.starts_with("Cpus_allowed_list:\t")) {
  }
  const std::vector<std::string> any(settings.workers, all.substr(all.find('\t') + 1));
  CHECK(WaitUntil([&] { return OfWorkers("Cpus_allowed_list") == any; }));
}

TEST_CASE("a list with a CPU that is not usable is an error at start") {
  Settings settings = TestSettings();
  settings.cpu_affinity = {CpuAffinity::Mode::kList, {kCpusMax - 1}};
  const LogFile file;
  Log log(file.fd(), LogLevel::kNotice);
  std::string error;
  CHECK(Server::Start(settings, log, &error) == nullptr);
  CHECK(error.find("cpu-affinity") != std::string::npos);
}

TEST_CASE("connections that all come in on one CPU end the steering, with a line in the log, and are all served" *
          doctest::skip(UsableCpus().size() < 2)) {
  const auto usable = UsableCpus();
  Settings settings = TestSettings();
  settings.workers = 2;
  settings.cpu_affinity = {CpuAffinity::Mode::kList, {usable[0], usable[1]}};
  const TestGateway gateway(settings);
  std::thread([&] {
    StayOnCpu(usable[1]);
    std::vector<Peer> clients;
    for (std::size_t i = 0; i < 2 * kSteeringSample; ++i) clients.push_back(gateway.GreetedClient());
  }).join();
  CHECK(WaitUntil(
      [&] { return gateway.LogText().find("steering-off worker=1 accepted=64 of=64") != std::string::npos; }));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
