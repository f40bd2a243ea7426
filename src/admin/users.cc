#include "penstock/admin/users.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "penstock/admin/api.h"
#include "penstock/base/limits.h"
#include "penstock/base/quantity.h"

namespace penstock {
namespace {

void PutTime(std::string_view key, std::chrono::milliseconds time, Json& json) {
  json.Key(key);
  time.count() == 0 ? json.Null() : json.Seconds(time);
}

void PutLimits(const UserRow& row, Json& json) {
  const UserLimits& limits = row.limits;
  json.Key("max_clients");
  limits.clients_max.value_or(0) == 0 ? json.Null() : json.Number(*limits.clients_max);
  json.Key("quota");
  if (limits.quota && limits.quota->bytes != 0) {
    json.BeginObject();
    json.Key("limit").Number(limits.quota->bytes);
    json.Key("used").Number(row.kept.quota_used);
    json.Key("period").String(Describe(limits.quota->period));
    json.Key("resets").Seconds(std::chrono::milliseconds(row.kept.quota_ends));
    json.EndObject();
  } else {
    json.Null();
  }
  json.Key("expires").StringOrNull(limits.expires ? limits.expires->ToString() : "");
  json.Key("hours").StringOrNull(limits.hours ? limits.hours->text : "");
}

void PutRow(const UserRow& row, Json& json) {
  const Usage& usage = row.kept.usage;
  json.BeginObject();
  json.Key("user").String(row.kept.user);
  json.Key("sessions").Number(row.sessions);
  json.Key("sessions_total").Number(row.kept.sessions);
  json.Key("up").Number(usage.bytes.up);
  json.Key("down").Number(usage.bytes.down);
  json.Key("datagrams_up").Number(usage.datagrams.up);
  json.Key("datagrams_down").Number(usage.datagrams.down);
  json.Key("logins_failed").Number(row.kept.failed_logins);
  PutTime("first_seen", row.kept.first_seen, json);
  PutTime("last_seen", row.kept.last_seen, json);
  json.Key("clients").Number(row.clients);
  PutLimits(row, json);
  json.EndObject();
}

Response List(const Server& server, const Request& request) {
  std::size_t limit = kRowsDefault;
  std::string_view after;
  if (const auto mistake = request.QueryMistake()) return JsonError(400, *mistake);
  for (const auto& [name, value] : request.query) {
    const auto number = ParseNumber(value, 1, kRowsMax);
    if (name == "limit" && number) {
      limit = static_cast<std::size_t>(*number);
    } else if (name == "after") {
      after = value;
    } else {
      return JsonError(400, "the parameters are limit, a number from 1 to " + std::to_string(kRowsMax) +
                                ", and after, the name of a user");
    }
  }
  Json json;
  WriteUsers(json, server.Users(after, limit + 1), limit);
  return JsonResponse(200, json);
}

}  // namespace

void WriteUsers(Json& json, std::span<const UserRow> rows, std::size_t limit) {
  const auto shown = rows.first(std::min(limit, rows.size()));
  json.BeginObject().Key("users").BeginArray();
  for (const UserRow& row : shown) PutRow(row, json);
  json.EndArray().Key("next").StringOrNull(rows.size() > limit ? shown.back().kept.user : "").EndObject();
}

void AddUserRoutes(Server& server, std::vector<Route>& routes) {
  routes.push_back(
      {Method::kGet, "/api/v1/users", [&server](const Request& request) { return List(server, request); }});
}

}  // namespace penstock
