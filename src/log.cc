#include "penstock/log.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

namespace penstock {
namespace {

// A pipe with room takes this much without blocking (pipe(7), PIPE_BUF).
constexpr std::size_t kAtomicBytes = 4096;
static_assert(kLogLineBytes + 64 <= kAtomicBytes, "a line with its time must fit one write");

constexpr std::chrono::seconds kInterval{1};  // between lines about the same event

bool NeedsQuotes(std::string_view text) {
  return text.empty() || std::ranges::any_of(text, [](char c) { return c == ' ' || c == '"' || c == '='; });
}

// "2026-01-31T12:00:00.123Z level "
std::string Stamp(LogLevel level) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc;
  ::gmtime_r(&now.tv_sec, &utc);
  char date[32];
  const std::size_t size = ::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[16];
  const int length = std::snprintf(fraction, sizeof fraction, ".%03ldZ ", now.tv_nsec / 1'000'000);
  std::string stamp(date, size);
  stamp.append(fraction, static_cast<std::size_t>(length)).append(Describe(level)).push_back(' ');
  return stamp;
}

}  // namespace

std::string_view Describe(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kNotice:
      return "notice";
    case LogLevel::kInfo:
      return "info";
  }
  return "";
}

LogLine::LogLine(LogLevel level, std::string_view event) : level_(level) { Put(event); }

LogLine& LogLine::Text(std::string_view key, std::string_view foreign) {
  Key(key);
  const bool quoted = NeedsQuotes(foreign);
  if (quoted) Put("\"");
  for (const char c : foreign) {
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      Put({&c, 1});
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      Put(escaped);
    }
  }
  if (quoted) Put("\"");
  return *this;
}

LogLine& LogLine::Number(std::string_view key, std::uint64_t value) {
  Key(key);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  Put({digits, static_cast<std::size_t>(end - digits)});
  return *this;
}

LogLine& LogLine::Address(std::string_view key, const Endpoint& endpoint) {
  Key(key);
  Put(endpoint.ToString());
  return *this;
}

LogLine& LogLine::Seconds(std::string_view key, std::chrono::nanoseconds duration) {
  Key(key);
  char text[32];
  const int length = std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(duration).count());
  Put({text, static_cast<std::size_t>(length)});
  return *this;
}

void LogLine::Put(std::string_view text) { size_ += text.copy(text_.data() + size_, text_.size() - size_); }

void LogLine::Key(std::string_view key) {
  Put(" ");
  Put(key);
  Put("=");
}

Log::Log(int fd, LogLevel level) : fd_(fd), level_(level) {}

Log::~Log() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (writer_.joinable()) writer_.join();
}

void Log::Write(const LogLine& line) {
  if (!wants(line.level())) return;
  const std::string stamp = Stamp(line.level());
  {
    const std::lock_guard lock(mutex_);
    if (!writer_.joinable()) writer_ = std::thread([this] { WriteQueued(); });
    if (queue_.size() + stamp.size() + line.text().size() + 1 > kLogQueueBytes) {
      ++dropped_;
      return;
    }
    queue_.append(stamp).append(line.text()).push_back('\n');
  }
  changed_.notify_one();
}

void Log::WriteQueued() {
  ::pthread_setname_np(::pthread_self(), "log");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::string taken = std::exchange(queue_, {});
    if (const std::uint64_t dropped = std::exchange(dropped_, 0); dropped > 0) {
      LogLine line(LogLevel::kWarn, "log-dropped");
      line.Number("lines", dropped);
      taken.append(Stamp(line.level())).append(line.text()).push_back('\n');
    }
    lock.unlock();
    const bool written = WriteOut(taken);
    lock.lock();
    if (!written && stopping_) return;
  }
}

// Writes whole lines, as many at once as cannot block. False when the descriptor is broken, or when the process is
// stopping and nobody reads.
bool Log::WriteOut(std::string_view text) {
  while (!text.empty()) {
    pollfd room{fd_, POLLOUT, 0};
    const int ready = ::poll(&room, 1, 1000);
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      continue;
    }
    std::size_t size = std::min(text.size(), kAtomicBytes);
    size = text.rfind('\n', size - 1) + 1;
    const ssize_t written = ::write(fd_, text.data(), size);
    if (written < 0 && errno != EINTR && errno != EAGAIN) return false;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool LogPace::Due(std::string_view event, TimePoint now) {
  auto* const pace = std::ranges::find_if(paces_, [&](const Pace& p) { return p.event.empty() || p.event == event; });
  assert(pace != paces_.end());
  pace->event = event;
  if (now >= pace->next) {
    pace->next = now + kInterval;
    return true;
  }
  if (pace->suppressed++ == 0) pace->tell = pace->next;
  return false;
}

void LogPace::Tell(Log& log, TimePoint now) {
  for (Pace& pace : paces_) {
    if (pace.event.empty()) break;
    if (pace.suppressed == 0 || now < pace.tell) continue;
    LogLine line(LogLevel::kWarn, pace.event);
    log.Write(line.Number("suppressed", std::exchange(pace.suppressed, 0)));
  }
}

std::optional<TimePoint> LogPace::next() const {
  std::optional<TimePoint> next;
  for (const Pace& pace : paces_) {
    if (pace.event.empty()) break;
    if (pace.suppressed > 0 && (!next || pace.tell < *next)) next = pace.tell;
  }
  return next;
}

}  // namespace penstock
