// The live page of the admin interface, for browsers: the files of src/admin/page/, which the program contains.
// Stateless; any thread.
// Invariant: the files are the same for everybody. The script gets all that it shows from the routes of the API, under
// their permissions, and no file refers to another site.
// Does not: know the gateway (routes.h), decide who may ask (site.h).
#pragma once

#include <vector>

#include "penstock/admin/site.h"

namespace penstock {

// GET / and the files that it refers to. They are public (Route::is_public).
std::vector<Route> PageRoutes();

}  // namespace penstock
