// The routes that show the configuration and change how the gateway runs: /api/v1/config, /reload, /drain, /undrain and
// /log-level.
// Made by routes.h; Admin's thread calls them. What they refer to must outlive them.
// Invariants: each change is logged. What a reload does is decided by the program (Operations), not here.
// Does not: end sessions (session_routes.h), read options (config.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "penstock/admin/site.h"
#include "penstock/config/config.h"
#include "penstock/os/log.h"
#include "penstock/server/server.h"

namespace penstock {

// What the admin interface asks of the program around the server. Any thread; each returns within kAnswerTimeout.
class Operations {
 public:
  virtual ~Operations() = default;

  // Reloads the configuration. Returns the error, empty: it succeeded; nothing if the reload takes longer.
  virtual std::optional<std::string> Reload() = 0;

  // All options with the values that hold now.
  virtual std::vector<OptionValue> Options() = 0;
};

void AddControlRoutes(Server& server, Log& log, Operations& operations, std::vector<Route>& routes);

}  // namespace penstock
