// The JSON of /api/v1: what a moment of the gateway, and sessions, look like as text.
// A Snapshot is a value; functions without state. Any thread, except that SnapshotOf asks the workers (server.h).
// Invariants:
//   - Times are seconds with 3 decimals, since 1970 if they are times of day; durations of histograms have 6. What is
//     unknown is null. States, commands, reasons and results are the words of the log and of the labels of metrics.
//   - All numbers of a snapshot about one worker are of one moment (survey.h).
// Does not: read requests (session_query.h), know paths (routes.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/admin/http.h"
#include "penstock/admin/json.h"
#include "penstock/base/counters.h"
#include "penstock/base/endpoint.h"
#include "penstock/os/log.h"
#include "penstock/os/usage.h"
#include "penstock/server/server.h"
#include "penstock/server/survey.h"

namespace penstock {

// Something that can run out.
struct NearLimit {
  std::string_view name;
  std::uint64_t used = 0;
  std::uint64_t limit = 0;
};

struct Snapshot {
  std::vector<Totals> workers;
  Totals sum;  // of them
  Phase phase = Phase::kServing;
  std::string_view unready;  // why new clients are not served; empty: they are
  std::vector<Endpoint> listening;
  std::vector<NearLimit> limits;
  ProcessUsage usage;
  std::uint32_t process = 0;            // its number
  std::chrono::milliseconds uptime{0};  // of the server
  bool reload_succeeded = true;
  std::string reload_error;
  std::chrono::milliseconds reload_success{0};  // when the configuration in force was loaded
  LogLevel log_level = LogLevel::kNotice;
  LogFormat log_format = LogFormat::kText;
  std::uint64_t log_lines_lost = 0;
};

// Takes as long as Server::SurveyEach.
Snapshot SnapshotOf(Server& server, const Log& log);

// Why new clients are not served; empty: they are. Any thread.
std::string_view UnreadyReason(const Server& server);

std::string_view Describe(Phase phase);

// The values of /info, /errors, /dns and /workers: an object each, and for the workers an array.
void WriteInfo(Json& json, const Snapshot& now);
void WriteErrors(Json& json, const Counters& counters);
void WriteDns(Json& json, const Counters& counters);
void WriteWorkers(Json& json, const std::vector<Totals>& workers);

// The members of an object that all sessions have, alive or ended.
void WriteSessionMembers(Json& json, const SessionRow& row);

// One session that is alive; `rate` in bytes per second.
void WriteSession(Json& json, const SessionRow& row, std::optional<std::uint64_t> rate);

// What a client asked for, "host:port"; empty: it has asked for nothing yet, or the name is not stored.
std::string AskedBy(const SessionRow& row);

// The answer that has `json` as its body, or {"error": sentence}.
Response JsonResponse(int status, Json& json);
Response JsonError(int status, std::string_view sentence);

// `answer` for requests without parameters; the others get 400.
std::function<Response(const Request&)> WithoutParameters(std::function<Response(const Request&)> answer);

}  // namespace penstock
