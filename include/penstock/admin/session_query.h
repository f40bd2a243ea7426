// The parameters of a request for sessions: which ones, how many, and in which order.
// A value, and functions without state; any thread.
// Invariant: a parameter that is unknown, empty, repeated or wrong is an error, so that a mistake never selects other
// sessions than were meant.
// Does not: ask for the sessions (routes.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "penstock/admin/http.h"
#include "penstock/base/limits.h"
#include "penstock/server/survey.h"

namespace penstock {

struct SessionQuery {
  enum class Sort : std::uint8_t {
    kNone,   // by worker and slot
    kAge,    // the oldest first
    kBytes,  // those first that have moved the most bytes
    kRate,   // those first that move the most bytes a second
  };

  SessionFilter filter;
  bool filters = false;  // `filter` has a member that is set
  std::size_t limit = kRowsDefault;
  std::optional<SessionId> after;
  Sort sort = Sort::kNone;
};

// Parses the query of `request`: client=, user=, target=, state= and command=, and for a list limit=, after= and sort=
// as well. Returns an error, one sentence, or nothing.
std::optional<std::string> ParseSessionQuery(const Request& request, bool for_list, SessionQuery* query);

}  // namespace penstock
