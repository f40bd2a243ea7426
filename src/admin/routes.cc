#include "penstock/admin/routes.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "penstock/admin/api.h"
#include "penstock/admin/events.h"
#include "penstock/admin/history.h"
#include "penstock/admin/json.h"
#include "penstock/admin/metrics.h"
#include "penstock/admin/page.h"
#include "penstock/admin/session_routes.h"
#include "penstock/admin/users.h"
#include "penstock/base/counters.h"
#include "penstock/base/limits.h"
#include "penstock/base/text.h"
#include "penstock/config/config.h"
#include "penstock/os/usage.h"

namespace penstock {
namespace {

// Whether new clients are served: 200, or 503 with the reason why not.
Response Readiness(const Server& server) {
  const std::string_view reason = UnreadyReason(server);
  return reason.empty() ? TextResponse(200, "ready") : TextResponse(503, reason);
}

// Whether an Accept header names OpenMetrics (RFC 9110 section 12.5.1: media ranges with parameters, and commas between
// them). Wildcards do not count, and neither does a weight: who can read OpenMetrics names it to get it.
bool NamesOpenMetrics(const Request& request) {
  constexpr std::string_view kType = "application/openmetrics-text";
  for (const auto& [name, value] : request.headers) {
    if (!SameButForCase(name, "Accept")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view range = rest.substr(0, comma);
      if (SameButForCase(Trimmed(range.substr(0, range.find(';'))), kType)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

Response Metrics(Server& server, const Log& log, const Request& request) {
  const bool openmetrics = NamesOpenMetrics(request);
  const Settings& settings = server.settings();
  const Totals totals = server.Survey();
  const ProcessFacts facts{
      .version = kProgramVersion,
      .listening = server.listening(),
      .sessions_max = settings.connections_max,
      .workers = settings.workers,
      .last_reload_succeeded = server.last_reload_succeeded(),
      .last_reload_success = server.last_reload_success(),
      .log_lines_lost = log.lost(),
      .usage = ReadProcessUsage(),
      .users = settings.user_metrics ? Busiest(server.Users(), kUserSeriesMax) : std::vector<UserRow>()};
  Response response;
  response.content_type = openmetrics ? kOpenMetricsContentType : kMetricsContentType;
  response.body = MetricsText(totals, facts, openmetrics);
  return response;
}

void WriteWorkersOf(Json& json, const Snapshot& now) {
  json.BeginObject().Key("workers");
  WriteWorkers(json, now.workers);
  json.EndObject();
}

void AddSnapshots(Server& server, const Log& log, std::vector<Route>& routes) {
  const auto part = [&server, &log](std::string_view path, void (*write)(Json&, const Snapshot&)) {
    return Route{Method::kGet, path, WithoutParameters([&server, &log, write](const Request&) {
                   Json json;
                   write(json, SnapshotOf(server, log));
                   return JsonResponse(200, json);
                 })};
  };
  routes.push_back(part("/api/v1/info", WriteInfo));
  routes.push_back(
      part("/api/v1/errors", [](Json& json, const Snapshot& now) { WriteErrors(json, now.sum.counters); }));
  routes.push_back(part("/api/v1/dns", [](Json& json, const Snapshot& now) { WriteDns(json, now.sum.counters); }));
  routes.push_back(part("/api/v1/workers", WriteWorkersOf));
}

}  // namespace

std::vector<Route> RoutesOf(Server& server, Log& log, Operations& operations) {
  std::vector<Route> routes{
      {Method::kGet, "/healthz", [](const Request&) { return TextResponse(200, "ok"); }},
      {Method::kGet, "/readyz", [&server](const Request&) { return Readiness(server); }},
      {Method::kGet, "/metrics", [&server, &log](const Request& request) { return Metrics(server, log, request); }},
  };
  AddSnapshots(server, log, routes);
  AddSessionRoutes(server, log, routes);
  AddControlRoutes(server, log, operations, routes);
  AddHistoryRoutes(server, routes);
  AddUserRoutes(server, routes);
  AddEventRoute(server, log, routes);
  for (Route& route : PageRoutes()) routes.push_back(std::move(route));
  return routes;
}

}  // namespace penstock
