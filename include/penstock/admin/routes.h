// What the admin interface shows of the gateway: a table of routes, one line each.
// Made by main for Admin, whose thread calls them; the server, the log and the operations must outlive them.
// Invariant: GET changes nothing. A route reads what any thread may read, or asks the workers, which takes at most
// kAnswerTimeout.
// Does not: decide who may ask (site.h).
#pragma once

#include <vector>

#include "penstock/admin/control_routes.h"
#include "penstock/admin/site.h"
#include "penstock/os/log.h"
#include "penstock/server/server.h"

namespace penstock {

std::vector<Route> RoutesOf(Server& server, Log& log, Operations& operations);

}  // namespace penstock
