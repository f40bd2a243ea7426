// Every option, once: its name, its value, its help, and what takes its value. The command line and the configuration
// file use the same names.
// Constant tables and pure functions, except that users and sets are read from the files they name; any thread.
// Invariant: a value that is taken is valid, except for what only the system can tell. What takes the value says when
// it may change: there is no second list of the options that a reload reads.
// Deliberately not here: where values come from and which one takes precedence (config.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "penstock/config/config.h"
#include "penstock/config/file.h"
#include "penstock/config/policy_draft.h"
#include "penstock/policy/settings.h"

namespace penstock {

// Where the gateway listens unless --listen is given.
inline constexpr std::string_view kListenDefault = "127.0.0.1:1080";

struct Option {
  // Each takes the directive's value, or returns a sentence that says where it is and what is accepted.
  using Error = std::optional<std::string>;
  using TakeCommandLine = Error (*)(const Directive& directive, CommandLine& line);  // not accepted in a file
  using TakeSetting = Error (*)(const Directive& directive, Settings& settings);     // holds until the program ends
  using TakePolicy = Error (*)(const Directive& directive, PolicyDraft& draft);      // a reload reads it again

  // What it means to give the option more than once.
  enum class Repeat : std::uint8_t {
    kNever,     // an error in a file; on the command line, the last one holds
    kReplaces,  // a list; one on the command line replaces the one in the file
    kAppends,   // a list; the command line's part comes first, the file's follows
  };

  bool command_line_only() const { return std::holds_alternative<TakeCommandLine>(take); }
  bool needs_restart() const { return std::holds_alternative<TakeSetting>(take); }

  // Takes the value into `line` or `draft`, whichever holds it.
  Error Take(const Directive& directive, CommandLine& line, PolicyDraft& draft) const;

  const char* name;
  const char* value;  // what the help calls its value; null: it takes none
  const char* help;   // "%" stands for the default; what ends the line in brackets is the default
  std::variant<TakeCommandLine, TakeSetting, TakePolicy> take;
  std::string (*show_default)(const Settings& settings) = nullptr;
  Repeat repeat = Repeat::kNever;
};

// In the order in which the help shows them.
std::span<const Option> Options();

// Null if there is none of that name.
const Option* FindOption(std::string_view name);

// "; did you mean NAME?" with the name of the nearest option, or nothing if none is near. With `for_file`, options of
// the command line alone are left out.
std::string Suggestion(std::string_view name, bool for_file);

// What --help prints.
std::string HelpText();

}  // namespace penstock
