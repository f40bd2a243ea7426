// Looks at the limits of users as time passes, and keeps their accounts across restarts: reads them at the start, and
// saves them every few seconds and at the end. Each in a thread of its own.
// Owned by the server; its functions are called from the thread that made it.
// Invariants:
//   - The directory holds a whole file at any time: `accounts`, or `accounts.old`, the one before. A crash loses only
//     what has changed since the last saving.
//   - A file that is damaged is renamed and named in the log, never overwritten.
//   - Two processes never use the same directory.
//   - A disk that takes long to save delays nothing but the next saving.
// Does not: count (policy/accounts.h), know the format (account_file.h).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/os/fd.h"
#include "penstock/os/log.h"
#include "penstock/os/thread.h"
#include "penstock/policy/accounts.h"

namespace penstock {

class Bookkeeper {
 public:
  // Both must outlive the bookkeeper.
  Bookkeeper(Accounts& accounts, Log& log) : accounts_(accounts), log_(log) {}
  Bookkeeper(const Bookkeeper&) = delete;
  Bookkeeper& operator=(const Bookkeeper&) = delete;
  ~Bookkeeper() { Stop(); }

  // Restores the accounts from `folder`, and saves them there from Start on. False if the directory or a file in it
  // cannot be used, with a sentence in `*error`. Warns if others may replace the files.
  [[nodiscard]] bool Open(const std::string& folder, std::string* error);

  // Starts the threads. One saves at this interval, if there is a directory. The other, while there is something to
  // watch, does that every kUsersWatchInterval and calls `wake` when sessions have to end. Throws std::system_error if
  // there is no thread left.
  void Start(std::chrono::milliseconds save_interval, std::function<void()> wake);

  // There may be something to watch now.
  void Wake() { news_.Post(); }

  // Saves for the last time, and ends the threads. Call it once nothing is counted any more.
  void Stop();

 private:
  bool Load(std::string* error);
  std::optional<std::vector<AccountRecord>> ReadAccounts(const std::string& path, bool* damaged, std::string* error);
  void Watch();
  void SaveRegularly();
  std::optional<std::string> Save();
  void SaveIfChanged();

  Accounts& accounts_;
  Log& log_;
  Fd folder_;  // locked
  std::string path_;
  std::string backup_;
  bool failing_ = false;  // the last saving failed, and the log says so
  std::chrono::milliseconds save_interval_{0};
  std::function<void()> wake_;
  Semaphore news_;  // for the watch
  std::atomic<bool> stopping_{false};
  Thread watch_;
  StopRequest stop_saving_;
  Thread saver_;
};

}  // namespace penstock
