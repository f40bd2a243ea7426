// Reads the command line and the configuration file that it names: settings, or an error.
// Called by main at the start and at each reload; one thread at a time, since getopt_long(3) has global state.
// Invariant: the settings are valid, except for errors that only the system can report, such as an address in use.
// Does not: know the options (options.h), use the settings.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/policy/settings.h"

namespace penstock {

inline constexpr std::string_view kProgramVersion = "0.1.0";

// An option and one of its values.
struct OptionValue {
  std::string option;
  std::optional<std::string> value;  // as given, but no password; nothing: not given, and no default that is a value
  std::string source;                // "FILE:LINE", "command line" or "default"

  bool operator==(const OptionValue&) const = default;
};

struct CommandLine {
  enum class Action { kRun, kCheck, kHelp, kVersion, kError };
  Action action = Action::kRun;
  Settings settings;                     // for kRun and kCheck
  std::string config;                    // the file of --config
  bool core_dumps = false;               // --allow-core-dumps
  std::string error;                     // for kError: one sentence with the place, the word and what is accepted
  std::vector<std::string> files;        // the files that were read
  std::vector<std::string> directories;  // the directories that were searched for files to include

  // By option: the given values that hold until the program ends.
  std::map<std::string, std::vector<std::string>> startup_values;

  std::vector<OptionValue> given;  // in the order in which they count: the command line, then the file

  bool exposes_password = false;  // --user is on the command line, so the process list shows a password
};

// What is known of a gateway before its options are read, and decides whether it is an open proxy.
struct RunningGateway {
  std::vector<Endpoint> listening;  // if it runs: a reload changes neither these
  bool trust_loopback = true;       // nor this
  std::vector<Endpoint> passed{};  // addresses of sockets that it has been passed; they replace the default of --listen
};

// `count` and `arguments` are those of main; `cpus` is the default number of workers. The command line takes precedence
// over the file of --config. It is an error if the gateway that the options describe, or the one that is `running`,
// would be an open proxy.
CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus, const RunningGateway& running = {});

// The options that `later` changes but a reload does not apply, such as "listen, workers"; empty if there are none.
std::string NeedsRestart(const CommandLine& running, const CommandLine& later);

// All options with the values that hold in a gateway that runs with `running`: those that need a restart were
// `at_start`, the others are from the last reload, `now`. In the order of the table of options; an option that was
// given several times has a value for each. Without those that end the program at once.
std::vector<OptionValue> OptionsInForce(const std::vector<OptionValue>& at_start, const std::vector<OptionValue>& now,
                                        const Settings& running);

}  // namespace penstock
