#include "test/support/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace penstock::test {
namespace {

namespace fs = std::filesystem;

// Calls `visit(number, kind)` for each open descriptor except the one that lists them.
template <class Visit>
void ForEachDescriptor(Visit visit) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    std::string kind = fs::read_symlink(entry.path(), gone).string();
    if (gone || kind.ends_with("/fd")) continue;
    if (!kind.starts_with("anon_inode")) kind = kind.substr(0, kind.find(':'));
    visit(std::stoul(entry.path().filename().string()), kind);
  }
}

}  // namespace

std::map<std::string, std::size_t> Descriptors() {
  std::map<std::string, std::size_t> found;
  ForEachDescriptor([&](unsigned long, const std::string& kind) { ++found[kind]; });
  return found;
}

std::string ToText(const std::map<std::string, std::size_t>& descriptors) {
  std::string text;
  for (const auto& [kind, count] : descriptors) text += kind + " x " + std::to_string(count) + ", ";
  return text;
}

std::size_t Sockets() { return Descriptors()["socket"]; }

std::size_t PipeEnds() { return Descriptors()["pipe"]; }

std::size_t Threads() {
  // A sanitizer starts a thread of its own with the first thread of the program.
  [[maybe_unused]] static const bool started = (std::thread([] {}).join(), true);
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator{}));
}

std::size_t ResidentBytes() {
  std::size_t size = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

milliseconds CpuTime() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto time = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  return std::chrono::duration_cast<milliseconds>(time(used.ru_utime) + time(used.ru_stime));
}

bool IsSanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

NoMoreDescriptors::NoMoreDescriptors() {
  ::getrlimit(RLIMIT_NOFILE, &before_);
  unsigned long highest = 0;
  ForEachDescriptor([&](unsigned long number, const std::string&) { highest = std::max(highest, number); });
  rlimit lowered = before_;
  lowered.rlim_cur = highest + 1 + 8;  // the limit is for the numbers, so gaps below it are filled
  if (::setrlimit(RLIMIT_NOFILE, &lowered) != 0) throw std::runtime_error("setrlimit");
  for (Fd filler(::dup(STDIN_FILENO)); filler.valid(); filler = Fd(::dup(STDIN_FILENO))) {
    fillers_.push_back(std::move(filler));
  }
}

NoMoreDescriptors::~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

void NoMoreDescriptors::Free(std::size_t count) {
  for (; count > 0; --count) fillers_.pop_back();
}

}  // namespace penstock::test
