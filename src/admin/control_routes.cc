#include "penstock/admin/control_routes.h"

#include <algorithm>
#include <string_view>

#include "penstock/admin/api.h"
#include "penstock/admin/json.h"

namespace penstock {
namespace {

// An answer with one member.
Response Word(int status, std::string_view key, std::string_view word) {
  Json json;
  json.BeginObject().Key(key).String(word).EndObject();
  return JsonResponse(status, json);
}

void Note(Log& log, std::string_view action) { log.Write(LogLine(LogLevel::kNotice, "admin").Text("action", action)); }

Response Config(const Log& log, Operations& operations) {
  Json json;
  json.BeginObject().Key("config").BeginArray();
  for (OptionValue& option : operations.Options()) {
    if (option.option == "log-level" && option.value != Describe(log.level())) {
      option.value = Describe(log.level());
      option.source = "the admin interface";
    }
    json.BeginObject().Key("option").String(option.option).Key("value");
    if (option.value) {
      json.String(*option.value);
    } else {
      json.Null();
    }
    json.Key("source").String(option.source).EndObject();
  }
  json.EndArray().EndObject();
  return JsonResponse(200, json);
}

Response Reload(Log& log, Operations& operations) {
  Note(log, "reload");
  const auto error = operations.Reload();
  Json json;
  json.BeginObject().Key("reloaded");
  if (!error) {
    json.Null().Key("error").String("the reload takes longer; its outcome will be in /api/v1/info");
  } else if (error->empty()) {
    json.Bool(true);
  } else {
    json.Bool(false).Key("error").String(*error);
  }
  json.EndObject();
  return JsonResponse(!error ? 202 : error->empty() ? 200 : 422, json);
}

// All workers that answer have stopped accepting before the response.
Response Drain(Server& server, Log& log) {
  if (server.Suspend()) {
    Note(log, "drain");
    static_cast<void>(server.Survey());
  }
  if (server.phase() == Phase::kStopping) return JsonError(409, "the gateway is stopping");
  return Word(200, "phase", Describe(server.phase()));
}

Response Undrain(Server& server, Log& log) {
  if (!server.Resume()) return JsonError(409, "the gateway is stopping: it does not serve again");
  Note(log, "undrain");
  static_cast<void>(server.Survey());
  return Word(200, "phase", Describe(server.phase()));
}

Response SetLogLevel(Log& log, const Request& request) {
  const auto word = request.Parameter("level");
  const auto* const level = std::ranges::find(kLogLevels, word.value_or(""), [](LogLevel l) { return Describe(l); });
  if (request.query.size() != 1 || level == std::end(kLogLevels)) {
    return JsonError(400, "give level, one of error, warn, notice, info");
  }
  log.set_level(*level);
  Note(log, "log-level " + std::string(Describe(*level)));
  return Word(200, "level", Describe(*level));
}

}  // namespace

void AddControlRoutes(Server& server, Log& log, Operations& operations, std::vector<Route>& routes) {
  const auto add = [&routes](Method method, std::string_view path, auto answer) {
    routes.push_back({method, path, WithoutParameters([=](const Request&) { return answer(); })});
  };
  add(Method::kGet, "/api/v1/config", [&] { return Config(log, operations); });
  add(Method::kPost, "/api/v1/reload", [&] { return Reload(log, operations); });
  add(Method::kPost, "/api/v1/drain", [&] { return Drain(server, log); });
  add(Method::kPost, "/api/v1/undrain", [&] { return Undrain(server, log); });
  routes.push_back({Method::kPost, "/api/v1/log-level", [&](const Request& r) { return SetLogLevel(log, r); }});
}

}  // namespace penstock
