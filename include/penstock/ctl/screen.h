// What penstock top shows: the last answers of the gateway, the selected session, and a frame of it for any terminal.
// A value of penstock top; one thread.
// Invariant: a frame covers the terminal exactly, and is printable (table.h) but for the sequences that choose how text
// looks, and the ends of lines. The selection follows its session while that is listed.
// Does not: ask the gateway, read keys (top.h), write to the terminal (os/terminal.h).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/ctl/json_value.h"
#include "penstock/os/clock.h"
#include "penstock/os/terminal.h"

namespace penstock {

class Screen {
 public:
  // The answers to /api/v1/info and /api/v1/workers, which were asked for at `now`: rates come from the last two. The
  // workers are null if the gateway does not tell.
  void SetInfo(JsonValue info, TimePoint now);
  void SetWorkers(JsonValue workers, TimePoint now);

  // The answer to /api/v1/sessions, in the order in which it is shown.
  void SetSessions(const JsonValue& answer);

  void set_sort(std::string_view sort) { sort_ = sort; }                // rate, bytes or age; a literal
  void set_notice(std::string notice) { notice_ = std::move(notice); }  // a line above the sessions; foreign text
  void set_question(std::string question) { question_ = std::move(question); }  // in place of the keys

  // Moves the selection by `rows`, and stops at the first and the last session.
  void Move(std::ptrdiff_t rows);

  std::size_t rows_shown(Terminal::Size size) const;  // of sessions

  // The ID of the selected session, and its line; empty if there is none.
  std::string selected() const;
  std::string selected_line() const;

  // A whole frame: a line for each row of the terminal, each as wide as the terminal.
  std::string Frame(Terminal::Size size) const;

 private:
  struct Rates {
    double accepted = 0;  // per second
    double up = 0;        // bytes per second
    double down = 0;
  };

  std::vector<std::string> Header(std::size_t columns) const;
  std::string Load() const;
  std::string Limits() const;

  JsonValue info_;
  TimePoint info_at_{};
  std::optional<Rates> rates_;

  JsonValue workers_;
  TimePoint workers_at_{};
  std::vector<double> load_;  // of each worker, from 0 to 1

  std::vector<JsonValue> sessions_;
  std::size_t selected_ = 0;
  std::string_view sort_ = "rate";
  std::string notice_;
  std::string question_;
};

}  // namespace penstock
