#include "penstock/os/pipe.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using unit::IsOpen;
using unit::NoDescriptors;

const TimePoint kNow{1h};

TEST_CASE("pipe: a lent pipe is empty, large, non-blocking and close-on-exec") {
  PipePool pool(1);
  auto pipe = pool.Lend(0, kNow);
  REQUIRE(pipe != nullptr);
  CHECK(pool.lent() == 1);
  CHECK(::fcntl(pipe->write_end.get(), F_GETPIPE_SZ) >= static_cast<int>(kPipeBytesMin));
  CHECK(unit::Readable(pipe->read_end.get()) == 0);
  for (const int fd : {pipe->read_end.get(), pipe->write_end.get()}) {
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  pool.Return(std::move(pipe), true);
  CHECK(pool.lent() == 0);
}

TEST_CASE("pipe: a pipe that is returned empty is kept and lent again") {
  PipePool pool(1);
  auto pipe = pool.Lend(0, kNow);
  REQUIRE(pipe != nullptr);
  const int read_end = pipe->read_end.get();
  pool.Return(std::move(pipe), true);
  CHECK(pool.idle() == 1);
  CHECK(IsOpen(read_end));
  const NoDescriptors none;  // it is that one and no other
  pipe = pool.Lend(0, kNow);
  REQUIRE(pipe != nullptr);
  CHECK(pipe->read_end.get() == read_end);
  CHECK(pool.idle() == 0);
  pool.Return(std::move(pipe), true);
}

TEST_CASE("pipe: a pipe that is returned with bytes inside is closed and never lent again") {
  PipePool pool(4);
  auto pipe = pool.Lend(0, kNow);
  REQUIRE(pipe != nullptr);
  const std::array ends{pipe->read_end.get(), pipe->write_end.get()};
  REQUIRE(::write(pipe->write_end.get(), "secret", 6) == 6);
  pool.Return(std::move(pipe), false);
  CHECK(pool.idle() == 0);
  CHECK(pool.lent() == 0);
  for (const int fd : ends) CHECK_FALSE(IsOpen(fd));

  std::vector<std::unique_ptr<Pipe>> lent;
  for (int i = 0; i < 4; ++i) {
    lent.push_back(pool.Lend(static_cast<std::uint8_t>(i), kNow));
    REQUIRE(lent.back() != nullptr);
    CHECK(unit::Readable(lent.back()->read_end.get()) == 0);
  }
  for (auto& each : lent) pool.Return(std::move(each), true);
}

TEST_CASE("pipe: the pool lends no more pipes than its maximum") {
  PipePool pool(2);
  auto first = pool.Lend(0, kNow);
  auto second = pool.Lend(1, kNow);
  REQUIRE(second != nullptr);
  CHECK(pool.Lend(2, kNow) == nullptr);
  pool.Return(std::move(first), true);
  first = pool.Lend(0, kNow);  // and a bound that was met is no refusal of the system's
  REQUIRE(first != nullptr);
  pool.Return(std::move(first), true);
  pool.Return(std::move(second), true);
}

TEST_CASE("pipe: a client with slow readers leaves pipes for other clients") {
  PipePool pool(16);
  std::vector<std::unique_ptr<Pipe>> stuck;
  while (auto pipe = pool.Lend(7, kNow)) stuck.push_back(std::move(pipe));
  CHECK(stuck.size() == 12);
  std::vector<std::unique_ptr<Pipe>> others;
  while (auto pipe = pool.Lend(8, kNow)) others.push_back(std::move(pipe));
  CHECK(others.size() == 3);
  auto last = pool.Lend(9, kNow);
  CHECK(last != nullptr);
  pool.Return(std::move(last), true);
  for (auto& pipe : stuck) pool.Return(std::move(pipe), false);
  for (auto& pipe : others) pool.Return(std::move(pipe), true);
  CHECK(pool.lent() == 0);
}

TEST_CASE("pipe: a pool that keeps no idle pipes closes those that are returned") {
  PipePool pool(2, false);
  auto pipe = pool.Lend(0, kNow);
  REQUIRE(pipe != nullptr);
  const int read_end = pipe->read_end.get();
  pool.Return(std::move(pipe), true);
  CHECK(pool.idle() == 0);
  CHECK_FALSE(IsOpen(read_end));
}

TEST_CASE("pipe: without descriptors no pipe is lent, and the next attempt is a second later") {
  PipePool pool(4);
  {
    const NoDescriptors none;
    CHECK(pool.Lend(0, kNow) == nullptr);
  }
  CHECK(pool.lent() == 0);
  CHECK(pool.Lend(0, kNow) == nullptr);
  CHECK(pool.Lend(0, kNow + 999ms) == nullptr);
  auto pipe = pool.Lend(0, kNow + 1s);
  REQUIRE(pipe != nullptr);
  pool.Return(std::move(pipe), true);
}

TEST_CASE("pipe: after a failure, a closed pipe permits the next attempt, and a kept one is lent") {
  PipePool pool(8);
  auto first = pool.Lend(0, kNow);
  auto second = pool.Lend(0, kNow);
  const auto refuse = [&] {
    const NoDescriptors none;
    return pool.Lend(0, kNow) == nullptr;
  };
  REQUIRE(refuse());
  pool.Return(std::move(first), true);
  first = pool.Lend(0, kNow);
  REQUIRE(first != nullptr);
  REQUIRE(refuse());
  pool.Return(std::move(second), false);
  second = pool.Lend(0, kNow);
  REQUIRE(second != nullptr);
  pool.Return(std::move(first), true);
  pool.Return(std::move(second), true);
}

// Runs in a child process: takes pipes as an unprivileged user (who alone has a quota) until there are no more.
// Returns 0 when every pipe that was lent is worth it and the quota made the pool refuse.
int ExhaustQuota(std::size_t quota_pipes) {
  if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
                           ::setresuid(65534, 65534, 65534) != 0)) {
    return 2;
  }
  PipePool pool(quota_pipes + 2);
  std::vector<std::unique_ptr<Pipe>> lent;
  for (std::size_t client = 0; auto pipe = pool.Lend(static_cast<std::uint8_t>(client), kNow); ++client) {
    if (::fcntl(pipe->write_end.get(), F_GETPIPE_SZ) < static_cast<int>(kPipeBytesMin)) return 3;
    lent.push_back(std::move(pipe));
    if (lent.size() > quota_pipes) return 4;  // the quota does not hold
  }
  if (lent.empty()) return 5;
  // It was the quota: descriptors are left.
  const Fd spare(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return spare.valid() ? 0 : 6;
}

// Pipes that a user's quota allows; 0 when there is no quota, or when descriptors would run out before it.
std::size_t QuotaPipes() {
  std::size_t pages = 0;
  std::ifstream("/proc/sys/fs/pipe-user-pages-soft") >> pages;
  const std::size_t pipes = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / kPipeBytesMin;
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  return 2 * pipes + 100 > descriptors.rlim_cur ? 0 : pipes;
}

TEST_CASE("pipe: beyond the quota of the user the pool lends none rather than pipes with two slots" *
          doctest::skip(QuotaPipes() == 0)) {
  std::fflush(nullptr);  // or the child has a copy of what is not written yet
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(ExhaustQuota(QuotaPipes()));
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace penstock
