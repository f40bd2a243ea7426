#include "penstock/ctl/ctl.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "penstock/base/suggest.h"
#include "penstock/ctl/client.h"
#include "penstock/ctl/json_value.h"
#include "penstock/ctl/report.h"
#include "penstock/ctl/table.h"
#include "penstock/os/clock.h"
#include "penstock/os/process.h"
#include "penstock/os/terminal.h"

namespace penstock {
namespace {

constexpr std::string_view kCtlHelp =
    "Usage: penstock ctl [OPTION]... COMMAND\n"
    "Asks a running gateway through its admin interface, or changes it.\n\n"
    "  status                what the gateway is doing, and which limits are near\n"
    "  sessions [FILTER]...  the sessions; also --limit N and --sort age|bytes|rate\n"
    "  users [--limit N]     the users, with their traffic and limits\n"
    "  targets               the targets with the most traffic\n"
    "  recent [--limit N]    the sessions that have ended last\n"
    "  kill ID | FILTER...   end a session, or all sessions that match\n"
    "  reload                reload the configuration, as SIGHUP does\n"
    "  drain                 refuse new clients; sessions go on, and the gateway stays\n"
    "  undrain               accept new clients again\n"
    "  log-level LEVEL       change the log level until the next reload\n\n"
    "  --client BLOCK, --user NAME, --target BLOCK|NAME, --state STATE, --command COMMAND\n"
    "                        FILTER: sessions that match all of them\n"
    "  --admin AT            unix:PATH or http://ADDR:PORT (unix:/run/penstock/admin.sock)\n"
    "  --token-file FILE     the token of the gateway, a file that only its owner can read\n"
    "  --json                print the answer as it comes\n"
    "  --help                print this help and exit\n\n"
    "Exit status: 0, 1 if the gateway cannot be asked or refuses, 2 for an error on the command line.\n";

constexpr std::string_view kFilters[] = {"client", "user", "target", "state", "command", "limit", "sort"};
constexpr std::span kNoFilters{kFilters, 0};
constexpr std::span kMatching{kFilters, 5};
constexpr std::span kAllFilters{kFilters};
constexpr std::span kLimit{kFilters + 5, 1};

struct Command {
  std::string_view name;
  std::string_view method;
  std::string_view path;
  std::span<const std::string_view> filters;  // those that it takes
  std::string_view word;                      // what its word means; empty: it takes none
  std::string (*report)(const JsonValue& answer);
};

std::string Ended(const JsonValue& answer) {
  const std::uint64_t count = answer["ended"].whole();
  return std::to_string(count) + (count == 1 ? " session ended\n" : " sessions ended\n");
}

constexpr Command kCommands[] = {
    {"status", "GET", "/api/v1/info", kNoFilters, "",
     [](const JsonValue& answer) { return StatusReport(answer, TimeOfDay()); }},
    {"sessions", "GET", "/api/v1/sessions", kAllFilters, "",
     [](const JsonValue& answer) { return SessionsReport(answer, OutputColumns()); }},
    {"users", "GET", "/api/v1/users", kLimit, "",
     [](const JsonValue& answer) { return UsersReport(answer, TimeOfDay(), OutputColumns()); }},
    {"targets", "GET", "/api/v1/targets", kNoFilters, "",
     [](const JsonValue& answer) { return TargetsReport(answer, OutputColumns()); }},
    {"recent", "GET", "/api/v1/recent", kLimit, "",
     [](const JsonValue& answer) { return RecentReport(answer, TimeOfDay(), OutputColumns()); }},
    {"kill", "DELETE", "/api/v1/sessions", kMatching, "ID", Ended},
    {"reload", "POST", "/api/v1/reload", kNoFilters, "", [](const JsonValue&) { return std::string("reloaded\n"); }},
    {"drain", "POST", "/api/v1/drain", kNoFilters, "",
     [](const JsonValue& answer) { return Printable(TextOf(answer["phase"])) + '\n'; }},
    {"undrain", "POST", "/api/v1/undrain", kNoFilters, "",
     [](const JsonValue& answer) { return Printable(TextOf(answer["phase"])) + '\n'; }},
    {"log-level", "POST", "/api/v1/log-level", kNoFilters, "LEVEL",
     [](const JsonValue& answer) { return "level " + Printable(TextOf(answer["level"])) + '\n'; }},
};

CtlResult UsageError(const std::string& sentence) {
  return {kExitUsage, "", Printable(sentence) + "; see penstock ctl --help"};
}

CtlResult Unknown(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.push_back(command.name);
  const auto nearest = Nearest(word, names);
  return UsageError("unknown command '" + word + "'" +
                    (nearest ? "; did you mean " + std::string(*nearest) + "?" : ""));
}

// The mistake in the use of `command`; empty if there is none.
std::string Mistake(const Command& command, const CtlArguments& arguments) {
  const std::string name(command.name);
  const bool has_word = arguments.words.size() > 1;
  if (arguments.words.size() > (command.word.empty() ? 1U : 2U)) {
    return name + ": '" + arguments.words.back() + "' is one word too many";
  }
  for (const auto& [filter, value] : arguments.filters) {
    if (std::ranges::find(command.filters, filter) == command.filters.end()) {
      return std::string(name).append(" does not take --").append(filter);
    }
  }
  if (command.name == "kill" && has_word == !arguments.filters.empty()) {
    return "kill needs either the ID of a session, or what to match, such as --user NAME";
  }
  if (command.name == "log-level" && !has_word) return "log-level needs a level";
  return {};
}

std::string TargetOf(const Command& command, const CtlArguments& arguments) {
  std::string target(command.path);
  if (arguments.words.size() > 1) {
    target += (command.name == "kill" ? "/" : "?level=") + PercentEncoded(arguments.words[1]);
  }
  char before = '?';
  for (const auto& [name, value] : arguments.filters) {
    target += std::exchange(before, '&') + name + '=' + PercentEncoded(value);
  }
  return target;
}

CtlResult Run(const Command& command, CtlArguments arguments) {
  const std::string target = TargetOf(command, arguments);
  AdminClient client(std::move(arguments.admin), std::move(arguments.token));
  const auto answer = client.Ask(command.method, target);
  if (!answer) return {kExitFailure, "", Printable(client.error())};
  const auto body = JsonValue::Parse(answer->body);
  const bool refused = answer->status != 200;
  CtlResult result;
  if (arguments.json && body) {
    result.output = answer->body + (answer->body.ends_with('\n') ? "" : "\n");
  } else if (!refused && body) {
    result.output = command.report(*body).append(Gap(*body));
  }
  if (refused || !body) {
    result.status = kExitFailure;
    result.error =
        refused ? Printable(RefusalOf(*answer, body, command.name)) : "the answer of the gateway is not valid JSON";
  }
  return result;
}

}  // namespace

CtlResult RunCtl(std::span<const std::string_view> arguments) {
  std::string error;
  auto parsed = CtlArguments::Parse(arguments, kAllFilters, &error);
  if (!parsed) return UsageError(error);
  if (parsed->help) return {kExitClean, std::string(kCtlHelp), ""};
  if (parsed->words.empty()) return UsageError("a command is missing");
  const auto* const command = std::ranges::find(kCommands, parsed->words.front(), &Command::name);
  if (command == std::end(kCommands)) return Unknown(parsed->words.front());
  const std::string mistake = Mistake(*command, *parsed);
  return mistake.empty() ? Run(*command, std::move(*parsed)) : UsageError(mistake);
}

}  // namespace penstock
