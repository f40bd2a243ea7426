// Small files: their whole text, whether they have changed since it was read, and which there are.
// Stateless; any thread.
// Invariant: nothing here waits for anything but a disk: a FIFO, or a device that has nothing to read, is an error.
// Deliberately not here: what is in a file, writing, and how often to look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "penstock/base/secret.h"

namespace penstock {

// Two stamps are equal exactly when stat(2) saw no change: the same inode, of the same size, written at the same time.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t written_s = 0;  // st_mtim
  std::int64_t written_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

// All zeros for a file that is not there or may not be looked at. Take the stamp before the text: a change between the
// two is then seen the next time.
FileStamp StampOf(const std::string& path);

// The text, or nothing when it cannot be read or is longer than `bytes_max`; then `*error`, unless null, says why, and
// `*missing`, unless null, whether there is no such file.
std::optional<std::string> ReadFile(const std::string& path, std::size_t bytes_max, std::string* error = nullptr,
                                    bool* missing = nullptr);

// The same for a file that may hold secrets.
std::optional<Secret> ReadSecretFile(const std::string& path, std::size_t bytes_max, std::string* error,
                                     bool* missing = nullptr);

// The same for a regular file that does hold them. What others than its owner may read or change is an error that shows
// how to mend it; the file that was opened is judged, whatever its path means by then.
std::optional<Secret> ReadPrivateFile(const std::string& path, std::size_t bytes_max, std::string* error);

// Appends to `paths` what `pattern` matches (glob(7)), sorted, and to `folders` those that were read for it. A plain
// name is found whether or not it is there: whoever reads it will say. Returns what stood in the way, if it was more
// than that something does not exist.
std::optional<std::string> FindFiles(const std::string& pattern, std::vector<std::string>* paths,
                                     std::vector<std::string>* folders);

}  // namespace penstock
