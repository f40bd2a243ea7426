#include "penstock/ctl/screen.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "penstock/ctl/report.h"
#include "penstock/ctl/table.h"

namespace penstock {
namespace {

constexpr std::string_view kReverse = "\x1b[7m";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kPlain = "\x1b[0m";

constexpr std::size_t kHeaderLines = 5;
constexpr std::string_view kKeyLine = "q quit  r by rate  b by bytes  a by age  Up Down PgUp PgDn select  k end";

double SecondsBetween(TimePoint from, TimePoint to) { return std::chrono::duration<double>(to - from).count(); }

// How much a number that only grows has grown; 0 after a restart of the gateway.
double Growth(const JsonValue& before, const JsonValue& after) {
  return std::clamp(after.number() - before.number(), 0.0, 1e18);
}

// `text` as one whole line of the terminal. No sequence clears the rest of a line: behind the last column, it would
// clear that.
std::string Styled(std::string_view style, std::string_view text, std::size_t columns) {
  std::string line = Cut(text, columns);
  line.resize(columns, ' ');
  return style.empty() ? line : std::string(style).append(line).append(kPlain);
}

std::string IdOf(const JsonValue& session) { return session["id"].text(); }

}  // namespace

void Screen::SetInfo(JsonValue info, TimePoint now) {
  const double seconds = SecondsBetween(info_at_, now);
  rates_.reset();
  if (info["start_time"].text() == info_["start_time"].text() && seconds > 0 && !info_.is_null()) {
    const JsonValue& before = info_["totals"];
    const JsonValue& after = info["totals"];
    rates_ = {Growth(before["accepted"], after["accepted"]) / seconds, Growth(before["up"], after["up"]) / seconds,
              Growth(before["down"], after["down"]) / seconds};
  }
  info_ = std::move(info);
  info_at_ = now;
}

void Screen::SetWorkers(JsonValue workers, TimePoint now) {
  const double seconds = SecondsBetween(workers_at_, now);
  const auto& before = workers_["workers"].items();
  const auto& after = workers["workers"].items();
  load_.clear();
  for (std::size_t i = 0; i < std::min(before.size(), after.size()) && seconds > 0; ++i) {
    load_.push_back(std::min(Growth(before[i]["busy"], after[i]["busy"]) / seconds, 1.0));
  }
  workers_ = std::move(workers);
  workers_at_ = now;
}

void Screen::SetSessions(const JsonValue& answer) {
  const std::string id = selected();
  sessions_ = answer["sessions"].items();
  const auto found = std::ranges::find(sessions_, id, IdOf);
  if (found != sessions_.end()) selected_ = static_cast<std::size_t>(found - sessions_.begin());
  Move(0);
}

void Screen::Move(std::ptrdiff_t rows) {
  const auto last = static_cast<std::ptrdiff_t>(sessions_.size()) - 1;
  const auto to =
      std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(selected_) + rows, 0, std::max<std::ptrdiff_t>(last, 0));
  selected_ = static_cast<std::size_t>(to);
}

// Above them: the header and the titles; below: the keys.
std::size_t Screen::rows_shown(Terminal::Size size) const {
  return size.rows > kHeaderLines + 2 ? size.rows - kHeaderLines - 2 : 0;
}

std::string Screen::selected() const { return sessions_.empty() ? "" : IdOf(sessions_[selected_]); }

std::string Screen::selected_line() const {
  if (sessions_.empty()) return {};
  const JsonValue& session = sessions_[selected_];
  const std::string who = session["user"].is_null() ? "" : " of " + session["user"].text();
  return session["id"].text() + who + " from " + TextOf(session["client"]) + " to " + TextOf(session["asked"]);
}

std::string Screen::Frame(Terminal::Size size) const {
  std::vector<std::string> lines = Header(size.columns);
  Table table({{"ID"},
               {"CLIENT", Table::Align::kLeft, true},
               {"USER", Table::Align::kLeft, true},
               {"ASKED", Table::Align::kLeft, true},
               {"STATE"},
               {"UP", Table::Align::kRight},
               {"DOWN", Table::Align::kRight},
               {"RATE", Table::Align::kRight},
               {"AGE", Table::Align::kRight}});
  const std::size_t room = rows_shown(size);
  const std::size_t first =
      room == 0 ? 0 : selected_ / room * room;  // whole pages: rows do not move with the selection
  for (std::size_t i = first; i < std::min(first + room, sessions_.size()); ++i) {
    const JsonValue& row = sessions_[i];
    table.Add({TextOf(row["id"]), TextOf(row["client"]), TextOf(row["user"]), TextOf(row["asked"]),
               TextOf(row["state"]), BytesOf(row["up"]), BytesOf(row["down"]),
               row["rate"].is_null() ? "-" : HumanBits(row["rate"].number() * 8), TimeOf(row["age"])});
  }
  const std::vector<std::string> rows = table.Lines(size.columns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool selected = i > 0 && first + i - 1 == selected_;
    lines.push_back(Styled(i == 0 ? kBold : selected ? kReverse : "", rows[i], size.columns));
  }
  // The last line of the terminal has the keys, or a question.
  lines.resize(std::max<std::size_t>(size.rows, 1) - 1, Styled("", "", size.columns));
  const std::string last = question_.empty() ? std::string(kKeyLine) : Printable(question_);
  lines.push_back(Styled(question_.empty() ? "" : kReverse, last, size.columns));
  std::string frame;
  for (const std::string& line : lines) frame.append(frame.empty() ? "" : "\r\n").append(line);
  return frame;
}

std::vector<std::string> Screen::Header(std::size_t columns) const {
  const JsonValue& totals = info_["totals"];
  const std::string speed = rates_ ? HumanBits(rates_->up * 8) + " up, " + HumanBits(rates_->down * 8) + " down, " +
                                         std::to_string(Rounded(rates_->accepted)) + " new sessions/s"
                                   : "-";
  std::vector<std::string> lines = {
      "penstock " + TextOf(info_["version"]) + "  " + TextOf(info_["phase"]) +
          (info_["reason"].is_null() ? "" : " (" + info_["reason"].text() + ")") + ", up " + TimeOf(info_["uptime"]) +
          ", " + TextOf(info_["sessions"]["live"]) +
          (info_["sessions"]["live"].whole() == 1 ? " session" : " sessions") + ", sorted by " + std::string(sort_),
      "traffic  " + speed + "; in all " + BytesOf(totals["up"]) + " up, " + BytesOf(totals["down"]) + " down",
      "workers  " + Load(),
      "limits   " + Limits(),
      notice_,
  };
  for (std::string& line : lines) {
    line = Styled(&line == &lines.back() && !notice_.empty() ? kReverse : "", Printable(line), columns);
  }
  return lines;
}

std::string Screen::Load() const {
  if (load_.empty()) return TextOf(info_["workers"]);
  std::string text;
  for (std::size_t i = 0; i < load_.size(); ++i) {
    text += (i == 0 ? "" : "  ") + std::to_string(i) + ": " + Percent(load_[i], 1);
  }
  return text;
}

// The nearest first.
std::string Screen::Limits() const {
  std::vector<JsonValue> limits = info_["limits"].items();
  const auto nearness = [](const JsonValue& limit) {
    return limit["limit"].number() > 0 ? limit["used"].number() / limit["limit"].number() : 0;
  };
  std::ranges::stable_sort(limits, std::ranges::greater(), nearness);
  std::string text;
  for (const JsonValue& limit : limits) {
    text += (text.empty() ? "" : "  ") + TextOf(limit["name"]) + ' ' + TextOf(limit["used"]) + '/' +
            TextOf(limit["limit"]) + " (" + Percent(limit["used"].number(), limit["limit"].number()) + ')';
  }
  return text.empty() ? "-" : text;
}

}  // namespace penstock
