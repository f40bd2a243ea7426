// Log lines of "key=value" fields or of JSON, one for each event, written to a descriptor without blocking the caller.
// One Log per process; any thread. A thread of the Log writes the lines. It starts with the first line or Begin(), so
// call neither before privileges are dropped: a thread keeps the capabilities that it starts with.
// Invariant: a line is written whole or is lost; only a disk that fills up can cut one, which then counts as lost. If
// the reader is too slow or writing fails, lines are lost, and their number is logged as soon as writing works again.
// Deliberately not here: what to log, and rotation (a service manager or a pipe to another program does it).
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
  kError,   // it cannot start, or a reload failed
  kWarn,    // the operator should act
  kNotice,  // start, reload and stop
  kInfo,    // one line for each session
};

inline constexpr LogLevel kLogLevels[] = {LogLevel::kError, LogLevel::kWarn, LogLevel::kNotice, LogLevel::kInfo};

std::string_view Describe(LogLevel level);

enum class LogFormat : std::uint8_t {
  kText,  // 2026-01-31T12:00:00.123Z info session client=127.0.0.1:4711 reply=0
  kJson,  // {"time":"2026-01-31T12:00:00.123Z","level":"info","event":"session","client":"127.0.0.1:4711","reply":0}
};

std::string_view Describe(LogFormat format);

// Builds one line on the stack: "session client=127.0.0.1:4711 rep=0". Values are cut where the line reaches
// kLogLineBytes. Text escapes all but printable ASCII as \xNN and quotes values with blanks or quotes, so bytes of a
// client cannot forge a line or a field.
class LogLine {
 public:
  LogLine(LogLevel level, std::string_view event);  // `event` may hold fields

  LogLine& Text(std::string_view key, std::string_view foreign);
  LogLine& Number(std::string_view key, std::uint64_t value);
  LogLine& Address(std::string_view key, const Endpoint& endpoint);
  LogLine& Seconds(std::string_view key, std::chrono::nanoseconds duration);  // "12.345"

  LogLevel level() const { return level_; }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  friend class LogOutput;

  void Put(std::string_view text);
  void Key(std::string_view key, bool number);

  LogLevel level_;
  bool cut_ = false;
  std::size_t event_bytes_ = 0;  // of text_: the event and its own fields
  unsigned fields_ = 0;          // behind them
  std::uint64_t numbers_ = 0;    // bit N: the value of field N is a number
  std::size_t size_ = 0;
  std::array<char, kLogLineBytes> text_;
};

class Log {
 public:
  // Writes to `fd`, which is borrowed. Other programs may share it, so it is not made non-blocking. Lines above `level`
  // are dropped.
  Log(int fd, LogLevel level, LogFormat format = LogFormat::kText);

  // Writes what is queued and the number of lost lines, for at most kLogExitMax; drops the rest.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool wants(LogLevel level) const { return level <= level_.load(std::memory_order_relaxed); }

  // Any thread.
  LogLevel level() const { return level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  LogFormat format() const;
  void set_format(LogFormat format);  // of lines from now on

  // Starts the thread, unless a line has. Call it before a worker writes one: workers start no threads (sandbox.h).
  void Begin();

  // Queues a line, with the time of day in front. Takes a lock while it copies the line.
  void Write(const LogLine& line);

  // The number of lines that were lost because the queue was full or writing failed. Any thread; takes no lock.
  std::uint64_t lost() const;

 private:
  void StartThread();  // with the lock

  struct Writer;

  std::atomic<LogLevel> level_;
  std::shared_ptr<Writer> writer_;  // shared with its thread, which may still block in write(2) after ~Log
  Thread thread_;
};

// Limits the lines about each event that clients can cause to one a second, and counts those that it suppresses. Owned
// by one thread.
class LogPace {
 public:
  // True if a line about `event` may be written now; else counts it as suppressed. `event` must be a literal and may
  // hold fields.
  bool Due(std::string_view event, TimePoint now);

  // Logs "EVENT suppressed=N" for each event with suppressed lines whose second has passed at `now`.
  void Tell(Log& log, TimePoint now);

  // The time of the next such line; nothing if no line was suppressed.
  std::optional<TimePoint> next() const;

 private:
  struct Pace {
    std::string_view event;
    TimePoint next{};  // the next line is due from then on
    TimePoint tell{};  // Tell logs the suppressed lines then
    std::uint64_t suppressed = 0;
  };

  std::array<Pace, kLogEventsPaced> paces_;  // the used ones come first
};

}  // namespace penstock
