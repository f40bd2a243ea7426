#include "penstock/ctl/report.h"

#include <string_view>
#include <utility>
#include <vector>

#include "penstock/base/text.h"
#include "penstock/ctl/table.h"

namespace penstock {
namespace {

using Align = Table::Align;

double SecondsOf(std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); }

std::string Ago(const JsonValue& time, std::chrono::milliseconds now) {
  return time.is_null() ? "-" : HumanTime(SecondsOf(now) - time.number()) + " ago";
}

// "relay 10, nego 2", without what is 0.
std::string Counts(const JsonValue& object) {
  std::string text;
  for (std::size_t i = 0; i < object.names().size(); ++i) {
    const JsonValue& count = object.items()[i];
    if (count.whole() == 0) continue;
    text += (text.empty() ? "" : ", ") + object.names()[i] + ' ' + count.text();
  }
  return text;
}

std::string Joined(const JsonValue& array) {
  std::string text;
  for (const JsonValue& item : array.items()) text += (text.empty() ? "" : ", ") + item.text();
  return text.empty() ? "-" : text;
}

std::string UsedOf(const JsonValue& limit) {
  const JsonValue& used = limit["used"];
  const JsonValue& most = limit["limit"];
  return TextOf(limit["name"]) + ' ' + TextOf(used) + " of " + TextOf(most) + " (" +
         Percent(used.number(), most.number()) + ')';
}

std::string LimitsOf(const JsonValue& info) {
  std::string text;
  for (const JsonValue& limit : info["limits"].items()) text += (text.empty() ? "" : ", ") + UsedOf(limit);
  return text.empty() ? "-" : text;
}

std::string ReloadOf(const JsonValue& reload, std::chrono::milliseconds now) {
  const std::string loaded = Ago(reload["time"], now);
  if (reload["succeeded"].is_true()) return "succeeded " + loaded;
  return "failed, and what was loaded " + loaded + " holds: " + TextOf(reload["error"]);
}

// "1.20 GiB of 10.0 GiB a month, at most 3 clients" and so on; empty if there is none.
std::string RestrictionsOf(const JsonValue& user, std::chrono::milliseconds now) {
  std::string text;
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if (const JsonValue& quota = user["quota"]; !quota.is_null()) {
    add(BytesOf(quota["used"]) + " of " + BytesOf(quota["limit"]) + " a " + TextOf(quota["period"]));
    if (!quota["resets"].is_null()) add("resets in " + HumanTime(quota["resets"].number() - SecondsOf(now)));
  }
  if (!user["max_clients"].is_null()) add("at most " + TextOf(user["max_clients"]) + " clients");
  if (!user["expires"].is_null()) add("until " + TextOf(user["expires"]));
  if (!user["hours"].is_null()) add(TextOf(user["hours"]));
  return text;
}

std::string_view MoreIn(const JsonValue& answer) {
  return answer["next"].is_null() ? "" : "There are more: --limit N.\n";
}

}  // namespace

std::string RefusalOf(const Answer& answer, const std::optional<JsonValue>& body, std::string_view command) {
  if (body && !(*body)["error"].text().empty()) return (*body)["error"].text();
  std::string_view rest = answer.body;
  const std::string line = rest.empty() ? std::to_string(answer.status) : std::string(TakeLine(rest));
  switch (answer.status) {
    case 401:
      return "the gateway wants its token: give --token-file FILE";
    case 404:
    case 405:
      return "this gateway does not know the command " + std::string(command) + " (" + line + ")";
    default:
      return "the gateway refuses: " + line;
  }
}

std::string TextOf(const JsonValue& value) { return value.text().empty() ? "-" : value.text(); }

std::string BytesOf(const JsonValue& value) { return value.is_null() ? "-" : HumanBytes(value.number()); }

std::string TimeOf(const JsonValue& value) { return value.is_null() ? "-" : HumanTime(value.number()); }

std::string StatusReport(const JsonValue& info, std::chrono::milliseconds now) {
  const JsonValue& totals = info["totals"];
  const JsonValue& log = info["log"];
  const std::string states = Counts(info["sessions"]["states"]);
  const std::pair<std::string_view, std::string> rows[] = {
      {"gateway",
       "penstock " + TextOf(info["version"]) + ", process " + TextOf(info["pid"]) + ", up " + TimeOf(info["uptime"])},
      {"state",
       TextOf(info["phase"]) + ", " + (info["ready"].is_true() ? "ready" : "not ready: " + TextOf(info["reason"]))},
      {"listening", Joined(info["listening"])},
      {"workers", TextOf(info["workers"])},
      {"sessions", TextOf(info["sessions"]["live"]) + (states.empty() ? "" : " (" + states + ")")},
      {"clients", TextOf(totals["accepted"]) + " accepted, " + TextOf(totals["refused"]) + " refused, " +
                      TextOf(totals["logins_failed"]) + " failed logins"},
      {"traffic", BytesOf(totals["up"]) + " up, " + BytesOf(totals["down"]) + " down, datagrams " +
                      TextOf(totals["datagrams_up"]) + " up, " + TextOf(totals["datagrams_down"]) + " down"},
      {"limits", LimitsOf(info)},
      {"memory", BytesOf(info["memory"]["resident"])},
      {"reload", ReloadOf(info["reload"], now)},
      {"log", "level " + TextOf(log["level"]) + ", format " + TextOf(log["format"]) + ", " + TextOf(log["lost"]) +
                  " lines lost"},
  };
  std::string text;
  for (const auto& [name, value] : rows) {
    std::string line(name);
    line.resize(11, ' ');
    line += Printable(value);
    text += line + '\n';
  }
  return text;
}

std::string SessionsReport(const JsonValue& answer, std::size_t width) {
  Table table({{"ID"},
               {"CLIENT", Align::kLeft, true},
               {"USER", Align::kLeft, true},
               {"COMMAND"},
               {"ASKED", Align::kLeft, true},
               {"TARGET", Align::kLeft, true},
               {"STATE"},
               {"UP", Align::kRight},
               {"DOWN", Align::kRight},
               {"RATE", Align::kRight},
               {"AGE", Align::kRight}});
  for (const JsonValue& row : answer["sessions"].items()) {
    table.Add({TextOf(row["id"]), TextOf(row["client"]), TextOf(row["user"]), TextOf(row["command"]),
               TextOf(row["asked"]), TextOf(row["target"]), TextOf(row["state"]), BytesOf(row["up"]),
               BytesOf(row["down"]), row["rate"].is_null() ? "-" : BytesOf(row["rate"]) + "/s", TimeOf(row["age"])});
  }
  if (table.rows() == 0) return "no session\n";
  return table.ToString(width).append(MoreIn(answer));
}

std::string RecentReport(const JsonValue& answer, std::chrono::milliseconds now, std::size_t width) {
  Table table({{"ENDED", Align::kRight},
               {"CLIENT", Align::kLeft, true},
               {"USER", Align::kLeft, true},
               {"COMMAND"},
               {"ASKED", Align::kLeft, true},
               {"REPLY"},
               {"END"},
               {"UP", Align::kRight},
               {"DOWN", Align::kRight},
               {"DURATION", Align::kRight}});
  for (const JsonValue& row : answer["recent"].items()) {
    table.Add({Ago(row["time"], now), TextOf(row["client"]), TextOf(row["user"]), TextOf(row["command"]),
               TextOf(row["asked"]), TextOf(row["reply"]), TextOf(row["end"]), BytesOf(row["up"]), BytesOf(row["down"]),
               TimeOf(row["duration"])});
  }
  return table.rows() == 0 ? "no session has ended\n" : table.ToString(width);
}

std::string_view Gap(const JsonValue& answer) {
  const JsonValue& complete = answer["complete"];
  return complete.is_null() || complete.is_true() ? "" : "This is not all: a worker did not answer in time.\n";
}

std::string UsersReport(const JsonValue& answer, std::chrono::milliseconds now, std::size_t width) {
  Table table({{"USER", Align::kLeft, true},
               {"LIVE", Align::kRight},
               {"ALL", Align::kRight},
               {"UP", Align::kRight},
               {"DOWN", Align::kRight},
               {"CLIENTS", Align::kRight},
               {"FAILED", Align::kRight},
               {"SEEN", Align::kRight},
               {"LIMITS", Align::kLeft, true}});
  for (const JsonValue& row : answer["users"].items()) {
    table.Add({TextOf(row["user"]), TextOf(row["sessions"]), TextOf(row["sessions_total"]), BytesOf(row["up"]),
               BytesOf(row["down"]), TextOf(row["clients"]), TextOf(row["logins_failed"]), Ago(row["last_seen"], now),
               RestrictionsOf(row, now)});
  }
  return table.rows() == 0 ? "no user\n" : table.ToString(width).append(MoreIn(answer));
}

std::string TargetsReport(const JsonValue& answer, std::size_t width) {
  Table table({{"TARGET", Align::kLeft, true},
               {"SESSIONS", Align::kRight},
               {"UP", Align::kRight},
               {"DOWN", Align::kRight},
               {"TOO MUCH BY", Align::kRight}});
  for (const JsonValue& row : answer["targets"].items()) {
    table.Add({TextOf(row["target"]), TextOf(row["sessions"]), BytesOf(row["up"]), BytesOf(row["down"]),
               BytesOf(row["error"])});
  }
  return table.rows() == 0 ? "no target\n" : table.ToString(width);
}

}  // namespace penstock
