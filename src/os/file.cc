#include "penstock/os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

std::nullopt_t CannotRead(const std::string& path, const std::string& why, std::string* error) {
  if (error != nullptr) *error = "cannot read " + path + ": " + why;
  return std::nullopt;
}

std::string TooLong(std::size_t bytes_max) { return "it is longer than " + std::to_string(bytes_max) + " bytes"; }

// O_NONBLOCK: without it, opening a FIFO would wait for a writer (fifo(7)).
Fd OpenToRead(const std::string& path) {
  return Fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
}

// Reads to the end of the file, for at most `bytes_max`. A std::string would leave copies of a secret in memory when it
// grows; a Secret wipes them.
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

// The state of one glob(3), which by itself takes an unreadable directory for an empty one.
struct Search {
  std::string_view pattern;
  std::vector<std::string>* folders;  // those that it has read
  std::string failure;                // the first error, but for files and directories that do not exist

  // Notes errno for `path`. A match of a wildcard need not be a directory; a part without wildcards must be one.
  void Note(std::string_view path) {
    const bool harmless = errno == ENOENT || (errno == ENOTDIR && !pattern.starts_with(path));
    if (!harmless && failure.empty()) failure = "cannot read " + std::string(path) + ": " + std::strerror(errno);
  }
};
thread_local Search* search = nullptr;  // glob(3) passes no argument on to the functions that it calls

void* OpenFolder(const char* path) {
  DIR* const folder = ::opendir(path);
  if (folder != nullptr) search->folders->emplace_back(path);
  if (folder == nullptr) search->Note(path);
  return folder;
}

dirent* ReadFolder(void* folder) {
  errno = 0;
  dirent* const entry = ::readdir(static_cast<DIR*>(folder));
  if (entry == nullptr && errno != 0) search->Note(search->folders->back().c_str());
  return entry;
}

template <auto Stat>
int LookAt(const char* __restrict path, struct stat* __restrict status) {
  const int result = Stat(path, status);
  if (result != 0) search->Note(path);
  return result;
}

std::string Failure(std::string_view what, const std::string& path) {
  return "cannot " + std::string(what) + ' ' + path + ": " + std::strerror(errno);
}

// A rename is durable once the directory is (fsync(2)).
bool SyncFolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, std::max(slash, std::size_t{1}));
  const Fd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened.valid() && ::fsync(opened.get()) == 0;
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

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::optional<std::string> ReplaceFile(const std::string& path, const std::string& backup, std::string_view text) {
  const std::string aside = path + ".new";
  constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;
  ::unlink(aside.c_str());  // it may be left by a crash
  const Fd file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly));
  if (!file.valid() || !WriteAll(file.get(), text) || ::fsync(file.get()) != 0) return Failure("write", aside);
  // link(2) replaces no file, but rename(2) does. If there is nothing at `path`, the backup stays.
  const std::string linked = backup + ".new";
  ::unlink(linked.c_str());
  const bool had = ::link(path.c_str(), linked.c_str()) == 0;
  if (!had && errno != ENOENT) return Failure("write", linked);
  if (had) {
    if (auto failure = RenameFile(linked, backup)) return failure;
  }
  if (auto failure = RenameFile(aside, path)) return failure;
  if (!SyncFolderOf(path)) return Failure("write", path);
  return std::nullopt;
}

std::optional<std::string> RenameFile(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return std::nullopt;
  return Failure("rename", from);
}

Fd LockFolder(const std::string& path, std::string* error) {
  Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid() || ::access(path.c_str(), W_OK | X_OK) != 0) {
    *error = Failure("use", path);
    return Fd();
  }
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  *error = errno == EWOULDBLOCK ? "another process uses " + path : Failure("lock", path);
  return Fd();
}

std::optional<std::string> ExposureOf(const Fd& folder) {
  struct stat status;
  if (::fstat(folder.get(), &status) != 0) return std::nullopt;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others than its owner may write to it";
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) return "it belongs to another user";
  return std::nullopt;
}

std::optional<std::string> FindFiles(const std::string& pattern, std::vector<std::string>* paths,
                                     std::vector<std::string>* folders) {
  if (pattern.find_first_of("*?[") == std::string::npos) {
    paths->push_back(pattern);
    return std::nullopt;
  }
  Search met{pattern, folders, {}};
  search = &met;
  glob_t found{};
  found.gl_opendir = OpenFolder;
  found.gl_readdir = ReadFolder;
  found.gl_closedir = [](void* folder) { ::closedir(static_cast<DIR*>(folder)); };
  found.gl_lstat = LookAt<::lstat>;
  found.gl_stat = LookAt<::stat>;
  const int result = ::glob(pattern.c_str(), GLOB_ALTDIRFUNC, nullptr, &found);
  if (result != 0 && result != GLOB_NOMATCH && met.failure.empty()) met.failure = "cannot read " + pattern;
  if (result == 0) paths->insert(paths->end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (met.failure.empty()) return std::nullopt;
  return met.failure;
}

}  // namespace penstock
