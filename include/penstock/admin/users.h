// The list of users for the admin interface, as JSON: what the account of each has counted.
// Stateless; any thread.
// Invariant: GET changes nothing.
// Does not: keep accounts (policy/accounts.h), decide who may ask (site.h).
#pragma once

#include <span>
#include <string>

#include "penstock/policy/accounts.h"

namespace penstock {

// The body of GET /api/v1/users. Counts are bytes and numbers, times are seconds since 1970; what is unknown is null.
std::string UsersJson(std::span<const UserRow> rows);

}  // namespace penstock
