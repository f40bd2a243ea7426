// What a service manager does to be told the state of a service: a datagram socket, and its name in the environment.
// Owned by a test; its thread only.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "penstock/os/fd.h"

namespace penstock::test {

class NotifySocket {
 public:
  // `name` as in NOTIFY_SOCKET: a path, or '@' and a name in the abstract namespace.
  explicit NotifySocket(const std::string& name = "@penstock-test-" + std::to_string(::getpid()))
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) throw std::runtime_error("bind");
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~NotifySocket() { ::unsetenv("NOTIFY_SOCKET"); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // A message that has been sent; "nothing" if there is none.
  std::string Receive() const {
    char room[512];
    const ssize_t size = ::recv(socket_.get(), room, sizeof room, MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(room, static_cast<std::size_t>(size));
  }

 private:
  Fd socket_;
};

}  // namespace penstock::test
