// The command line and the files that it names, as settings, or as one sentence that says what is wrong.
// Used by main before anything else runs, and again at each reload; by one thread at a time, for getopt_long(3) has
// global state.
// Invariant: settings that come out of here are valid, except for what only the system can tell.
// Deliberately not here: the options (options.h), and doing anything with the settings.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/policy/settings.h"

namespace penstock {

inline constexpr std::string_view kProgramVersion = "0.1.0";

struct CommandLine {
  enum class Action { kRun, kCheck, kHelp, kVersion, kError };
  Action action = Action::kRun;
  Settings settings;                 // for kRun and kCheck
  std::string config;                // the file of --config
  bool core_dumps = false;           // --allow-core-dumps
  std::string error;                 // for kError: where it is, the offending word, and what is accepted
  std::vector<std::string> files;    // that were read
  std::vector<std::string> folders;  // that were searched for files to include
  std::map<std::string, std::vector<std::string>>
      startup_values;             // by option, the values that hold until the program ends
  bool exposes_password = false;  // to everybody, in the process list
};

// A running gateway, as far as no reload changes it.
struct RunningGateway {
  std::vector<Endpoint> listening;
  bool trust_loopback = true;
};

// `arguments` as main gets them. The default number of workers is `cpus`. The command line takes precedence over the
// file of --config. It is an error if the options would make an open proxy, of the gateway that they describe or of
// the one that is `running`.
CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus, const RunningGateway& running = {});

// The options that `later` changes and that need a restart: "listen, workers"; empty for none.
std::string NeedsRestart(const CommandLine& running, const CommandLine& later);

}  // namespace penstock
