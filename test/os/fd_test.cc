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

TEST_CASE("fd: the destructor closes the descriptor") {
  int number = -1;
  {
    const Fd fd = Open();
    REQUIRE(fd.valid());
    number = fd.get();
    CHECK(IsOpen(number));
  }
  CHECK_FALSE(IsOpen(number));
}

TEST_CASE("fd: a descriptor is closed once, so another one that gets its number stays open") {
  Fd fd = Open();
  const int number = fd.get();
  fd.Close();
  CHECK_FALSE(fd.valid());
  const Fd next = Open();
  REQUIRE(next.get() == number);  // the lowest free one (open(2))
  fd.Close();
  CHECK(IsOpen(number));
}

TEST_CASE("fd: a move transfers the descriptor") {
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

TEST_CASE("fd: a move to itself keeps the descriptor") {
  Fd fd = Open();
  Fd& same = fd;
  fd = std::move(same);
  CHECK(IsOpen(fd.get()));
}

TEST_CASE("fd: an empty Fd closes nothing") {
  Fd fd;
  CHECK_FALSE(fd.valid());
  fd.Close();
  CHECK_FALSE(Fd(-1).valid());
}

}  // namespace
}  // namespace penstock
