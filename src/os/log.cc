#include "penstock/os/log.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <utility>

#include "penstock/base/json_text.h"

namespace penstock {
namespace {

// A pipe that poll(2) reports writable takes this much without blocking (pipe(7), PIPE_BUF).
constexpr std::size_t kAtomicBytes = 4096;

constexpr unsigned kFieldsMax = 64;  // of a line, for LogLine::numbers_

// \xNN becomes \u00NN, and a field gets up to four more bytes: ,"k":"v" for k=v and a blank.
constexpr std::size_t kJsonBytesMax = kLogLineBytes * 3 / 2 + 4 * kFieldsMax;
static_assert(kJsonBytesMax + 128 <= kAtomicBytes, "a line with its time must fit one write");

constexpr std::chrono::milliseconds kLook{100};  // how often the thread checks whether the log ends

constexpr std::chrono::seconds kInterval{1};  // between two lines about one event

bool NeedsQuotes(std::string_view text) {
  return text.empty() || std::ranges::any_of(text, [](char c) { return c == ' ' || c == '"' || c == '='; });
}

int HexDigit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// A field of a line: " key=value" or " key=\"value\"".
struct Field {
  std::string_view key;
  std::string_view value;
  bool whole = false;  // the line does not end before the value does
};

Field TakeField(std::string_view& text) {
  Field field;
  text.remove_prefix(1);
  const std::size_t equals = std::min(text.find('='), text.size());
  field.key = text.substr(0, equals);
  text.remove_prefix(std::min(equals + 1, text.size()));
  const bool quoted = text.starts_with('"');
  if (quoted) text.remove_prefix(1);
  const std::size_t end = text.find(quoted ? '"' : ' ');
  field.value = text.substr(0, end);
  field.whole = end != std::string_view::npos;
  text.remove_prefix(std::min(field.value.size() + (quoted ? 1 : 0), text.size()));
  return field;
}

}  // namespace

// A line as it is written, with its time and its end.
class LogOutput {
 public:
  LogOutput(const LogLine& line, LogFormat format) {
    switch (format) {
      case LogFormat::kText:
        PutTime();
        Put(" ");
        Put(Describe(line.level()));
        Put(" ");
        Put(line.text());
        break;
      case LogFormat::kJson:
        PutJson(line);
        break;
    }
    Put("\n");
  }

  std::string_view text() const { return {text_.data(), size_}; }

 private:
  // "2026-01-31T12:00:00.123Z"
  void PutTime() {
    timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm utc;
    ::gmtime_r(&now.tv_sec, &utc);
    char time[48];
    const std::size_t date = ::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    const int fraction = std::snprintf(time + date, sizeof time - date, ".%03ldZ", now.tv_nsec / 1'000'000);
    Put({time, date + static_cast<std::size_t>(fraction)});
  }

  // The text of the line, translated. What a line that was cut has lost is left out: the end of a text, a whole number.
  void PutJson(const LogLine& line) {
    std::string_view rest = line.text();
    Put("{\"time\":\"");
    PutTime();
    Put("\",\"level\":\"");
    Put(Describe(line.level()));
    Put("\",\"event\":");
    const std::string_view event = rest.substr(0, rest.find(' '));
    PutString(event);
    rest.remove_prefix(event.size());
    unsigned number = 0;  // of the field, as LogLine counts them
    while (!rest.empty()) {
      const bool of_event = line.text().size() - rest.size() < line.event_bytes_;
      const Field field = TakeField(rest);
      const bool is_number = !of_event && (line.numbers_ >> number++ & 1) != 0;
      if (line.cut_ && !field.whole && (is_number || field.value.empty())) break;
      Put(",\"");
      Put(field.key);
      Put("\":");
      is_number ? Put(field.value) : PutString(field.value);
    }
    Put("}");
  }

  // `escaped` as LogLine::Text has written it.
  void PutString(std::string_view escaped) {
    char bytes[kLogLineBytes];
    std::size_t size = 0;
    while (!escaped.empty()) {
      const std::size_t taken = escaped.front() == '\\' ? 4 : 1;
      if (taken > escaped.size()) break;  // the line was cut here
      const int byte = taken == 1 ? escaped[0] : HexDigit(escaped[2]) * 16 + HexDigit(escaped[3]);
      bytes[size++] = static_cast<char>(byte);
      escaped.remove_prefix(taken);
    }
    std::string_view foreign(bytes, size);
    Put("\"");
    while (!foreign.empty()) Put(TakeJsonPiece(foreign).text());
    Put("\"");
  }

  void Put(std::string_view text) {
    assert(size_ + text.size() <= text_.size());
    size_ += text.copy(text_.data() + size_, text_.size() - size_);
  }

  std::size_t size_ = 0;
  std::array<char, kAtomicBytes> text_;
};

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

std::string_view Describe(LogFormat format) {
  switch (format) {
    case LogFormat::kText:
      return "text";
    case LogFormat::kJson:
      return "json";
  }
  return "";
}

LogLine::LogLine(LogLevel level, std::string_view event) : level_(level) {
  Put(event);
  event_bytes_ = size_;
}

LogLine& LogLine::Text(std::string_view key, std::string_view foreign) {
  Key(key, false);
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
  Key(key, true);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  Put({digits, static_cast<std::size_t>(end - digits)});
  return *this;
}

LogLine& LogLine::Address(std::string_view key, const Endpoint& endpoint) {
  Key(key, false);
  Put(endpoint.ToString());
  return *this;
}

LogLine& LogLine::Seconds(std::string_view key, std::chrono::nanoseconds duration) {
  Key(key, true);
  char text[32];
  const int length = std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(duration).count());
  Put({text, static_cast<std::size_t>(length)});
  return *this;
}

void LogLine::Put(std::string_view text) {
  const std::size_t room = text_.size() - size_;
  cut_ |= text.size() > room;
  size_ += text.copy(text_.data() + size_, room);
}

void LogLine::Key(std::string_view key, bool number) {
  assert(fields_ < kFieldsMax);
  if (number) numbers_ |= std::uint64_t{1} << fields_ % kFieldsMax;
  ++fields_;
  Put(" ");
  Put(key);
  Put("=");
}

// What the Log and its thread share.
struct Log::Writer {
  using SteadyTime = std::chrono::steady_clock::time_point;

  Writer(int descriptor, LogFormat first) : fd(descriptor), format(first) {}

  void Run();
  std::uint64_t WriteOut(std::string_view text);
  std::chrono::milliseconds TimeLeft();

  const int fd;
  bool torn = false;  // the last write ended within a line; the thread's own

  std::atomic<std::uint64_t> lost{0};
  std::atomic<LogFormat> format;

  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  std::string queue;
  std::uint64_t untold = 0;  // lost lines that no line has reported yet
  std::optional<SteadyTime> stop_at;
  bool ended = false;
};

Log::Log(int fd, LogLevel level, LogFormat format) : level_(level), writer_(std::make_shared<Writer>(fd, format)) {}

Log::~Log() {
  if (!thread_.running()) return;
  std::unique_lock lock(writer_->mutex);
  const auto stop_at = std::chrono::steady_clock::now() + kLogExitMax;
  writer_->stop_at = stop_at;
  writer_->changed.notify_all();
  // A write may block although poll(2) reported room (a terminal, a pipe with other writers): then the thread is
  // detached.
  const bool ended = writer_->changed.wait_until(lock, stop_at + kLook, [this] { return writer_->ended; });
  lock.unlock();
  ended ? thread_.Join() : thread_.Detach();
}

void Log::Begin() {
  const std::lock_guard lock(writer_->mutex);
  StartThread();
}

void Log::StartThread() {
  if (!thread_.running()) thread_ = Thread("log", [shared = writer_] { shared->Run(); });
}

void Log::Write(const LogLine& line) {
  if (!wants(line.level())) return;
  Writer& writer = *writer_;
  const LogOutput output(line, writer.format.load(std::memory_order_relaxed));
  {
    const std::lock_guard lock(writer.mutex);
    StartThread();
    if (writer.queue.size() + output.text().size() > kLogQueueBytes) {
      writer.lost.fetch_add(1, std::memory_order_relaxed);
      ++writer.untold;
      return;
    }
    writer.queue.append(output.text());
  }
  writer.changed.notify_all();
}

LogFormat Log::format() const { return writer_->format.load(std::memory_order_relaxed); }

void Log::set_format(LogFormat format) { writer_->format.store(format, std::memory_order_relaxed); }

std::uint64_t Log::lost() const { return writer_->lost.load(std::memory_order_relaxed); }

void Log::Writer::Run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return stop_at || !queue.empty(); });
    if (queue.empty() && untold == 0) break;
    const std::string taken = std::exchange(queue, {});
    std::uint64_t to_tell = std::exchange(untold, 0);
    lock.unlock();
    const std::uint64_t failed = WriteOut(taken);
    to_tell += failed;
    if (to_tell > 0) {
      LogLine line(LogLevel::kWarn, "log-dropped");
      line.Number("lines", to_tell);
      if (WriteOut(LogOutput(line, format.load(std::memory_order_relaxed)).text()) == 0) to_tell = 0;
    }
    lost.fetch_add(failed, std::memory_order_relaxed);
    lock.lock();
    untold += to_tell;
    if (stop_at && to_tell > 0) break;  // the report of lost lines cannot be written either
  }
  ended = true;
  changed.notify_all();
}

// Writes whole lines, at most kAtomicBytes at once, until writing fails or the time is over, after one last attempt.
// Returns the number of lines that were not written.
std::uint64_t Log::Writer::WriteOut(std::string_view text) {
  bool begins_line = !torn;
  while (!text.empty()) {
    const auto left = TimeLeft();
    pollfd room{fd, POLLOUT, 0};
    const int ready = ::poll(&room, 1, static_cast<int>(left.count()));
    ssize_t written = ready < 0 ? -1 : 0;
    if (ready > 0 && !begins_line) {
      written = ::write(fd, "\n", 1);
      begins_line = written == 1;
      torn = !begins_line;
    } else if (ready > 0) {
      const std::size_t size = std::min(text.size(), kAtomicBytes);
      written = ::write(fd, text.data(), text.rfind('\n', size - 1) + 1);
      if (written > 0) {
        torn = text[static_cast<std::size_t>(written) - 1] != '\n';
        text.remove_prefix(static_cast<std::size_t>(written));
      }
    }
    if (written < 0 && errno != EINTR && errno != EAGAIN) break;
    if (left.count() == 0) break;
  }
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

// The timeout for poll(2), at most kLook; zero once the time to end is over.
std::chrono::milliseconds Log::Writer::TimeLeft() {
  const std::lock_guard lock(mutex);
  if (!stop_at) return kLook;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*stop_at - std::chrono::steady_clock::now());
  return std::clamp(left, std::chrono::milliseconds(0), kLook);
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
