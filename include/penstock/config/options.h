// The table of all options: the name, value, help and setter of each, for the command line and the configuration file.
// A constant table, and functions without state; the setters of users and sets read the files they name. Any thread.
// Invariant: a setter accepts only valid values, except for errors that only the system can report. The type of the
// setter says whether a reload applies the option; there is no second list of those options.
// Does not: decide which value takes precedence (config.h).
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

// The default of --listen.
inline constexpr std::string_view kListenDefault = "127.0.0.1:1080";

struct Option {
  // A setter stores the value of the directive. It returns an error, which begins with the directive's place and says
  // what is accepted, or nothing.
  using Error = std::optional<std::string>;
  using CommandLineSetter = Error (*)(const Directive& directive, CommandLine& line);  // not accepted in a file
  using SettingSetter = Error (*)(const Directive& directive, Settings& settings);     // needs a restart
  using PolicySetter = Error (*)(const Directive& directive, PolicyDraft& draft);      // applied by a reload

  // The meaning of an option that is given more than once.
  enum class Repeat : std::uint8_t {
    kNever,     // an error in a file; on the command line the last one counts
    kReplaces,  // a list; values on the command line replace those of the file
    kAppends,   // a list; the values on the command line come before those of the file
  };

  bool command_line_only() const { return std::holds_alternative<CommandLineSetter>(set); }
  bool needs_restart() const { return std::holds_alternative<SettingSetter>(set); }

  // Calls the setter with `line`, its settings, or `draft`.
  Error Set(const Directive& directive, CommandLine& line, PolicyDraft& draft) const;

  const char* name;
  const char* value;  // the placeholder of the value in the help; null: the option takes none
  const char* help;   // "%" stands for the default; the default is in brackets at the end
  std::variant<CommandLineSetter, SettingSetter, PolicySetter> set;
  std::string (*show_default)(const Settings& settings) = nullptr;
  Repeat repeat = Repeat::kNever;
};

// In the order of the help.
std::span<const Option> Options();

// Null if there is no such option.
const Option* FindOption(std::string_view name);

// "; did you mean NAME?" with the nearest option; empty if none is near. With `for_file` it suggests only directives of
// a configuration file.
std::string Suggestion(std::string_view name, bool for_file);

// The text of --help.
std::string HelpText();

}  // namespace penstock
