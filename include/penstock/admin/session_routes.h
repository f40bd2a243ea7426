// The routes that list and end sessions: /api/v1/sessions.
// Made by routes.h; Admin's thread calls them. The server and the log must outlive them.
// Invariant: a list keeps at most kRowsMax sessions and one piece of as many at a time. A sorted one takes at most
// kAnswerTimeout and one piece, and says so if that was too short for all sessions.
// Does not: read parameters (session_query.h), write a row (api.h).
#pragma once

#include <vector>

#include "penstock/admin/site.h"
#include "penstock/os/log.h"
#include "penstock/server/server.h"

namespace penstock {

void AddSessionRoutes(Server& server, Log& log, std::vector<Route>& routes);

}  // namespace penstock
