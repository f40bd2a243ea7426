// Small files: read them whole, replace them whole, detect changes, and find them by pattern.
// Stateless; any thread.
// Invariant: these functions wait for a disk only. A FIFO, or a device without data, is an error.
// Deliberately not here: parsing, and how often to check for changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/secret.h"
#include "penstock/os/fd.h"

namespace penstock {

// What stat(2) says of a file. Two stamps are equal if inode, size and modification time are.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t written_s = 0;  // st_mtim
  std::int64_t written_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

// The stamp of `path`; all zeros if stat(2) fails. Take the stamp before the text, so that a change between the two is
// found at the next check.
FileStamp StampOf(const std::string& path);

// Returns the text of `path`; nothing if it cannot be read or is longer than `bytes_max`. Then `*error`, unless null,
// is the reason, and `*missing`, unless null, is true if there is no such file.
std::optional<std::string> ReadFile(const std::string& path, std::size_t bytes_max, std::string* error = nullptr,
                                    bool* missing = nullptr);

// ReadFile, for a file that may hold secrets.
std::optional<Secret> ReadSecretFile(const std::string& path, std::size_t bytes_max, std::string* error,
                                     bool* missing = nullptr);

// ReadFile, for a file that holds secrets. It must be a regular file that only its owner may read or write; else
// `*error` says how to fix it. The check is of the open descriptor, so a rename does not defeat it.
std::optional<Secret> ReadPrivateFile(const std::string& path, std::size_t bytes_max, std::string* error);

// Writes all of `text` to a descriptor that blocks. False, with errno, if that fails.
[[nodiscard]] bool WriteAll(int fd, std::string_view text);

// Replaces the contents of `path`, which its owner alone may read then; `backup` becomes what `path` was. Either the
// old or the new contents are at `path` at any time, after a crash, too: they are written to `path`.new, synced,
// and renamed (fsync(2), rename(2)). Returns the reason if that fails.
std::optional<std::string> ReplaceFile(const std::string& path, const std::string& backup, std::string_view text);

// Renames a file over `to`. Returns the reason if that fails.
std::optional<std::string> RenameFile(const std::string& from, const std::string& to);

// Locks a directory for this process until the descriptor is closed (flock(2)). Invalid, with the reason in `*error`,
// if there is no such directory, it is not writable, or another process has locked it.
Fd LockFolder(const std::string& path, std::string* error);

// Why others may replace files in an opened directory: its permissions, or its owner, who is neither root nor the user
// of this process. Nothing if they may not.
std::optional<std::string> ExposureOf(const Fd& folder);

// Appends the paths that match `pattern` (glob(7)) to `paths`, sorted, and the directories that were searched to
// `folders`. A pattern without wildcards is appended whether or not the file exists: reading it will tell. Returns the
// reason if a directory cannot be searched; nothing on success, or if it does not exist.
std::optional<std::string> FindFiles(const std::string& pattern, std::vector<std::string>* paths,
                                     std::vector<std::string>* folders);

}  // namespace penstock
