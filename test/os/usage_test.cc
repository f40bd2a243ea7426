#include "penstock/os/usage.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "test/support/process.h"

namespace penstock {
namespace {

TEST_CASE("usage: descriptors are counted without the one that counts them, and their limit is the soft one") {
  const ProcessUsage before = ReadProcessUsage();
  REQUIRE(before.descriptors.has_value());
  const Fd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd two(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(ReadProcessUsage().descriptors == *before.descriptors + 2);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(before.descriptors_max == limit.rlim_cur);
}

TEST_CASE("usage: as many descriptors are open as /proc/self/fd lists, however many they are") {
  std::vector<Fd> many;
  for (int i = 0; i < 1000; ++i) many.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::size_t listed = 0;
  for (const auto& [what, count] : test::Descriptors()) listed += count;
  CHECK(ReadProcessUsage().descriptors == listed);
  CHECK(listed > many.size());
}

TEST_CASE("usage: memory that is written becomes resident, and computing takes CPU time") {
  const ProcessUsage before = ReadProcessUsage();
  REQUIRE(before.cpu.has_value());
  REQUIRE(before.resident_bytes.has_value());
  const std::vector<char> large(64 * 1024 * 1024, 'x');
  ProcessUsage after = ReadProcessUsage();
  CHECK(*after.resident_bytes >= *before.resident_bytes + large.size() / 2);
  CHECK(*after.virtual_bytes >= *after.resident_bytes);
  while (after.cpu == before.cpu) after = ReadProcessUsage();
  CHECK(*after.cpu > *before.cpu);
}

TEST_CASE("usage: the process has started in the past, and less than a day ago") {
  const ProcessUsage usage = ReadProcessUsage();
  REQUIRE(usage.started_at.has_value());
  const auto now = TimeOfDay();
  CHECK(*usage.started_at < now + std::chrono::seconds(1));
  CHECK(*usage.started_at > now - std::chrono::hours(24));
}

}  // namespace
}  // namespace penstock
