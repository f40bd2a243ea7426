#include "penstock/os/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include <doctest/doctest.h>

#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::IsOpen;

Fd Open() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST_CASE("fd: it closes what it owns when it goes") {
  int number = -1;
  {
    const Fd fd = Open();
    REQUIRE(fd.valid());
    number = fd.get();
    CHECK(IsOpen(number));
  }
  CHECK_FALSE(IsOpen(number));
}

TEST_CASE("fd: it closes once, so that a descriptor which took the number lives on") {
  Fd fd = Open();
  const int number = fd.get();
  fd.Close();
  CHECK_FALSE(fd.valid());
  const Fd next = Open();
  REQUIRE(next.get() == number);  // the lowest free one (open(2))
  fd.Close();
  CHECK(IsOpen(number));
}

TEST_CASE("fd: moving hands over the descriptor") {
  Fd from = Open();
  const int number = from.get();
  Fd to(std::move(from));
  CHECK_FALSE(from.valid());  // NOLINT(bugprone-use-after-move): that is the promise
  CHECK(to.get() == number);

  Fd other = Open();
  const int closed = other.get();
  other = std::move(to);
  CHECK(other.get() == number);
  CHECK_FALSE(IsOpen(closed));
  CHECK(IsOpen(number));
}

TEST_CASE("fd: moving to itself keeps the descriptor") {
  Fd fd = Open();
  Fd& same = fd;
  fd = std::move(same);
  CHECK(IsOpen(fd.get()));
}

TEST_CASE("fd: one that owns nothing closes nothing") {
  Fd fd;
  CHECK_FALSE(fd.valid());
  fd.Close();
  CHECK_FALSE(Fd(-1).valid());
}

}  // namespace
}  // namespace penstock
