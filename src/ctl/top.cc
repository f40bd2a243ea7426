#include "penstock/ctl/top.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "penstock/ctl/client.h"
#include "penstock/ctl/json_value.h"
#include "penstock/ctl/report.h"
#include "penstock/ctl/screen.h"
#include "penstock/ctl/table.h"
#include "penstock/os/clock.h"
#include "penstock/os/poller.h"
#include "penstock/os/process.h"
#include "penstock/os/terminal.h"

namespace penstock {
namespace {

constexpr std::string_view kTopHelp =
    "Usage: penstock top [OPTION]...\n"
    "Shows the sessions of a running gateway, live.\n\n"
    "  --admin AT         unix:PATH or http://ADDR:PORT (unix:/run/penstock/admin.sock)\n"
    "  --token-file FILE  the token of the gateway, a file that only its owner can read\n"
    "  --help             print this help and exit\n\n"
    "Keys: q quits; r, b, a sort by rate, bytes, age; arrows and pages select; k ends the selected session.\n";

constexpr std::chrono::seconds kInterval{1};

enum class Key : unsigned char { kNone, kUp, kDown, kPageUp, kPageDown, kFirst, kLast, kOther };

// Tells keys apart in what a terminal sends, which may come in parts: ESC [ A, ESC O A, ESC [ 5 ~.
class Keyboard {
 public:
  // The key that `byte` completes, kNone if it completes none. kOther: `byte` itself.
  Key Take(char byte) {
    switch (state_) {
      case State::kGround:
        if (byte == '\x1b') state_ = State::kEscape;
        return byte == '\x1b' ? Key::kNone : Key::kOther;
      case State::kEscape:
        state_ = byte == '[' || byte == 'O' ? State::kSequence : State::kGround;
        number_ = '\0';
        return Key::kNone;
      case State::kSequence:
        if ((byte >= '0' && byte <= '9') || byte == ';') {
          if (number_ == '\0') number_ = byte;
          return Key::kNone;
        }
        state_ = State::kGround;
        return Named(byte);
    }
    return Key::kNone;
  }

 private:
  enum class State : unsigned char { kGround, kEscape, kSequence };

  Key Named(char last) const {
    switch (last == '~' ? number_ : last) {
      case 'A':
        return Key::kUp;
      case 'B':
        return Key::kDown;
      case '5':
        return Key::kPageUp;
      case '6':
        return Key::kPageDown;
      case 'H':
      case '1':
        return Key::kFirst;
      case 'F':
      case '4':
        return Key::kLast;
      default:
        return Key::kNone;
    }
  }

  State state_ = State::kGround;
  char number_ = '\0';  // the first digit of the sequence
};

class Top {
 public:
  Top(AdminAddress admin, Secret token) : client_(std::move(admin), std::move(token)) {}

  CtlResult Run() {
    std::string error;
    terminal_ = Terminal::Open(&error);
    if (terminal_ == nullptr) return {kExitFailure, "", error};
    if (!poller_.AddReader(terminal_->keys_fd(), Cookie{kKeys, {}}) ||
        !poller_.AddReader(terminal_->signals_fd(), Cookie{kSignals, {}})) {
      return {kExitFailure, "", "the system has no memory to wait for keys"};
    }
    while (!ended_ && !terminal_->gone()) {
      if (!asking_ && SteadyNow() >= next_) BeginRound();
      terminal_->Draw(screen_.Frame(terminal_->size()));
      Wait();
    }
    return {};
  }

 private:
  enum Tag : std::uint8_t { kKeys, kSignals, kGateway };
  // The requests of a round, in their order; kKill comes between two rounds.
  enum class Request : unsigned char { kInfo, kWorkers, kSessions, kKill };

  void Wait() {
    const TimePoint until = asking_ ? client_.deadline() : next_;
    const int count = poller_.Wait(std::max(until - SteadyNow(), TimePoint::duration::zero()));
    bool answered = asking_ && SteadyNow() >= client_.deadline();
    for (int i = 0; i < count; ++i) {
      switch (poller_.At(i).cookie.tag) {
        case kKeys:
          for (const char byte : terminal_->TakeKeys()) OnByte(byte);
          break;
        case kSignals:
          OnSignals();
          break;
        default:
          answered = true;
      }
    }
    if (answered && asking_) Advance(client_.Step());
  }

  void OnSignals() {
    for (;;) {
      switch (terminal_->TakeSignal()) {
        case Terminal::Signal::kNone:
          return;
        case Terminal::Signal::kResized:
          break;  // the next frame has the new size
        case Terminal::Signal::kEnd:
          ended_ = true;
      }
    }
  }

  void OnByte(char byte) {
    const Key key = keyboard_.Take(byte);
    if (key != Key::kNone && !lost_) screen_.set_notice({});
    if (!to_kill_.empty()) {
      if (key != Key::kNone) OnReply(key == Key::kOther && (byte == 'y' || byte == 'Y'));
      return;
    }
    const auto page = static_cast<std::ptrdiff_t>(screen_.rows_shown(terminal_->size()));
    constexpr std::ptrdiff_t kAll = 1 << 30;
    switch (key) {
      case Key::kNone:
        break;
      case Key::kUp:
        return screen_.Move(-1);
      case Key::kDown:
        return screen_.Move(1);
      case Key::kPageUp:
        return screen_.Move(-page);
      case Key::kPageDown:
        return screen_.Move(page);
      case Key::kFirst:
        return screen_.Move(-kAll);
      case Key::kLast:
        return screen_.Move(kAll);
      case Key::kOther:
        OnLetter(byte);
    }
  }

  void OnLetter(char letter) {
    switch (letter) {
      case 'q':
        ended_ = true;
        break;
      case 'r':
        return SortBy("rate");
      case 'b':
        return SortBy("bytes");
      case 'a':
        return SortBy("age");
      case 'k':
        to_kill_ = screen_.selected();
        if (!to_kill_.empty()) screen_.set_question("End session " + screen_.selected_line() + "? y/n");
        break;
      default:
        break;
    }
  }

  void SortBy(std::string_view sort) {
    sort_ = sort;
    screen_.set_sort(sort);
    next_ = {};
  }

  // To the question whether to end the session.
  void OnReply(bool yes) {
    screen_.set_question({});
    if (yes) killing_ = std::exchange(to_kill_, {});
    to_kill_.clear();
    next_ = {};
  }

  void BeginRound() {
    next_ = SteadyNow() + kInterval;
    if (killing_.empty()) {
      Ask(Request::kInfo, "GET", "/api/v1/info");
    } else {
      const std::string id = std::exchange(killing_, {});
      Ask(Request::kKill, "DELETE", "/api/v1/sessions/" + PercentEncoded(id));
    }
  }

  void Ask(Request request, std::string_view method, const std::string& target) {
    request_ = request;
    asking_ = true;
    Advance(client_.Begin(method, target, poller_, Cookie{kGateway, {}}));
  }

  void Advance(AdminClient::Progress progress) {
    if (progress == AdminClient::Progress::kWaiting) return;
    asking_ = false;
    if (progress == AdminClient::Progress::kAnswered) return OnAnswer(client_.answer());
    screen_.set_notice("Trying again: " + client_.error());
    lost_ = true;
  }

  void OnAnswer(const Answer& answer) {
    auto body = JsonValue::Parse(answer.body);
    if (std::exchange(lost_, false)) screen_.set_notice({});
    const bool good = answer.status == 200 && body;
    switch (request_) {
      case Request::kKill:
        screen_.set_notice(good ? "" : RefusalOf(answer, body, "top"));
        next_ = {};
        break;
      case Request::kInfo:
        if (!good) return OnRefusal(answer, body);
        screen_.SetInfo(std::move(*body), SteadyNow());
        return Ask(Request::kWorkers, "GET", "/api/v1/workers");
      case Request::kWorkers:
        // A gateway without this page has no load to show.
        screen_.SetWorkers(good ? std::move(*body) : JsonValue(), SteadyNow());
        return Ask(Request::kSessions, "GET", "/api/v1/sessions?limit=1000&sort=" + std::string(sort_));
      case Request::kSessions:
        if (!good) return OnRefusal(answer, body);
        screen_.SetSessions(*body);
        break;
    }
  }

  void OnRefusal(const Answer& answer, const std::optional<JsonValue>& body) {
    screen_.set_notice(RefusalOf(answer, body, "top"));
    lost_ = true;
  }

  AdminClient client_;
  Poller poller_;
  std::unique_ptr<Terminal> terminal_;
  Screen screen_;
  Keyboard keyboard_;
  std::string_view sort_ = "rate";
  std::string to_kill_;  // the ID in the question on the screen
  std::string killing_;  // the ID to end at the next round
  Request request_ = Request::kInfo;
  TimePoint next_{};  // when the next round begins
  bool asking_ = false;
  bool lost_ = false;  // the notice is about the connection
  bool ended_ = false;
};

}  // namespace

CtlResult RunTop(std::span<const std::string_view> arguments) {
  std::string error;
  auto parsed = CtlArguments::Parse(arguments, {}, &error);
  if (parsed && (!parsed->words.empty() || parsed->json)) {
    error = parsed->json ? "top does not take --json" : "unknown word '" + parsed->words.front() + "'";
  }
  if (!error.empty()) return {kExitUsage, "", Printable(error) + "; see penstock top --help"};
  if (parsed->help) return {kExitClean, std::string(kTopHelp), ""};
  return Top(std::move(parsed->admin), std::move(parsed->token)).Run();
}

}  // namespace penstock
