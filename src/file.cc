#include "penstock/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "penstock/fd.h"

namespace penstock {
namespace {

std::nullopt_t CannotRead(const std::string& path, const std::string& why, std::string* error) {
  if (error != nullptr) *error = "cannot read " + path + ": " + why;
  return std::nullopt;
}

std::string TooLong(std::size_t bytes_max) { return "it is longer than " + std::to_string(bytes_max) + " bytes"; }

// O_NONBLOCK: opening a FIFO would wait for its writer (open(2)).
Fd OpenToRead(const std::string& path) {
  return Fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
}

}  // namespace

FileStamp StampOf(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::optional<std::string> ReadFile(const std::string& path, std::size_t bytes_max, std::string* error, bool* missing) {
  const Fd file = OpenToRead(path);
  if (missing != nullptr) *missing = !file.valid() && (errno == ENOENT || errno == ENOTDIR);
  if (!file.valid()) return CannotRead(path, std::strerror(errno), error);
  std::string text;
  for (;;) {
    constexpr std::size_t kChunk = 16 * 1024;
    const std::size_t had = text.size();
    text.resize(had + kChunk);
    const ssize_t got = ::read(file.get(), text.data() + had, kChunk);
    text.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (got < 0 && errno != EINTR) return CannotRead(path, std::strerror(errno), error);
    if (text.size() > bytes_max) return CannotRead(path, TooLong(bytes_max), error);
  }
}

std::optional<Secret> ReadPrivateFile(const std::string& path, std::size_t bytes_max, std::string* error) {
  const Fd file = OpenToRead(path);
  struct stat status;
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return CannotRead(path, std::strerror(errno), error);
  if (!S_ISREG(status.st_mode)) return CannotRead(path, "it is no regular file", error);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return CannotRead(path, "others than its owner may read or change it; mend that with: chmod 600 " + path, error);
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > bytes_max) return CannotRead(path, TooLong(bytes_max), error);
  // Room for all of it from the beginning: text that grows leaves copies of itself behind in memory. A byte more, so
  // that its end is seen.
  Secret text = Secret::WithRoom(size + 1);
  std::size_t had = 0;
  while (had <= size) {
    const ssize_t got = ::read(file.get(), text.room().data() + had, size + 1 - had);
    if (got == 0) break;
    if (got < 0 && errno != EINTR) return CannotRead(path, std::strerror(errno), error);
    had += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  }
  if (had > size) return CannotRead(path, "it grew while it was read", error);
  text.Shorten(had);
  return text;
}

}  // namespace penstock
