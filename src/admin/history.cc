#include "penstock/admin/history.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "penstock/admin/api.h"
#include "penstock/base/limits.h"
#include "penstock/base/quantity.h"
#include "penstock/base/socks5.h"
#include "penstock/os/clock.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

Response Recent(Server& server, const Request& request) {
  std::size_t limit = kRecentSessions;
  for (const auto& [name, value] : request.query) {
    const auto number = ParseNumber(value, 1, kRecentSessions);
    if (name != "limit" || !number || request.query.size() > 1) {
      return JsonError(400, "the only parameter is limit, a number from 1 to " + std::to_string(kRecentSessions));
    }
    limit = static_cast<std::size_t>(*number);
  }
  Json json;
  WriteRecent(json, server.RecentEndings(limit), TimeOfDay() - SteadyNow().time_since_epoch());
  return JsonResponse(200, json);
}

Response Targets(Server& server) {
  Json json;
  WriteTargets(json, server.Targets(kTopTargets));
  return JsonResponse(200, json);
}

}  // namespace

void WriteRecent(Json& json, const RecentList& list, std::chrono::nanoseconds epoch) {
  json.BeginObject().Key("recent").BeginArray();
  for (const RecentSession& session : list.sessions) {
    json.BeginObject();
    WriteSessionMembers(json, session.row);
    json.Key("reply").StringOrNull(session.reply ? socks5::kReplyWords[socks5::Rep(*session.reply)] : "");
    json.Key("rule").StringOrNull(Describe(session.decider));
    json.Key("end").String(Describe(session.end));
    json.Key("duration").Seconds(std::chrono::round<milliseconds>(session.row.age));
    json.Key("time")
        .Seconds(std::max(std::chrono::round<milliseconds>(epoch + session.ended.time_since_epoch()), milliseconds(0)))
        .EndObject();
  }
  json.EndArray().Key("complete").Bool(list.complete).EndObject();
}

void WriteTargets(Json& json, const TargetList& list) {
  json.BeginObject().Key("targets").BeginArray();
  for (const TargetRow& row : list.rows) {
    json.BeginObject().Key("target").String(row.target).Key("sessions").Number(row.sessions);
    json.Key("up").Number(row.bytes_up).Key("down").Number(row.bytes_down).Key("error").Number(row.error).EndObject();
  }
  json.EndArray().Key("complete").Bool(list.complete).EndObject();
}

void AddHistoryRoutes(Server& server, std::vector<Route>& routes) {
  routes.push_back({Method::kGet, "/api/v1/recent", [&server](const Request& r) { return Recent(server, r); }});
  routes.push_back(
      {Method::kGet, "/api/v1/targets", WithoutParameters([&server](const Request&) { return Targets(server); })});
}

}  // namespace penstock
