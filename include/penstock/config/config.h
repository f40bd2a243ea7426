// What the operator has chosen, from the command line and the files that it names: settings, or one sentence that a
// person can act on.
// Used by main before anything else runs, and again at each reload; by one thread at a time (getopt_long(3) has global
// state).
// Invariant: settings that come out of here need no further checking, but for what only the system can say.
// Deliberately not here: doing anything with the settings.
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
  enum class Wish { kRun, kCheck, kHelp, kVersion, kMistake };
  Wish wish = Wish::kRun;
  Settings settings;                 // for kRun and kCheck
  std::string mistake;               // for kMistake: where it is, the offending word, and what is accepted
  std::vector<std::string> files;    // that were read
  std::vector<std::string> folders;  // that were searched for files to include
  std::map<std::string, std::vector<std::string>> fixed;  // by option, the values that hold until the program ends
  bool shows_password = false;                            // on the command line, and so in the list of processes
};

// What holds for a gateway until it ends, whatever the options say that it reads again.
struct Running {
  std::vector<Endpoint> listening;
  bool trust_loopback = true;
};

// `arguments` as main gets them. The number of workers is `cpus` unless it is given. What is given on the command line
// wins over what stands in the file of --config. `running` must not become an open proxy by the new options.
CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus, const Running& running = {});

// The names of what has changed in `later` and would need a new start: "listen, workers"; empty for nothing.
std::string NeedsRestart(const CommandLine& running, const CommandLine& later);

}  // namespace penstock
