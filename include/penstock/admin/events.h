// The route /api/v1/events: a stream of summaries of the gateway.
// Made by routes.h; Admin's thread calls it. The server and the log must outlive it.
// Invariant: a summary asks each worker once, and all its parts are from that answer.
// Does not: send (connection.h), decide when a summary is made (event_source.h).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "penstock/admin/api.h"
#include "penstock/admin/site.h"
#include "penstock/os/log.h"
#include "penstock/server/server.h"

namespace penstock {

// The event "summary", whose data are /info, /errors, /workers and /dns together. `time`: now, since 1970.
std::string SummaryEvent(const Snapshot& now, std::chrono::milliseconds time);

void AddEventRoute(Server& server, const Log& log, std::vector<Route>& routes);

}  // namespace penstock
