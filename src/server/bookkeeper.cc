#include "penstock/server/bookkeeper.h"

#include <algorithm>
#include <new>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/file.h"
#include "penstock/server/account_file.h"

namespace penstock {

bool Bookkeeper::Open(const std::string& folder, std::string* error) {
  folder_ = LockFolder(folder, error);
  path_ = folder + "/accounts";
  backup_ = path_ + ".old";
  const bool loaded = folder_.valid() && Load(error);
  if (const auto exposure = loaded ? ExposureOf(folder_) : std::nullopt) {
    log_.Write(LogLine(LogLevel::kWarn, "state-dir-exposed").Text("file", folder).Text("reason", *exposure));
  }
  if (!loaded) *error = "state-dir: " + *error;
  return loaded;
}

// The accounts in the file at `path`; nothing if there is no such file, or it is damaged and has been put aside. Sets
// `*error` if the file cannot be read or put aside.
std::optional<std::vector<AccountRecord>> Bookkeeper::ReadAccounts(const std::string& path, bool* damaged,
                                                                   std::string* error) {
  bool missing = false;
  const auto text = ReadFile(path, kAccountsFileBytesMax, error, &missing);
  if (missing) error->clear();
  if (!text) return std::nullopt;
  auto accounts = ParseAccountFile(*text);
  if (accounts) return accounts;
  *damaged = true;
  const std::string aside = path + ".damaged-" + std::to_string(TimeOfDay().count());
  if (const auto failure = RenameFile(path, aside)) *error = *failure;
  log_.Write(LogLine(LogLevel::kError, "accounts-damaged").Text("file", path).Text("renamed-to", aside));
  return std::nullopt;
}

bool Bookkeeper::Load(std::string* error) {
  bool damaged = false;
  error->clear();
  auto accounts = ReadAccounts(path_, &damaged, error);
  if (!error->empty()) return false;
  if (!accounts) {
    accounts = ReadAccounts(backup_, &damaged, error);
    if (!error->empty()) return false;
    if (accounts || damaged) {
      log_.Write(LogLine(LogLevel::kWarn, "accounts-restored").Text("file", accounts ? backup_ : "none"));
    }
  }
  if (!accounts) return true;
  for (const AccountRecord& record : *accounts) accounts_.Restore(record, TimeOfDay());
  return true;
}

void Bookkeeper::Start(std::chrono::milliseconds save_interval, std::function<void()> wake) {
  save_interval_ = save_interval;
  wake_ = std::move(wake);
  watch_ = Thread("user-limits", [this] { Watch(); });
  if (folder_.valid()) saver_ = Thread("accounts", [this] { SaveRegularly(); });
}

void Bookkeeper::Stop() {
  if (watch_.running()) {
    stopping_.store(true, std::memory_order_release);
    news_.Post();
    watch_.Join();
  }
  if (saver_.running()) {
    stop_saving_.Raise();
    saver_.Join();
  }
}

void Bookkeeper::Watch() {
  constexpr std::chrono::nanoseconds kLong = std::chrono::hours(1);
  std::uint32_t endings = accounts_.endings();
  while (!stopping_.load(std::memory_order_acquire)) {
    static_cast<void>(news_.WaitFor(accounts_.watched() ? kUsersWatchInterval : kLong));
    if (accounts_.watched()) accounts_.Watch(TimeOfDay());
    const std::uint32_t before = std::exchange(endings, accounts_.endings());
    if (endings != before) wake_();
  }
}

void Bookkeeper::SaveRegularly() {
  while (!stop_saving_.WaitFor(save_interval_)) SaveIfChanged();
  SaveIfChanged();
}

// Returns a sentence if it fails.
std::optional<std::string> Bookkeeper::Save() try {
  return ReplaceFile(path_, backup_, AccountFileText(accounts_.List()));
} catch (const std::bad_alloc&) {
  return "there is not enough memory";
}

void Bookkeeper::SaveIfChanged() {
  if (!folder_.valid()) return;
  const bool changed = accounts_.TakeChanged();
  if (!changed && !failing_) return;
  const auto failure = Save();
  if (failure && !failing_) log_.Write(LogLine(LogLevel::kError, "accounts-not-saved").Text("reason", *failure));
  if (!failure && failing_) log_.Write(LogLine(LogLevel::kNotice, "accounts-saved").Text("file", path_));
  failing_ = failure.has_value();
}

}  // namespace penstock
