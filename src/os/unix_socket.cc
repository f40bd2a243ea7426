#include "penstock/os/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

constexpr mode_t kMode = 0660;

static_assert(sizeof(sockaddr_un::sun_path) == kSocketPathBytesMax + 1);

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Fd NewSocket() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

// The result of bind(2) or connect(2): 0 or errno.
template <class Call>
int With(Call call, const Fd& socket, const std::string& path) {
  const sockaddr_un address = AddressOf(path);
  return call(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

// Removes the file of a socket that no process listens on. Returns why `path` cannot be used; empty if it can.
std::string MakeRoom(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT ? "" : std::strerror(errno);
  if (!S_ISSOCK(status.st_mode)) return "there is a file that is no socket; remove it, or give another path";
  const int found = With(::connect, NewSocket(), path);
  if (found == 0 || found == EAGAIN) return "another process listens there; stop it, or give another path";
  if (found != ECONNREFUSED) return std::strerror(found);
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? "" : std::strerror(errno);
}

}  // namespace

UnixListener UnixListener::Open(const std::string& path, std::string* error) {
  const auto fail = [&](const std::string& why) {
    *error = "cannot listen on unix:" + path + ": " + why;
    return UnixListener();
  };
  if (path.empty() || path.size() > kSocketPathBytesMax) {
    return fail("a path has 1 to " + std::to_string(kSocketPathBytesMax) + " bytes");
  }
  Fd socket = NewSocket();
  if (!socket.valid()) return fail(std::strerror(errno));
  if (const std::string why = MakeRoom(path); !why.empty()) return fail(why);
  // bind(2) gives the file the mode of the socket without what umask(2) forbids, so it is never wider than kMode.
  ::fchmod(socket.get(), kMode);
  if (const int failure = With(::bind, socket, path); failure != 0) return fail(std::strerror(failure));
  UnixListener listener;
  listener.socket_ = std::move(socket);
  listener.path_ = path;
  listener.file_ = StampOf(path);
  if (::chmod(path.c_str(), kMode) != 0 || ::listen(listener.fd(), SOMAXCONN) != 0) return fail(std::strerror(errno));
  return listener;
}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this == &other) return *this;
  Remove();
  socket_ = std::move(other.socket_);
  path_ = std::exchange(other.path_, {});
  file_ = other.file_;
  return *this;
}

// Before the descriptor is closed: from then on, another process may replace the file.
void UnixListener::Remove() {
  if (path_.empty()) return;
  const FileStamp now = StampOf(path_);
  if (now.device == file_.device && now.inode == file_.inode) ::unlink(path_.c_str());
  path_.clear();
}

Fd ConnectUnix(const std::string& path, std::string* error) {
  if (path.empty() || path.size() > kSocketPathBytesMax) {
    *error = "a path has 1 to " + std::to_string(kSocketPathBytesMax) + " bytes";
    return Fd();
  }
  Fd socket = NewSocket();
  const int failure = socket.valid() ? With(::connect, socket, path) : errno;
  if (failure == 0) return socket;
  *error = std::strerror(failure);
  if (failure == ENOENT) *error = "there is no such socket; is a gateway running with --admin unix:" + path + "?";
  if (failure == ECONNREFUSED) *error = "no gateway listens there any more";
  if (failure == EACCES) *error = "permission denied; become root, or the user that the gateway runs as";
  if (failure == EAGAIN) *error = "the gateway does not accept connections";
  return Fd();
}

}  // namespace penstock
