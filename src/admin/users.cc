#include "penstock/admin/users.h"

#include <chrono>
#include <string_view>

#include "penstock/admin/json.h"

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

}  // namespace

std::string UsersJson(std::span<const UserRow> rows) {
  Json json;
  json.BeginObject().Key("users").BeginArray();
  for (const UserRow& row : rows) PutRow(row, json);
  json.EndArray().EndObject();
  return json.Take();
}

}  // namespace penstock
