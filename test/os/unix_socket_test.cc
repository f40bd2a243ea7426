#include "penstock/os/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "penstock/os/socket.h"
#include "test/support/sockets.h"
#include "test/support/temp_directory.h"

namespace penstock::unit {
namespace {

Fd MakeSocket(int type = SOCK_STREAM) { return Fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)); }

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  return address;
}

int ConnectTo(const std::string& path, const Fd& socket) {
  const sockaddr_un address = AddressOf(path);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

bool BindTo(const std::string& path, const Fd& socket) {
  const sockaddr_un address = AddressOf(path);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool Exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

mode_t ModeOf(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  CHECK(S_ISSOCK(status.st_mode));
  return status.st_mode & 07777;
}

std::string ErrorAt(const std::string& path) {
  std::string error;
  CHECK_FALSE(UnixListener::Open(path, &error).valid());
  return error;
}

TEST_CASE("unix_socket: it accepts, its file has mode 0660 whatever the umask is, and the file goes with it") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("socket");
  for (const mode_t mask : {0U, 022U, 077U, 0777U}) {
    CAPTURE(mask);
    const mode_t before = ::umask(mask);
    std::string error;
    UnixListener listener = UnixListener::Open(path, &error);
    ::umask(before);
    REQUIRE_MESSAGE(listener.valid(), error);
    CHECK(ModeOf(path) == 0660);
    CHECK(Accept(listener.fd()).status == Accepted::Status::kNone);
    const Fd client = MakeSocket();
    CHECK(ConnectTo(path, client) == 0);
    CHECK(Accept(listener.fd()).status == Accepted::Status::kTaken);
    UnixListener moved(std::move(listener));
    CHECK(Exists(path));
    moved = UnixListener();
    CHECK_FALSE(Exists(path));
  }
}

// The mode of the file while bind(2) has returned and chmod(2) has not been called.
TEST_CASE("unix_socket: bind(2) takes the mode of the socket, so the file is never open to others") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("socket");
  const mode_t before = ::umask(0);
  const Fd socket = MakeSocket();
  REQUIRE(::fchmod(socket.get(), 0660) == 0);
  REQUIRE(BindTo(path, socket));
  ::umask(before);
  CHECK(ModeOf(path) == 0660);
}

TEST_CASE("unix_socket: the file of a process that has died is replaced") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("socket");
  {
    const Fd dead = MakeSocket();
    REQUIRE(BindTo(path, dead));
    REQUIRE(::listen(dead.get(), 1) == 0);
  }
  REQUIRE(Exists(path));
  std::string error;
  const UnixListener listener = UnixListener::Open(path, &error);
  REQUIRE_MESSAGE(listener.valid(), error);
  CHECK(ConnectTo(path, MakeSocket()) == 0);
}

TEST_CASE("unix_socket: a socket that is in use is refused, even with a full backlog, and stays") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("socket");
  const Fd other = MakeSocket();
  REQUIRE(BindTo(path, other));
  REQUIRE(::listen(other.get(), 0) == 0);
  const std::string used =
      "cannot listen on unix:" + path + ": another process listens there; stop it, or give another path";
  CHECK(ErrorAt(path) == used);  // the connection of this check fills the backlog
  CHECK(ErrorAt(path) == used);
  CHECK(Exists(path));
}

TEST_CASE("unix_socket: a file that is no socket is refused and stays") {
  const test::TempDirectory directory;
  const std::string path = directory.Write("file", "text");
  CHECK(ErrorAt(path) ==
        "cannot listen on unix:" + path + ": there is a file that is no socket; remove it, or give another path");
  CHECK(Exists(path));
  const std::string link = directory.PathOf("link");
  REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
  CHECK(ErrorAt(link).find("is no socket") != std::string::npos);
  const std::string datagrams = directory.PathOf("datagrams");
  const Fd other = MakeSocket(SOCK_DGRAM);
  REQUIRE(BindTo(datagrams, other));
  CHECK(ErrorAt(datagrams).ends_with(": Protocol wrong type for socket"));
}

TEST_CASE("unix_socket: a path that cannot be used is refused with the reason") {
  const test::TempDirectory directory;
  CHECK(ErrorAt("").ends_with(": a path has 1 to 107 bytes"));
  const std::string longest = directory.PathOf("").append(kSocketPathBytesMax, 'x').substr(0, kSocketPathBytesMax);
  CHECK(ErrorAt(longest + 'x').ends_with(": a path has 1 to 107 bytes"));
  std::string error;
  CHECK_MESSAGE(UnixListener::Open(longest, &error).valid(), error);
  CHECK(ErrorAt(directory.PathOf("missing/socket")).ends_with(": No such file or directory"));
}

TEST_CASE("unix_socket: the file of a socket that has replaced it stays") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("socket");
  std::string error;
  UnixListener first = UnixListener::Open(path, &error);
  REQUIRE(first.valid());
  REQUIRE(::rename(path.c_str(), directory.PathOf("old").c_str()) == 0);
  const UnixListener second = UnixListener::Open(path, &error);
  REQUIRE_MESSAGE(second.valid(), error);
  first = UnixListener();
  CHECK(ConnectTo(path, MakeSocket()) == 0);
}

}  // namespace
}  // namespace penstock::unit
