#include "penstock/admin/events.h"

#include <memory>
#include <utility>

#include "penstock/admin/event_source.h"
#include "penstock/admin/json.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"

namespace penstock {

// JSON has no end of a line, so it is one line of data.
std::string SummaryEvent(const Snapshot& now, std::chrono::milliseconds time) {
  Json json;
  json.BeginObject().Key("time").Seconds(time).Key("info");
  WriteInfo(json, now);
  json.Key("errors");
  WriteErrors(json, now.sum.counters);
  json.Key("workers");
  WriteWorkers(json, now.workers);
  json.Key("dns");
  WriteDns(json, now.sum.counters);
  json.EndObject();
  return "event: summary\ndata: " + json.Take() + "\n\n";
}

void AddEventRoute(Server& server, const Log& log, std::vector<Route>& routes) {
  const auto source =
      std::make_shared<EventSource>([&server, &log] { return SummaryEvent(SnapshotOf(server, log), TimeOfDay()); });
  routes.push_back({Method::kGet, "/api/v1/events", WithoutParameters([source](const Request&) {
                      Response response;
                      response.content_type = "text/event-stream";
                      response.events = source->Join();
                      if (response.events != nullptr) return response;
                      return JsonError(503, std::to_string(kEventReadersMax) + " clients read the events already");
                    })});
}

}  // namespace penstock
