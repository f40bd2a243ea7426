#include "penstock/admin/routes.h"

#include "penstock/base/counters.h"

namespace penstock {
namespace {

// Whether new clients are served: 200, or 503 with the reason why not.
Response Readiness(const Server& server) {
  switch (server.phase()) {
    case Phase::kServing:
      break;
    case Phase::kDraining:
      return TextResponse(503, "draining");
    case Phase::kStopping:
      return TextResponse(503, "stopping");
  }
  if (server.Sum(&Gauges::accepting_paused) == server.settings().workers) {
    return TextResponse(503, "accepting is paused: no session, descriptor or memory is free");
  }
  return TextResponse(200, "ready");
}

}  // namespace

std::vector<Route> RoutesOf(const Server& server) {
  return {
      {Method::kGet, "/healthz", [](const Request&) { return TextResponse(200, "ok"); }},
      {Method::kGet, "/readyz", [&server](const Request&) { return Readiness(server); }},
  };
}

}  // namespace penstock
