#include "penstock/os/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "penstock/os/fd.h"

namespace penstock {
namespace {

std::nullopt_t CannotRead(const std::string& path, const std::string& why, std::string* error) {
  if (error != nullptr) *error = "cannot read " + path + ": " + why;
  return std::nullopt;
}

std::string TooLong(std::size_t bytes_max) { return "it is longer than " + std::to_string(bytes_max) + " bytes"; }

// O_NONBLOCK: opening a FIFO would wait for its writer (open(2)). Its text is there once: whoever reads it again, at a
// reload, would find it empty.
Fd OpenToRead(const std::string& path) {
  return Fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
}

// Text that grows would leave copies of itself behind in memory: a Secret that was too small is wiped.
std::optional<Secret> ReadAll(const Fd& file, const std::string& path, std::size_t bytes_max, std::string* error) {
  constexpr std::size_t kFirstRoom = 16 * 1024;
  Secret text = Secret::WithRoom(kFirstRoom);
  std::size_t had = 0;
  for (;;) {
    const ssize_t got = ::read(file.get(), text.room().data() + had, text.size() - had);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotRead(path, std::strerror(errno), error);
    had += static_cast<std::size_t>(got);
    if (had > bytes_max) return CannotRead(path, TooLong(bytes_max), error);
    if (had < text.size()) continue;
    Secret larger = Secret::WithRoom(2 * had);
    std::ranges::copy(text.Reveal(), larger.room().begin());
    text = std::move(larger);
  }
  text.Shorten(had);
  return text;
}

}  // namespace

FileStamp StampOf(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::optional<std::string> ReadFile(const std::string& path, std::size_t bytes_max, std::string* error, bool* missing) {
  const auto text = ReadSecretFile(path, bytes_max, error, missing);
  return text ? std::optional<std::string>(text->Reveal()) : std::nullopt;
}

std::optional<Secret> ReadSecretFile(const std::string& path, std::size_t bytes_max, std::string* error,
                                     bool* missing) {
  const Fd file = OpenToRead(path);
  if (missing != nullptr) *missing = !file.valid() && (errno == ENOENT || errno == ENOTDIR);
  struct stat status;
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return CannotRead(path, std::strerror(errno), error);
  if (S_ISFIFO(status.st_mode))
    return CannotRead(path, "it is a pipe, and could not be read again; give a file", error);
  return ReadAll(file, path, bytes_max, error);
}

std::optional<Secret> ReadPrivateFile(const std::string& path, std::size_t bytes_max, std::string* error) {
  const Fd file = OpenToRead(path);
  struct stat status;
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return CannotRead(path, std::strerror(errno), error);
  if (!S_ISREG(status.st_mode)) return CannotRead(path, "it is no regular file", error);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return CannotRead(path, "others than its owner may read or change it; mend that with: chmod 600 " + path, error);
  }
  return ReadAll(file, path, bytes_max, error);
}

}  // namespace penstock
