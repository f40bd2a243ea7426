// Every option there is, once: what it is called, what it takes, and when it may change. The command line and the
// configuration file take the same names.
// Constant tables and pure functions; any thread.
// Invariant: a value that is taken is one that the program can work with, but for what only the system can say.
// Deliberately not here: where values come from and which of two wins (config.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/config/file.h"
#include "penstock/policy/settings.h"

namespace penstock {

// What is made of options until all of them have been seen.
struct Draft {
  Settings settings;
  std::string config;             // the file named by --config
  std::vector<Directive> logins;  // user and users, in their order
  std::vector<Directive> sets;    // set and set-file
  std::vector<Directive> rules;   // allow and deny
};

struct Option {
  enum class Scope : std::uint8_t {
    kCommandLine,  // means nothing in a file
    kStart,        // holds until the program ends
    kReload,       // SIGHUP reads it again
  };
  // What an option in the file means beside the same on the command line.
  enum class Merge : std::uint8_t {
    kReplace,  // the command line wins
    kAppend,   // both hold, the command line's first
  };

  const char* name;
  const char* value;  // what the help calls its value; null when it takes none
  const char* help;   // "%" stands for the default
  Scope scope;
  // Takes the directive's value; returns what is accepted when the value is not.
  std::optional<std::string> (*take)(const Directive& directive, Draft& draft);
  std::string (*standard)(const Settings& settings) = nullptr;
  bool many = false;  // may be given several times
  Merge merge = Merge::kReplace;
};

// In the order in which the help shows them.
std::span<const Option> Options();

// Null when there is none of that name.
const Option* FindOption(std::string_view name);

// "; did you mean NAME?" with the name of an option that is near enough, those of the command line alone left out when
// `for_file`; else nothing.
std::string Suggestion(std::string_view name, bool for_file);

// What --help prints.
std::string HelpText();

}  // namespace penstock
