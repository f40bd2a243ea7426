// What the admin interface shows of the gateway: a table of routes, one line each.
// Made by main for Admin, whose thread calls them; the server must outlive them.
// Invariant: GET changes nothing, and a route reads only what any thread may read.
// Does not: decide who may ask (site.h).
#pragma once

#include <vector>

#include "penstock/admin/site.h"
#include "penstock/server/server.h"

namespace penstock {

std::vector<Route> RoutesOf(const Server& server);

}  // namespace penstock
