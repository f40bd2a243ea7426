#include "penstock/os/usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>

#include "penstock/os/file.h"

namespace penstock {
namespace {

constexpr std::size_t kProcBytesMax = 1024 * 1024;  // of /proc/stat: a line for each CPU and one for all interrupts

// The number in field `index` of `text`, from 0; nothing if there is none.
std::optional<std::uint64_t> NumberAt(std::string_view text, std::size_t index) {
  for (; index > 0; --index) {
    const std::size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    text.remove_prefix(blank + 1);
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

std::optional<std::chrono::microseconds> CpuTime() {
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return std::nullopt;
  return std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         std::chrono::microseconds(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

// Since Linux 6.2 the number is the size of the directory. Before, its entries are counted, without the one that reads
// it: a microsecond each.
std::optional<std::size_t> OpenDescriptors() {
  struct stat status {};
  if (::stat("/proc/self/fd", &status) == 0 && status.st_size > 0) return static_cast<std::size_t>(status.st_size);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), &::closedir);
  if (directory == nullptr) return std::nullopt;
  std::size_t count = 0;
  while (const dirent* const entry = ::readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count - 1;
}

std::optional<std::size_t> DescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return limit.rlim_cur;
}

// Field 22 of /proc/self/stat is the start in clock ticks since the boot, and "btime" in /proc/stat the boot in seconds
// since 1970. The name of the program, field 2, may contain blanks; it ends at the last parenthesis.
std::optional<std::chrono::milliseconds> StartTime() {
  const auto own = ReadFile("/proc/self/stat", kProcBytesMax);
  const auto host = ReadFile("/proc/stat", kProcBytesMax);
  if (!own || !host) return std::nullopt;
  const std::size_t name_end = own->rfind(')');
  const std::size_t boot = host->find("\nbtime ");
  if (name_end == std::string::npos || boot == std::string::npos) return std::nullopt;
  const auto ticks = NumberAt(std::string_view(*own).substr(name_end), 20);
  const auto booted = NumberAt(std::string_view(*host).substr(boot), 1);
  const auto ticks_per_second = ::sysconf(_SC_CLK_TCK);
  if (!ticks || !booted || ticks_per_second <= 0) return std::nullopt;
  return std::chrono::seconds(*booted) +
         std::chrono::milliseconds(*ticks * 1000 / static_cast<std::uint64_t>(ticks_per_second));
}

}  // namespace

ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  usage.cpu = CpuTime();
  if (const auto pages = ReadFile("/proc/self/statm", kProcBytesMax)) {
    const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    if (const auto all = NumberAt(*pages, 0)) usage.virtual_bytes = *all * page_bytes;
    if (const auto resident = NumberAt(*pages, 1)) usage.resident_bytes = *resident * page_bytes;
  }
  usage.descriptors = OpenDescriptors();
  usage.descriptors_max = DescriptorLimit();
  usage.started_at = StartTime();
  return usage;
}

}  // namespace penstock
