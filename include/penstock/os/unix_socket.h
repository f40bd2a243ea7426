// A listening Unix socket and its file, and a connection to one (unix(7)).
// A listener is a move-only value, owned by the object that accepts from it; one thread at a time.
// Invariant: the file has mode 0660 from its first moment to its last. The destructor removes it, but not the file of a
// socket that has replaced it.
// Deliberately not here: accepting (Accept in socket.h), moving bytes (io.h).
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "penstock/os/fd.h"
#include "penstock/os/file.h"

namespace penstock {

// The longest path of a socket: sun_path without its final NUL.
inline constexpr std::size_t kSocketPathBytesMax = 107;

class UnixListener {
 public:
  UnixListener() = default;

  // Listens at `path`, with O_NONBLOCK and FD_CLOEXEC. Replaces the file of a socket that no process listens on. On
  // failure, such as a socket that is in use or a file that is no socket, it is not valid() and `*error` is a sentence.
  static UnixListener Open(const std::string& path, std::string* error);

  UnixListener(UnixListener&& other) noexcept { *this = std::move(other); }
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener() { Remove(); }

  bool valid() const { return socket_.valid(); }
  int fd() const { return socket_.get(); }

 private:
  void Remove();

  Fd socket_;
  std::string path_;
  FileStamp file_;  // to recognise the file
};

// Connects to the socket at `path`, with O_NONBLOCK and FD_CLOEXEC. On failure the Fd is invalid and `*error` says why:
// no such file, no permission, nobody listens, or a backlog that is full.
Fd ConnectUnix(const std::string& path, std::string* error);

}  // namespace penstock
