// The list of users for the admin interface, as JSON: what the account of each has counted.
// Stateless; any thread.
// Invariant: GET changes nothing.
// Does not: keep accounts (policy/accounts.h), decide who may ask (site.h).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "penstock/admin/json.h"
#include "penstock/admin/site.h"
#include "penstock/policy/accounts.h"
#include "penstock/server/server.h"

namespace penstock {

// GET /api/v1/users?limit=N&after=NAME.
void AddUserRoutes(Server& server, std::vector<Route>& routes);

// The first `limit` rows as its body; if there are more, `next` is the name of the last one. Counts are bytes and
// numbers, times are seconds since 1970; what is unknown is null.
void WriteUsers(Json& json, std::span<const UserRow> rows, std::size_t limit);

}  // namespace penstock
