// The routes that show what has been: /api/v1/recent, the sessions that have ended, and /api/v1/targets.
// Made by routes.h; Admin's thread calls them. The server must outlive them.
// Invariant: the values of a session that has ended are those of its line in the log.
// Does not: keep anything (server/recent_sessions.h, server/top_targets.h).
#pragma once

#include <chrono>
#include <vector>

#include "penstock/admin/json.h"
#include "penstock/admin/site.h"
#include "penstock/server/server.h"
#include "penstock/server/survey.h"

namespace penstock {

// {"recent": ...}. `epoch` is the time since 1970 at the beginning of the steady clock.
void WriteRecent(Json& json, const RecentList& list, std::chrono::nanoseconds epoch);

// {"targets": ...}.
void WriteTargets(Json& json, const TargetList& list);

void AddHistoryRoutes(Server& server, std::vector<Route>& routes);

}  // namespace penstock
