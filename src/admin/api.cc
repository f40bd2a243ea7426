#include "penstock/admin/api.h"

#include <utility>

#include "penstock/base/command.h"
#include "penstock/base/socks5.h"
#include "penstock/config/config.h"
#include "penstock/os/clock.h"
#include "penstock/os/process.h"

namespace penstock {
namespace {

// The value of `key` in labels such as `reason="rule"`; empty if there is none.
std::string_view Label(std::string_view labels, std::string_view key) {
  const std::string begin = std::string(key) + "=\"";
  const std::size_t at = labels.find(begin);
  if (at == std::string_view::npos) return {};
  labels.remove_prefix(at + begin.size());
  return labels.substr(0, labels.find('"'));
}

// The series of `family`, as an object with their reasons as keys.
void WriteReasons(Json& json, const Counters& counters, std::string_view family) {
  json.BeginObject();
  ForEach(counters, [&](const SeriesName& name, const Counter& counter) {
    if (name.name == family) json.Key(Label(name.labels, "reason")).Number(counter.value());
  });
  json.EndObject();
}

std::uint64_t BytesUp(const Counters& c) { return c.bytes_up.value() + c.datagram_bytes_up.value(); }
std::uint64_t BytesDown(const Counters& c) { return c.bytes_down.value() + c.datagram_bytes_down.value(); }

std::uint64_t Live(const Gauges& gauges) {
  std::uint64_t sum = 0;
  for (const Gauge& of_state : gauges.sessions) sum += of_state.value();
  return sum;
}

std::chrono::milliseconds Milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

template <class Scale>
void WriteQuantile(Json& json, const Histogram<Scale>& histogram, unsigned percent) {
  const auto units = histogram.Quantile(percent);
  if (!units) {
    json.Null();
    return;
  }
  json.Seconds(std::chrono::duration_cast<std::chrono::microseconds>(
      typename Scale::Unit(static_cast<typename Scale::Unit::rep>(*units))));
}

template <class Scale>
void WriteSum(Json& json, const Histogram<Scale>& histogram) {
  json.Seconds(std::chrono::duration_cast<std::chrono::microseconds>(
      typename Scale::Unit(static_cast<typename Scale::Unit::rep>(histogram.sum()))));
}

void WriteStates(Json& json, const Gauges& gauges) {
  json.BeginObject();
  for (std::size_t i = 0; i < gauges.sessions.size(); ++i) {
    json.Key(Describe(static_cast<SessionState>(i))).Number(gauges.sessions[i].value());
  }
  json.EndObject();
}

void WriteLimits(Json& json, const std::vector<NearLimit>& limits) {
  json.BeginArray();
  for (const NearLimit& limit : limits) {
    json.BeginObject().Key("name").String(limit.name);
    json.Key("used").Number(limit.used).Key("limit").Number(limit.limit).EndObject();
  }
  json.EndArray();
}

void WriteTotals(Json& json, const Counters& c) {
  std::uint64_t refused = 0;
  ForEach(c, [&refused](const SeriesName& name, const Counter& counter) {
    if (name.name == "connections_refused_total") refused += counter.value();
  });
  json.BeginObject().Key("accepted").Number(c.accepted.value()).Key("refused").Number(refused);
  json.Key("ended").Number(SumOf(c.ended)).Key("logins_failed").Number(c.logins_failed.value());
  json.Key("up").Number(BytesUp(c)).Key("down").Number(BytesDown(c));
  json.Key("datagrams_up").Number(c.datagrams_up.value()).Key("datagrams_down").Number(c.datagrams_down.value());
  json.EndObject();
}

std::vector<NearLimit> LimitsOf(const Settings& settings, const Totals& sum, const ProcessUsage& usage) {
  const Gauges& gauges = sum.gauges;
  const auto of_all = [&settings](std::size_t of_worker) { return of_worker * settings.workers; };
  std::vector<NearLimit> limits{
      {"max-connections", Live(gauges), settings.connections_max},
      {"pipes", gauges.pipes.value() + gauges.pipes_idle.value(), of_all(settings.pipes_max)},
      {"pending-buffers", gauges.pending_buffers.value(), of_all(settings.pending_buffers_max)},
      {"dns-sockets", gauges.dns_sockets.value(), of_all(settings.names.attempts_max)}};
  if (usage.descriptors && usage.descriptors_max) {
    limits.insert(limits.begin() + 1, {"descriptors", *usage.descriptors, *usage.descriptors_max});
  }
  return limits;
}

}  // namespace

std::string_view Describe(Phase phase) {
  switch (phase) {
    case Phase::kServing:
      return "serving";
    case Phase::kSuspended:
    case Phase::kDraining:
      return "draining";
    case Phase::kStopping:
      return "stopping";
  }
  return "";
}

std::string_view UnreadyReason(const Server& server) {
  const Phase phase = server.phase();
  if (phase != Phase::kServing) return Describe(phase);
  const bool paused = server.Sum(&Gauges::accepting_paused) == server.settings().workers;
  return paused ? "accepting is paused: no session, descriptor or memory is free" : "";
}

Snapshot SnapshotOf(Server& server, const Log& log) {
  Snapshot now;
  now.workers = server.SurveyEach();
  now.sum.accepted.resize(server.listening().size());
  for (const Totals& of_worker : now.workers) now.sum.Add(of_worker);
  now.phase = server.phase();
  now.unready = UnreadyReason(server);
  now.listening = server.listening();
  now.usage = ReadProcessUsage();
  now.limits = LimitsOf(server.settings(), now.sum, now.usage);
  now.process = ProcessId();
  now.uptime = Milliseconds(SteadyNow() - server.begun());
  now.reload_succeeded = server.last_reload_succeeded();
  now.reload_error = server.last_reload_error();
  now.reload_success = server.last_reload_success();
  now.log_level = log.level();
  now.log_format = log.format();
  now.log_lines_lost = log.lost();
  return now;
}

void WriteInfo(Json& json, const Snapshot& now) {
  json.BeginObject().Key("version").String(kProgramVersion).Key("pid").Number(now.process).Key("start_time");
  if (now.usage.started_at) {
    json.Seconds(*now.usage.started_at);
  } else {
    json.Null();
  }
  json.Key("uptime").Seconds(now.uptime).Key("phase").String(Describe(now.phase));
  json.Key("ready").Bool(now.unready.empty()).Key("reason").StringOrNull(now.unready);
  json.Key("listening").BeginArray();
  for (const Endpoint& at : now.listening) json.String(at.ToString());
  json.EndArray().Key("workers").Number(now.workers.size());
  json.Key("workers_missing").Number(now.sum.workers_missing);
  json.Key("sessions").BeginObject().Key("live").Number(Live(now.sum.gauges)).Key("states");
  WriteStates(json, now.sum.gauges);
  json.EndObject().Key("limits");
  WriteLimits(json, now.limits);
  json.Key("memory").BeginObject().Key("resident").NumberOrNull(now.usage.resident_bytes).EndObject().Key("totals");
  WriteTotals(json, now.sum.counters);
  json.Key("reload").BeginObject().Key("succeeded").Bool(now.reload_succeeded);
  json.Key("time").Seconds(now.reload_success).Key("error").StringOrNull(now.reload_error);
  json.EndObject().Key("log").BeginObject().Key("level").String(Describe(now.log_level));
  json.Key("format").String(Describe(now.log_format)).Key("lost").Number(now.log_lines_lost).EndObject().EndObject();
}

void WriteErrors(Json& json, const Counters& counters) {
  json.BeginObject().Key("replies").BeginObject();
  for (std::size_t rep = 0; rep < socks5::kReplyWords.size(); ++rep) {
    std::uint64_t sum = 0;
    for (const auto& of_command : counters.replies) sum += of_command[rep].value();
    json.Key(socks5::kReplyWords[rep]).Number(sum);
  }
  json.EndObject();
  struct Group {
    std::string_view key;
    std::string_view family;
  };
  constexpr Group kGroups[] = {{"denied", "requests_denied_total"},
                               {"handshake_failures", "handshake_failures_total"},
                               {"ends", "sessions_ended_total"},
                               {"refused", "connections_refused_total"}};
  for (const Group& group : kGroups) {
    json.Key(group.key);
    WriteReasons(json, counters, group.family);
  }
  json.EndObject();
}

void WriteDns(Json& json, const Counters& counters) {
  json.BeginObject().Key("lookups").BeginArray();
  ForEach(counters, [&](const SeriesName& name, const Counter& counter) {
    if (name.name != "dns_lookups_total") return;
    json.BeginObject().Key("source").String(Label(name.labels, "source"));
    json.Key("result").String(Label(name.labels, "result")).Key("count").Number(counter.value()).EndObject();
  });
  const auto& durations = counters.durations.dns;
  json.EndArray().Key("duration").BeginObject().Key("count").Number(durations.observations()).Key("sum");
  WriteSum(json, durations);
  json.Key("p50");
  WriteQuantile(json, durations, 50);
  json.Key("p99");
  WriteQuantile(json, durations, 99);
  json.EndObject().EndObject();
}

void WriteWorkers(Json& json, const std::vector<Totals>& workers) {
  json.BeginArray();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const Counters& c = workers[i].counters;
    json.BeginObject().Key("worker").Number(i).Key("answers").Bool(workers[i].workers_missing == 0);
    json.Key("sessions").Number(Live(workers[i].gauges)).Key("accepted").Number(c.accepted.value());
    json.Key("up").Number(BytesUp(c)).Key("down").Number(BytesDown(c));
    json.Key("turns").Number(c.durations.turns.observations()).Key("turn_p50");
    WriteQuantile(json, c.durations.turns, 50);
    json.Key("turn_p99");
    WriteQuantile(json, c.durations.turns, 99);
    json.Key("busy");
    WriteSum(json, c.durations.turns);
    json.EndObject();
  }
  json.EndArray();
}

std::string AskedBy(const SessionRow& row) {
  if (row.asked.empty()) return {};
  const auto address = IpAddress::Parse(row.asked);
  const bool v6 = address && row.asked.find(':') != std::string::npos;
  return (v6 ? '[' + row.asked + ']' : row.asked) + ':' + std::to_string(row.port);
}

void WriteSessionMembers(Json& json, const SessionRow& row) {
  json.Key("id").String(row.id.ToString()).Key("client").String(row.client.ToString());
  json.Key("user").StringOrNull(row.user);
  json.Key("command").StringOrNull(row.command ? Describe(*row.command) : std::string_view());
  json.Key("asked").StringOrNull(AskedBy(row));
  json.Key("target").StringOrNull(row.target ? row.target->ToString() : std::string());
  json.Key("state").String(Describe(row.state));
  json.Key("up").Number(row.bytes_up).Key("down").Number(row.bytes_down);
}

void WriteSession(Json& json, const SessionRow& row, std::optional<std::uint64_t> rate) {
  json.BeginObject();
  WriteSessionMembers(json, row);
  json.Key("rate").NumberOrNull(rate).Key("age").Seconds(Milliseconds(row.age)).EndObject();
}

Response JsonResponse(int status, Json& json) { return {status, "application/json", json.Take() + '\n'}; }

Response JsonError(int status, std::string_view sentence) {
  Json json;
  json.BeginObject().Key("error").String(sentence).EndObject();
  return JsonResponse(status, json);
}

std::function<Response(const Request&)> WithoutParameters(std::function<Response(const Request&)> answer) {
  return [answer = std::move(answer)](const Request& request) {
    return request.query.empty() ? answer(request) : JsonError(400, "this takes no parameter");
  };
}

}  // namespace penstock
