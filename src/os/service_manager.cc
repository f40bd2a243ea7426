#include "penstock/os/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "penstock/base/limits.h"
#include "penstock/base/quantity.h"
#include "penstock/os/socket.h"

namespace penstock {
namespace {

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START

std::string TakeVariable(const char* name) {
  const char* const value = std::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  ::unsetenv(name);
  return taken;
}

// A path, or a name in the abstract namespace after '@' (unix(7)).
Fd ConnectTo(std::string_view name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() < 2 || name.size() >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) return Fd();
  std::ranges::copy(name, address.sun_path);
  if (name[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval timeout{kNotifyTimeout.count(), 0};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) return Fd();
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return Fd();
  return socket;
}

bool IsOwnId(std::string_view number) { return number == std::to_string(::getpid()); }

}  // namespace

PassedSockets TakePassedSockets() {
  const std::string process = TakeVariable("LISTEN_PID");
  const std::string count = TakeVariable("LISTEN_FDS");
  TakeVariable("LISTEN_FDNAMES");
  PassedSockets passed;
  if (process.empty() || !IsOwnId(process)) return passed;  // for the program that has started this one
  const auto number = ParseNumber(count, 0, std::numeric_limits<int>::max() - kFirstPassed);
  if (!number) {
    passed.error = "LISTEN_FDS is '" + count + "', which is no number of descriptors";
    return passed;
  }
  for (int fd = kFirstPassed; fd < kFirstPassed + static_cast<int>(*number); ++fd) {
    if (!AdoptListener(fd)) {
      passed.error = "descriptor " + std::to_string(fd) + " of LISTEN_FDS is not a TCP socket that listens";
      return passed;
    }
    passed.sockets.emplace_back(fd);
  }
  return passed;
}

ServiceManager::ServiceManager() : socket_(ConnectTo(TakeVariable("NOTIFY_SOCKET"))) {
  const std::string process = TakeVariable("WATCHDOG_PID");
  const auto microseconds = ParseNumber(TakeVariable("WATCHDOG_USEC"), 1, std::numeric_limits<std::int64_t>::max());
  if (microseconds && (process.empty() || IsOwnId(process))) watchdog_.emplace(*microseconds);
}

void ServiceManager::Tell(std::string_view assignments) const {
  if (!listens()) return;
  while (::send(socket_.get(), assignments.data(), assignments.size(), MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

}  // namespace penstock
