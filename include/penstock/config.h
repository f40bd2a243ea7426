// The command line: options to Settings, or one sentence that a person can act on.
// Used by main before anything else runs; not thread-safe (getopt_long(3) has global state).
// Invariant: settings that come out of here need no further checking, but for what only the system can say.
// Deliberately not here: doing anything with the settings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "penstock/settings.h"

namespace penstock {

inline constexpr std::string_view kProgramVersion = "0.1.0";

struct CommandLine {
  enum class Wish { kRun, kHelp, kVersion, kMistake };
  Wish wish = Wish::kRun;
  Settings settings;    // for kRun
  std::string mistake;  // for kMistake: the option, the value, and what is accepted
};

// `arguments` as main gets them. The number of workers is `cpus` unless it is given.
CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus);

// What --help prints.
std::string HelpText();

// CPUs that this process may run on (sched_getaffinity(2)), 1 at least.
std::size_t UsableCpus();

}  // namespace penstock
