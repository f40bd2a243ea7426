// Log lines on a descriptor, one an event, "key=value", that never block whoever writes them.
// One Log per process, used by every thread; a thread of its own, begun with the first line, does the writing: rights
// that are given up before there is a line are not kept by that thread.
// Invariant: a line is written whole or not at all (a disk that is full in the middle of one aside: then it counts as
// lost). When the reader is slower than the lines, or writing fails, lines are lost, and how many is told as soon as
// the log works again.
// Deliberately not here: what is worth a line, and rotation (send standard error to a program that does it).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"
#include "penstock/os/thread.h"

namespace penstock {

enum class LogLevel : std::uint8_t {
  kError,   // it cannot go on
  kWarn,    // the operator should know
  kNotice,  // start and stop
  kInfo,    // a line a session
};

std::string_view Describe(LogLevel level);

// One line in the making, on the stack: "session-end client=127.0.0.1:4711 reply=0". A value that is longer than the
// room left is cut. Foreign bytes go through Text, which escapes everything but printable ASCII as \xNN, quotes what
// has blanks or quotes, and so cannot forge a line or a field.
class LogLine {
 public:
  LogLine(LogLevel level, std::string_view event);

  LogLine& Text(std::string_view key, std::string_view foreign);
  LogLine& Number(std::string_view key, std::uint64_t value);
  LogLine& Address(std::string_view key, const Endpoint& endpoint);
  LogLine& Seconds(std::string_view key, std::chrono::nanoseconds duration);  // "12.345"

  LogLevel level() const { return level_; }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  void Put(std::string_view text);
  void Key(std::string_view key);

  LogLevel level_;
  std::size_t size_ = 0;
  std::array<char, kLogLineBytes> text_;
};

class Log {
 public:
  // Writes to `fd`, which is borrowed and stays as it is (it may be shared with other programs, so it is never made
  // non-blocking). Lines above `level` are not written.
  Log(int fd, LogLevel level);

  // Writes out what is queued, for kLogExitMax at most, however slowly the log is read; tells how many lines were lost.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool wants(LogLevel level) const { return level <= level_.load(std::memory_order_relaxed); }

  // From now on; any thread.
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

  // Queues a line with the time of day before it. Takes a lock, for as long as it takes to copy the line.
  void Write(const LogLine& line);

  // Lines that were wanted and are not in the log: there was no room for them, or writing failed.
  std::uint64_t lost() const;

 private:
  struct Writer;

  std::atomic<LogLevel> level_;
  std::shared_ptr<Writer> writer_;  // also its thread's, which may be stuck in a write when the log ends
  Thread thread_;
};

// At most one line a second about each event that strangers can cause at will, and how many were suppressed. Owned by
// one thread.
class LogPace {
 public:
  // True when a line about `event`, a literal that may hold fields as well, may be written now; else it counts as
  // suppressed.
  bool Due(std::string_view event, TimePoint now);

  // Tells of what has been suppressed for a second: "event suppressed=N".
  void Tell(Log& log, TimePoint now);

  // When there is something to tell; nothing: when something has been suppressed.
  std::optional<TimePoint> next() const;

 private:
  struct Pace {
    std::string_view event;
    TimePoint next{};  // line
    TimePoint tell{};
    std::uint64_t suppressed = 0;
  };

  std::array<Pace, kLogEventsPaced> paces_;  // those with an event come first
};

}  // namespace penstock
