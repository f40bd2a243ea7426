// A stream of events (text/event-stream, https://html.spec.whatwg.org/multipage/server-sent-events.html): one event
// each kEventInterval, made once for all its readers.
// Owned by the routes, and outlives its readers; Admin's thread only.
// Invariants:
//   - An event is made only for a reader that asks for it, and at most one in kEventInterval, however many readers
//     there are. So a stream that nobody reads costs nothing.
//   - A reader that asks once in kEventInterval or less often gets no event twice.
//   - At most kEventReadersMax readers exist.
// Does not: send (connection.h), keep events for a reader that is slow: it gets the newest.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "penstock/os/clock.h"

namespace penstock {

class EventSource;

// A reader's place; destroying it frees the place.
struct LeaveEventSource {
  void operator()(EventSource* source) const;
};
using EventReader = std::unique_ptr<EventSource, LeaveEventSource>;

class EventSource {
 public:
  // `make` returns a whole event with its empty line, and takes at most kAnswerTimeout.
  explicit EventSource(std::function<std::string()> make) : make_(std::move(make)) {}
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  // A place for one more reader; null if there is none.
  EventReader Join();

  // The newest event. Valid until the next call.
  const std::string& Newest();

 private:
  friend LeaveEventSource;

  const std::function<std::string()> make_;
  std::string event_;  // empty: none has been made
  TimePoint made_{};
  std::size_t readers_ = 0;
};

}  // namespace penstock
