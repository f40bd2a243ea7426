#include "penstock/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "penstock/fd.h"

namespace penstock {

FileStamp StampOf(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::optional<std::string> ReadFile(const std::string& path, std::size_t bytes_max, std::string* error) {
  const auto fail = [&](const std::string& why) {
    if (error != nullptr) *error = "cannot read " + path + ": " + why;
    return std::nullopt;
  };
  // O_NONBLOCK: opening a FIFO would wait for its writer (open(2)).
  const Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file.valid()) return fail(std::strerror(errno));
  std::string text;
  for (;;) {
    constexpr std::size_t kChunk = 16 * 1024;
    const std::size_t had = text.size();
    text.resize(had + kChunk);
    const ssize_t got = ::read(file.get(), text.data() + had, kChunk);
    text.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (got < 0 && errno != EINTR) return fail(std::strerror(errno));
    if (text.size() > bytes_max) return fail("it is longer than " + std::to_string(bytes_max) + " bytes");
  }
}

}  // namespace penstock
