#include "penstock/os/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/file.h"
#include "test/support/sockets.h"
#include "test/support/temp_directory.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

LogLine Event() { return {LogLevel::kInfo, "event"}; }

std::string Text(const LogLine& line) { return std::string(line.text()); }

struct LogPipe {
  LogPipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);  // blocking, as standard error is
    read = Fd(ends[0]);
    write = Fd(ends[1]);
    REQUIRE(::fcntl(read.get(), F_SETFL, O_NONBLOCK) == 0);
  }

  // Everything up to `enough` or the end; empty when nothing comes in time.
  template <class Enough>
  std::string ReadUntil(Enough enough) const {
    std::string text;
    char room[65536];
    while (!enough(text)) {
      if (!unit::WaitFor(read.get(), POLLIN)) return {};
      const ssize_t got = ::read(read.get(), room, sizeof room);
      if (got == 0) break;
      if (got > 0) text.append(room, static_cast<std::size_t>(got));
    }
    return text;
  }

  // Fills the pipe until a write would block.
  void Fill() const {
    ::fcntl(write.get(), F_SETFL, O_NONBLOCK);
    const char filler[4096]{};
    while (::write(write.get(), filler, sizeof filler) > 0) {
    }
    ::fcntl(write.get(), F_SETFL, 0);
  }

  Fd read, write;
};

const std::string kStampTime = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)";
const std::string kStamp = kStampTime + ' ';

TEST_CASE("log: a line has an event and its fields, in order") {
  CHECK(Text(Event()) == "event");
  const LogLine line = std::move(Event()
                                     .Address("client", unit::At("127.0.0.1:4711"))
                                     .Address("target", unit::At("[::1]:80"))
                                     .Number("reply", 0)
                                     .Number("up", 18446744073709551615U)
                                     .Seconds("seconds", 12'345ms)
                                     .Text("end", "closed"));
  CHECK(Text(line) ==
        "event client=127.0.0.1:4711 target=[::1]:80 reply=0 up=18446744073709551615 seconds=12.345 end=closed");
  CHECK(line.level() == LogLevel::kInfo);
}

TEST_CASE("log: seconds have three decimal places") {
  CHECK(Text(Event().Seconds("s", 0ns)) == "event s=0.000");
  CHECK(Text(Event().Seconds("s", 999'999ns)) == "event s=0.001");
  CHECK(Text(Event().Seconds("s", 36h)) == "event s=129600.000");
}

TEST_CASE("log: bytes of a client cannot forge a line or a field") {
  const struct {
    std::string foreign;
    std::string written;
  } rows[] = {
      {"plain", "plain"},
      {"example.com", "example.com"},
      {"~!@#$%^&*()_+", "~!@#$%^&*()_+"},
      {"", "\"\""},
      {"two words", "\"two words\""},
      {"key=value", "\"key=value\""},
      {"say \"hi\"", "\"say \\x22hi\\x22\""},
      {"\"", "\"\\x22\""},
      {"back\\slash", "back\\x5cslash"},
      {"a\nerror forged", "\"a\\x0aerror forged\""},
      {"a\r\n\t", "a\\x0d\\x0a\\x09"},
      {std::string("\0", 1), "\\x00"},
      {"\x1b[31m", "\\x1b[31m"},
      {"\x7f\x80\xff", "\\x7f\\x80\\xff"},
      {"b\xc3\xbc"
       "cher",
       "b\\xc3\\xbccher"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.written);
    CHECK(Text(Event().Text("name", row.foreign)) == "event name=" + row.written);
  }
}

TEST_CASE("log: a line is cut at its limit") {
  const std::string much(3 * kLogLineBytes, 'x');
  LogLine line = Event();
  line.Text("name", much).Text("more", much).Number("n", 1);
  CHECK(line.text().size() == kLogLineBytes);
  CHECK(line.text() == ("event name=" + much).substr(0, kLogLineBytes));

  LogLine escaped = Event();
  escaped.Text("name", std::string(kLogLineBytes, '\n'));
  CHECK(escaped.text().size() == kLogLineBytes);
  CHECK(escaped.text().find('\n') == std::string_view::npos);
}

TEST_CASE("log: every level has a name, and errors come first; every format has one") {
  CHECK(Describe(LogFormat::kText) == "text");
  CHECK(Describe(LogFormat::kJson) == "json");
  CHECK(Describe(LogLevel::kError) == "error");
  CHECK(Describe(LogLevel::kWarn) == "warn");
  CHECK(Describe(LogLevel::kNotice) == "notice");
  CHECK(Describe(LogLevel::kInfo) == "info");
  const LogPipe pipe;
  const Log log(pipe.write.get(), LogLevel::kWarn);
  CHECK(log.wants(LogLevel::kError));
  CHECK(log.wants(LogLevel::kWarn));
  CHECK_FALSE(log.wants(LogLevel::kNotice));
  CHECK_FALSE(log.wants(LogLevel::kInfo));
}

TEST_CASE("log: a line is written with its time and level, and one above the level is not") {
  LogPipe pipe;
  {
    Log log(pipe.write.get(), LogLevel::kNotice);
    log.Write(LogLine(LogLevel::kInfo, "unwanted"));
    log.Write(LogLine(LogLevel::kNotice, "first"));
    log.Write(std::move(LogLine(LogLevel::kError, "second").Number("n", 7)));
  }
  pipe.write.Close();
  const std::string text = pipe.ReadUntil([](const std::string&) { return false; });
  CHECK_MESSAGE(std::regex_match(text, std::regex(kStamp + "notice first\n" + kStamp + "error second n=7\n")), text);
}

// What a log in JSON writes, behind the time.
std::string Json(const LogLine& line) {
  LogPipe pipe;
  { Log(pipe.write.get(), LogLevel::kInfo, LogFormat::kJson).Write(line); }
  pipe.write.Close();
  const std::string text = pipe.ReadUntil([](const std::string&) { return false; });
  const std::string before = R"({"time":"2026-01-31T12:00:00.123Z",)";
  REQUIRE(text.size() > before.size());
  CHECK_MESSAGE(std::regex_match(text.substr(0, before.size()), std::regex(R"(\{"time":")" + kStampTime + "\",")),
                text);
  CHECK(text.ends_with("}\n"));
  return text.substr(before.size(), text.size() - before.size() - 1);
}

TEST_CASE("log: in JSON, a line is an object with numbers as numbers") {
  CHECK(Json(Event()) == R"("level":"info","event":"event"})");
  CHECK(Json(std::move(Event()
                           .Address("target", unit::At("[::1]:80"))
                           .Number("up", 18446744073709551615U)
                           .Seconds("seconds", 12'345ms)
                           .Text("user", "007")
                           .Number("reply", 0))) ==
        R"("level":"info","event":"event","target":"[::1]:80","up":18446744073709551615,"seconds":12.345,)"
        R"("user":"007","reply":0})");
  LogLine line(LogLevel::kWarn, R"(paused reason="no descriptors" of=7)");
  CHECK(Json(line.Number("n", 1)) == R"("level":"warn","event":"paused","reason":"no descriptors","of":"7","n":1})");
}

TEST_CASE("log: in JSON, bytes of a client cannot forge a line or a member") {
  const struct {
    std::string foreign;
    std::string written;
  } rows[] = {
      {"", ""},
      {"two words", "two words"},
      {"a=b c=d", "a=b c=d"},
      {R"(","event":"forged)", R"(\",\"event\":\"forged)"},
      {R"(back\slash \x41 \u0041)", R"(back\\slash \\x41 \\u0041)"},
      {"a\nb\r\t", R"(a\u000ab\u000d\u0009)"},
      {std::string("\0", 1), R"(\u0000)"},
      {"\x1b[31m\x7f", R"(\u001b[31m\u007f)"},
      {"b\xc3\xbc"
       "cher \xf0\x9f\x9a\xb0",
       "b\xc3\xbc"
       "cher \xf0\x9f\x9a\xb0"},
      {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.written);
    CHECK(Json(Event().Text("name", row.foreign).Number("n", 1)) ==
          R"("level":"info","event":"event","name":")" + row.written + R"(","n":1})");
  }
}

TEST_CASE("log: in JSON, a line that is too long is still an object, without a part of a number") {
  const std::string head = R"("level":"info","event":"event","name":")";
  const std::string text = "event name=";
  for (std::size_t missing = 0; missing < 16; ++missing) {
    CAPTURE(missing);
    const std::string name(kLogLineBytes - text.size() - missing, 'x');
    const std::string json = Json(Event().Text("name", name).Number("number", 1234567).Text("more", "y"));
    CHECK_MESSAGE(json == head + name + "\"}", json);
  }
  for (std::size_t missing = 0; missing < 8; ++missing) {
    CAPTURE(missing);
    const std::string name(kLogLineBytes - text.size() - missing, 'x');
    const std::string json = Json(Event().Text("name", name + "\n\n\n"));
    CHECK_MESSAGE(json == head + name + (missing < 4 ? "\"}" : "\\u000a\"}"), json);
  }
  const std::string json = Json(Event().Text("name", std::string(kLogLineBytes, '\n')));
  CHECK(json.size() < 2 * kLogLineBytes);
  CHECK(json.ends_with("\\u000a\"}"));
}

TEST_CASE("log: a new format applies from the next line on") {
  LogPipe pipe;
  {
    Log log(pipe.write.get(), LogLevel::kNotice);
    log.Write(LogLine(LogLevel::kNotice, "first"));
    log.set_format(LogFormat::kJson);
    log.Write(LogLine(LogLevel::kNotice, "second"));
    log.set_format(LogFormat::kText);
    log.Write(LogLine(LogLevel::kNotice, "third"));
  }
  pipe.write.Close();
  const std::string text = pipe.ReadUntil([](const std::string&) { return false; });
  CHECK_MESSAGE(std::regex_match(
                    text, std::regex(kStamp + "notice first\n\\{\"time\":\"" + kStampTime +
                                     "\",\"level\":\"notice\",\"event\":\"second\"\\}\n" + kStamp + "notice third\n")),
                text);
}

TEST_CASE("log: a new level applies from the next line on") {
  LogPipe pipe;
  {
    Log log(pipe.write.get(), LogLevel::kNotice);
    log.set_level(LogLevel::kInfo);
    CHECK(log.wants(LogLevel::kInfo));
    log.Write(LogLine(LogLevel::kInfo, "now"));
    log.set_level(LogLevel::kError);
    log.Write(LogLine(LogLevel::kWarn, "unwanted"));
  }
  pipe.write.Close();
  const std::string text = pipe.ReadUntil([](const std::string&) { return false; });
  CHECK_MESSAGE(std::regex_match(text, std::regex(kStamp + "info now\n")), text);
}

TEST_CASE("log: a line is written at once, not only when the log ends") {
  const LogPipe pipe;
  Log log(pipe.write.get(), LogLevel::kInfo);
  for (const char* event : {"one", "two"}) {
    log.Write(LogLine(LogLevel::kInfo, event));
    const std::string text = pipe.ReadUntil([](const std::string& so_far) { return so_far.ends_with('\n'); });
    CHECK_MESSAGE(std::regex_match(text, std::regex(kStamp + "info " + event + "\n")), text);
  }
}

TEST_CASE("log: the flags of the descriptor do not change") {
  const LogPipe pipe;
  const int before = ::fcntl(pipe.write.get(), F_GETFL);
  { Log log(pipe.write.get(), LogLevel::kInfo); }
  CHECK(::fcntl(pipe.write.get(), F_GETFL) == before);
  CHECK(unit::IsOpen(pipe.write.get()));
}

TEST_CASE("log: several threads write whole lines") {
  LogPipe pipe;
  constexpr int kThreads = 4;
  constexpr int kLines = 100;
  {
    Log log(pipe.write.get(), LogLevel::kInfo);
    std::vector<std::thread> writers;
    for (int thread = 0; thread < kThreads; ++thread) {
      writers.emplace_back([&log] {
        for (int i = 0; i < kLines; ++i) log.Write(Event().Text("pad", "0123456789"));
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  pipe.write.Close();
  const std::string text = pipe.ReadUntil([](const std::string&) { return false; });
  const std::regex lines("(" + kStamp + "info event pad=0123456789\n)");
  const std::sregex_iterator begin(text.begin(), text.end(), lines);
  CHECK(std::distance(begin, std::sregex_iterator()) == kThreads * kLines);
  CHECK(std::regex_replace(text, lines, "").empty());
}

TEST_CASE("log: a slow reader gets whole lines in order, and the number of lost lines") {
  LogPipe pipe;
  pipe.Fill();
  const std::string pad(900, 'p');
  constexpr std::uint64_t kLines = 3 * kLogQueueBytes / 900;
  Log log(pipe.write.get(), LogLevel::kInfo);
  for (std::uint64_t n = 0; n < kLines; ++n) log.Write(Event().Number("n", n).Text("pad", pad));

  // The filler first, then lines; each is accounted for: written or told to be dropped.
  std::uint64_t written = 0, dropped = 0, last = 0, expected_next = 0;
  std::string text;
  bool in_order = true, whole = true;
  while (written + dropped < kLines) {
    const std::string more = pipe.ReadUntil([](const std::string& so_far) { return so_far.ends_with('\n'); });
    REQUIRE_FALSE(more.empty());
    text += more;
    std::size_t begin = text.find_first_not_of('\0');
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string line = text.substr(begin, end - begin);
      unsigned long long number = 0;
      if (const auto at = line.find(" info event n="); at != std::string::npos) {
        whole = whole && line.ends_with(" pad=" + pad) && at == 24;
        REQUIRE(std::sscanf(line.c_str() + at, " info event n=%llu", &number) == 1);
        in_order = in_order && number >= expected_next;
        expected_next = number + 1;
        last = number;
        ++written;
      } else {
        const auto drop = line.find(" warn log-dropped lines=");
        REQUIRE_MESSAGE(drop == 24, line);
        REQUIRE(std::sscanf(line.c_str() + drop, " warn log-dropped lines=%llu", &number) == 1);
        dropped += number;
      }
    }
    text.erase(0, begin);
  }
  CHECK(in_order);
  CHECK(whole);
  CHECK(last < kLines);
  CHECK(dropped > 0);
  CHECK(written > kLogQueueBytes / 1024);
  CHECK(written + dropped == kLines);

  log.Write(LogLine(LogLevel::kInfo, "afterwards"));
  CHECK(pipe.ReadUntil([](const std::string& so_far) { return so_far.ends_with("afterwards\n"); }) != "");
}

TEST_CASE("log: a reader that stops does not delay the end") {
  const LogPipe pipe;
  pipe.Fill();
  const auto begin = std::chrono::steady_clock::now();
  {
    Log log(pipe.write.get(), LogLevel::kInfo);
    log.Write(Event());
  }
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("log: a slow reader does not delay the end") {
  const LogPipe pipe;
  REQUIRE(::fcntl(pipe.write.get(), F_SETPIPE_SZ, 4096) == 4096);
  const std::string pad(900, 'p');
  std::atomic<bool> over = false;
  std::thread reader([&] {  // a page every 50 ms: 13 s for all of them
    char room[4096];
    while (!over) {
      ::poll(nullptr, 0, 50);
      std::ignore = ::read(pipe.read.get(), room, sizeof room);
    }
  });
  auto log = std::make_unique<Log>(pipe.write.get(), LogLevel::kInfo);
  for (std::size_t n = 0; n < kLogQueueBytes / 1024; ++n) log->Write(Event().Text("pad", pad));
  const auto begin = std::chrono::steady_clock::now();
  log.reset();
  CHECK(std::chrono::steady_clock::now() - begin < 4s);
  over = true;
  reader.join();
}

TEST_CASE("log: a write that blocks does not delay the end") {
  Fd reader(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(::grantpt(reader.get()) == 0);
  REQUIRE(::unlockpt(reader.get()) == 0);
  // Not closed: the thread of the log may be in it, as it may at the end of a program.
  const int terminal = ::open(::ptsname(reader.get()), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  const std::string pad(900, 'p');
  const auto begin = std::chrono::steady_clock::now();
  {
    Log log(terminal, LogLevel::kInfo);
    for (int n = 0; n < 500; ++n) log.Write(Event().Text("pad", pad));
  }
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  reader.Close();  // and the write returns
}

// A log that is /dev/full until Mend() makes a pipe of it.
struct FullDisk {
  void Lose(int lines) {
    for (int n = 0; n < lines; ++n) log->Write(Event());
    REQUIRE(unit::WaitUntil([&] { return log->lost() == static_cast<std::uint64_t>(lines); }));
  }
  void Mend() const { REQUIRE(::dup3(pipe.write.get(), disk.get(), O_CLOEXEC) == disk.get()); }
  std::string TextAtEnd() {
    log.reset();
    disk.Close();
    pipe.write.Close();
    return pipe.ReadUntil([](const std::string&) { return false; });
  }

  LogPipe pipe;
  Fd disk{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  std::unique_ptr<Log> log = std::make_unique<Log>(disk.get(), LogLevel::kInfo);
};

TEST_CASE("log: lines that cannot be written are counted, and reported when writing works again") {
  FullDisk full;
  full.Lose(3);
  full.Mend();
  full.log->Write(LogLine(LogLevel::kInfo, "afterwards"));
  const std::string text = full.TextAtEnd();
  CHECK_MESSAGE(
      std::regex_match(text, std::regex(kStamp + "info afterwards\n" + kStamp + "warn log-dropped lines=3\n")), text);
}

TEST_CASE("log: lines that cannot be written are reported at the end, if no line is written before") {
  FullDisk full;
  full.Lose(2);
  full.Mend();
  const std::string text = full.TextAtEnd();
  CHECK_MESSAGE(std::regex_match(text, std::regex(kStamp + "warn log-dropped lines=2\n")), text);
}

TEST_CASE("log: a line that a full disk cuts counts as lost, and the next one starts on a new line") {
  const test::TempDirectory directory;
  const std::string path = directory.Write("log", "");
  const Fd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  void (*const handler)(int) = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{40, before.rlim_max};  // in the middle of the line
  {
    Log log(file.get(), LogLevel::kInfo);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
    log.Write(Event().Text("n", "12345"));
    CHECK(unit::WaitUntil([&] { return log.lost() == 1; }));
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    log.Write(Event().Text("n", "2"));
  }
  ::signal(SIGXFSZ, handler);
  const std::string text = *ReadFile(path, 4096);
  const std::regex told(kStamp + "info event n=12\n" + kStamp + "info event n=2\n" + kStamp +
                        "warn log-dropped lines=1\n");
  CHECK_MESSAGE(std::regex_match(text, told), text);
}

TEST_CASE("log: a reader that has gone delays nothing") {
  void (*const before)(int) = ::signal(SIGPIPE, SIG_IGN);
  LogPipe pipe;
  pipe.read.Close();
  const auto begin = std::chrono::steady_clock::now();
  {
    Log log(pipe.write.get(), LogLevel::kInfo);
    for (int i = 0; i < 100; ++i) log.Write(Event());
  }
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  ::signal(SIGPIPE, before);
}

TEST_CASE("log pace: each event that clients can cause is logged once a second") {
  LogPace pace;
  const TimePoint now{1h};
  CHECK(pace.Due("garbage", now));
  CHECK_FALSE(pace.Due("garbage", now));
  CHECK(pace.Due("login-failed", now + 500ms));
  CHECK_FALSE(pace.Due("garbage", now + 999ms));
  CHECK(pace.Due("garbage", now + 1s));
  CHECK_FALSE(pace.Due("login-failed", now + 1s));
  CHECK_FALSE(pace.Due("garbage", now + 1999ms));
  CHECK(pace.Due("garbage", now + 1h));
}

TEST_CASE("log pace: the number of suppressed lines is logged once, after a second") {
  LogPipe pipe;
  const TimePoint now{1h};
  {
    Log log(pipe.write.get(), LogLevel::kWarn);
    LogPace pace;
    CHECK_FALSE(pace.next());
    pace.Due("garbage", now);
    CHECK_FALSE(pace.next());
    for (int i = 0; i < 3; ++i) pace.Due("garbage", now + 100ms);
    pace.Due("login-failed", now + 200ms);
    pace.Due("login-failed", now + 300ms);
    CHECK(pace.next() == now + 1s);
    pace.Tell(log, now + 999ms);
    pace.Due("garbage", now + 1s);  // the next line does not put off what is to be told
    pace.Tell(log, now + 1s);
    CHECK(pace.next() == now + 1200ms);
    pace.Tell(log, now + 1200ms);
    CHECK_FALSE(pace.next());
    pace.Tell(log, now + 1h);
  }
  pipe.write.Close();
  const std::string text = pipe.ReadUntil([](const std::string&) { return false; });
  const std::regex told(kStamp + "warn garbage suppressed=3\n" + kStamp + "warn login-failed suppressed=1\n");
  CHECK_MESSAGE(std::regex_match(text, told), text);
}

}  // namespace
}  // namespace penstock
