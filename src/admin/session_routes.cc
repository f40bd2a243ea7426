#include "penstock/admin/session_routes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "penstock/admin/api.h"
#include "penstock/admin/json.h"
#include "penstock/admin/session_query.h"
#include "penstock/admin/session_rates.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"

namespace penstock {
namespace {

constexpr std::string_view kSessionPath = "/api/v1/sessions/";
constexpr std::string_view kNoSession = "there is no such session; it may have ended";
constexpr std::string_view kNoAnswer = "a worker does not answer";

// The lists of sessions and their rates. Used by the routes, on their thread.
class SessionRoutes {
 public:
  SessionRoutes(Server& server, Log& log) : server_(server), log_(log) {}

  Response List(const Request& request);
  Response One(const Request& request);
  Response EndOne(const Request& request) const;
  Response EndSome(const Request& request) const;

 private:
  struct Rated {
    SessionRow row;
    std::optional<std::uint64_t> rate;
  };

  std::vector<Rated> WithRates(std::vector<SessionRow> rows);
  std::vector<Rated> Sorted(const SessionQuery& query, bool* complete);

  Response End(const SessionFilter& filter, bool one) const;

  Server& server_;
  Log& log_;
  SessionRates rates_;
};

std::vector<SessionRoutes::Rated> SessionRoutes::WithRates(std::vector<SessionRow> rows) {
  const TimePoint now = SteadyNow();
  rates_.Forget(now);
  std::vector<Rated> rated;
  rated.reserve(rows.size());
  for (SessionRow& row : rows) {
    const auto rate = rates_.Update(row, now);
    rated.push_back({std::move(row), rate});
  }
  return rated;
}

// The first of all sessions of the query in its order. Reads them in pieces, and keeps the best of them, so that the
// number of sessions bounds the time only, and kAnswerTimeout does that.
std::vector<SessionRoutes::Rated> SessionRoutes::Sorted(const SessionQuery& query, bool* complete) {
  const auto precedes = [&query](const Rated& one, const Rated& other) {
    const auto weight = [&query](const Rated& session) -> std::uint64_t {
      if (query.sort == SessionQuery::Sort::kAge) return static_cast<std::uint64_t>(session.row.age.count());
      if (query.sort == SessionQuery::Sort::kRate) return session.rate.value_or(0);
      return session.row.bytes_up + session.row.bytes_down;
    };
    return weight(one) > weight(other);
  };
  const TimePoint deadline = SteadyNow() + kAnswerTimeout;
  std::vector<Rated> best;
  std::optional<SessionId> after;
  do {
    SessionList list = server_.Sessions(query.filter, kRowsMax, after);
    std::ranges::move(WithRates(std::move(list.rows)), std::back_inserter(best));
    const auto count = static_cast<std::ptrdiff_t>(std::min(query.limit, best.size()));
    std::ranges::partial_sort(best, best.begin() + count, precedes);
    best.resize(static_cast<std::size_t>(count));
    after = list.next;
    *complete = list.complete && (!after || SteadyNow() < deadline);
  } while (*complete && after);
  return best;
}

Response SessionRoutes::List(const Request& request) {
  SessionQuery query;
  if (const auto error = ParseSessionQuery(request, true, &query)) return JsonError(400, *error);
  bool complete = true;
  std::optional<SessionId> next;
  std::vector<Rated> sessions;
  if (query.sort != SessionQuery::Sort::kNone) {
    sessions = Sorted(query, &complete);
  } else {
    SessionList list = server_.Sessions(query.filter, query.limit, query.after);
    complete = list.complete;
    next = list.next;
    sessions = WithRates(std::move(list.rows));
  }
  Json json;
  json.BeginObject().Key("sessions").BeginArray();
  for (const Rated& session : sessions) WriteSession(json, session.row, session.rate);
  json.EndArray().Key("next").StringOrNull(next ? next->ToString() : "");
  json.Key("complete").Bool(complete).EndObject();
  return JsonResponse(200, json);
}

Response SessionRoutes::One(const Request& request) {
  const auto id = SessionId::Parse(std::string_view(request.path).substr(kSessionPath.size()));
  if (!id) return JsonError(404, kNoSession);
  SessionList list = server_.Sessions({.id = id}, 1);
  if (!list.complete) return JsonError(503, kNoAnswer);
  if (list.rows.empty()) return JsonError(404, kNoSession);
  const std::vector<Rated> found = WithRates(std::move(list.rows));
  Json json;
  WriteSession(json, found.front().row, found.front().rate);
  return JsonResponse(200, json);
}

Response SessionRoutes::End(const SessionFilter& filter, bool one) const {
  const SessionsEnded ended = server_.EndSessions(filter);
  if (ended.count > 0) {
    log_.Write(LogLine(LogLevel::kNotice, "admin").Text("action", "end-sessions").Number("sessions", ended.count));
  }
  if (!ended.complete) return JsonError(503, "a worker does not answer; it may still end sessions");
  if (one && ended.count == 0) return JsonError(404, kNoSession);
  Json json;
  json.BeginObject().Key("ended").Number(ended.count).EndObject();
  return JsonResponse(200, json);
}

Response SessionRoutes::EndOne(const Request& request) const {
  const auto id = SessionId::Parse(std::string_view(request.path).substr(kSessionPath.size()));
  if (!id) return JsonError(404, kNoSession);
  return End({.id = id}, true);
}

Response SessionRoutes::EndSome(const Request& request) const {
  SessionQuery query;
  if (const auto error = ParseSessionQuery(request, false, &query)) return JsonError(400, *error);
  if (!query.filters) return JsonError(400, "name the sessions: client, user, target, state or command");
  return End(query.filter, false);
}

}  // namespace

void AddSessionRoutes(Server& server, Log& log, std::vector<Route>& routes) {
  const auto sessions = std::make_shared<SessionRoutes>(server, log);
  routes.push_back({Method::kGet, "/api/v1/sessions", [=](const Request& r) { return sessions->List(r); }});
  routes.push_back({Method::kDelete, "/api/v1/sessions", [=](const Request& r) { return sessions->EndSome(r); }});
  routes.push_back(
      {Method::kGet, "/api/v1/sessions/*", WithoutParameters([=](const Request& r) { return sessions->One(r); })});
  routes.push_back({Method::kDelete, "/api/v1/sessions/*",
                    WithoutParameters([=](const Request& r) { return sessions->EndOne(r); })});
}

}  // namespace penstock
