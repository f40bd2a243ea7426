#include "penstock/config/config.h"

#include <getopt.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/secret.h"
#include "penstock/base/text.h"
#include "penstock/config/file.h"
#include "penstock/config/options.h"
#include "penstock/config/policy_draft.h"
#include "penstock/os/file.h"
#include "penstock/policy/rules.h"

namespace penstock {
namespace {

using Error = std::optional<std::string>;

// The value that getopt_long(3) returns for the first option of the table; no letter has it.
constexpr int kFirstOption = 256;

// The table of options in the form of getopt_long(3).
std::vector<option> LongOptions() {
  std::vector<option> options;
  for (const Option& entry : Options()) {
    const int value = kFirstOption + static_cast<int>(options.size());
    options.push_back({entry.name, entry.value != nullptr ? required_argument : no_argument, nullptr, value});
  }
  options.push_back({});
  return options;
}

// The error that getopt_long(3) has found. optopt is the value of a known option, an unknown letter, or 0 for a long
// name that is unknown or ambiguous.
std::string GetoptError(int result, char* const arguments[]) {
  if (optopt >= kFirstOption) {
    const std::string name = Options()[static_cast<std::size_t>(optopt - kFirstOption)].name;
    return "option --" + name + (result == ':' ? " needs a value" : " takes no value") + "; see --help";
  }
  if (optopt != 0) return "unknown option " + std::string{'-', static_cast<char>(optopt)} + "; see --help";
  const std::string_view word = arguments[optind - 1];
  const std::size_t begin = std::min(word.find_first_not_of('-'), word.size());
  const std::string_view name = word.substr(begin, word.find('=', begin) - begin);
  const std::string suggestion = Suggestion(name, false);
  return "unknown option " + std::string(word) + (suggestion.empty() ? "; see --help" : suggestion);
}

// Reads the command line, then the file, and checks the settings as a whole.
class OptionReader {
 public:
  OptionReader(std::size_t cpus, const RunningGateway& running) : running_(running) {
    line_.settings.workers = std::min(cpus, kWorkersMax);
    line_.settings.login_threads = std::max(line_.settings.workers / 2, std::size_t{1});
  }

  CommandLine Finish(int count, char* const arguments[]) {
    Error error = ReadCommandLine(count, arguments);
    if (!error && !only_prints() && !line_.config.empty()) error = ReadFile();
    if (!error && !only_prints()) error = Complete();
    if (error) {
      line_ = {};
      line_.action = CommandLine::Action::kError;
      line_.error = std::move(*error);
    }
    return std::move(line_);
  }

 private:
  bool only_prints() const {
    return line_.action == CommandLine::Action::kHelp || line_.action == CommandLine::Action::kVersion;
  }

  Error ReadCommandLine(int count, char* const arguments[]) {
    const std::vector<option> long_options = LongOptions();
    ::optind = 0;  // getopt(3): 0 resets the state of an earlier call
    ::opterr = 0;
    for (;;) {
      const int result = ::getopt_long(count, arguments, ":hV", long_options.data(), nullptr);
      if (result == -1) break;
      if (result == '?' || result == ':') return GetoptError(result, arguments);
      const char* const name = result == 'h'   ? "help"
                               : result == 'V' ? "version"
                                               : Options()[static_cast<std::size_t>(result - kFirstOption)].name;
      const char* const value = optarg == nullptr ? "" : optarg;
      if (auto error = Apply(*FindOption(name), {name, value, std::string("--") + name, {}})) return error;
      if (only_prints()) return std::nullopt;
      given_.insert(name);
    }
    if (optind == count) return std::nullopt;
    return "unexpected argument '" + std::string(arguments[optind]) + "'; only options are accepted, see --help";
  }

  // Call it after ReadCommandLine: an option that was given there takes precedence.
  Error ReadFile() {
    if (auto error = ReadConfigFile(line_.config, &file_)) return error;
    line_.files = file_.files;
    line_.directories = file_.directories;
    std::map<std::string, std::string> seen;  // directive -> its first place, for those that may not be repeated
    for (const Directive& directive : file_.directives) {
      const Option* const option = FindOption(directive.name);
      if (option == nullptr || option->command_line_only()) {
        return directive.where + ": unknown directive" + Suggestion(directive.name, true);
      }
      if (directive.value.empty()) return directive.where + " needs a value; see --help";
      if (option->repeat == Option::Repeat::kNever) {
        const auto [first, is_first] = seen.emplace(directive.name, directive.where);
        if (!is_first) return directive.where + " is given a second time; the first is at " + first->second;
      }
      if (option->repeat != Option::Repeat::kAppends && given_.contains(directive.name)) continue;
      if (auto error = Apply(*option, directive)) return error;
    }
    return std::nullopt;
  }

  Error Apply(const Option& option, const Directive& directive) {
    if (option.needs_restart()) line_.startup_values[option.name].emplace_back(directive.value);
    auto error = option.Set(directive, line_, policy_);
    if (!error) Keep(option, directive);
    return error;
  }

  // For those who ask for the options in force. The password of a user is no business of theirs.
  void Keep(const Option& option, const Directive& directive) {
    std::string_view value = directive.value;
    if (option.name == std::string_view("user")) value = value.substr(0, value.find(':'));
    if (option.value == nullptr) value = "yes";
    if (option.repeat == Option::Repeat::kNever) {
      std::erase_if(line_.given, [&option](const OptionValue& before) { return before.option == option.name; });
    }
    const std::string place = directive.where.substr(0, directive.where.rfind(": "));
    line_.given.push_back({option.name, std::string(value), directive.file.empty() ? "command line" : place});
  }

  // Sets and checks what depends on all options.
  Error Complete() {
    Settings& settings = line_.settings;
    settings.store_names = settings.admin.listeners() > 0;  // its lists show them
    for (const Endpoint& at : running_.passed) {
      if (std::ranges::find(settings.listen, at) == settings.listen.end()) settings.listen.push_back(at);
    }
    if (settings.listen.empty()) settings.listen.push_back(*Endpoint::Parse(kListenDefault));
    if (auto error = policy_.Finish()) return error;
    settings.policy = std::move(policy_.policy());
    line_.files.insert(line_.files.end(), policy_.files().begin(), policy_.files().end());
    line_.exposes_password = policy_.exposes_password();
    if (auto error = RefuseOpenProxy()) return error;
    if (auto error = ReadAdminToken()) return error;
    return RefuseOpenAdmin();
  }

  // One line. The error quotes nothing of it.
  Error ReadAdminToken() {
    AdminSettings& admin = line_.settings.admin;
    if (admin.token_file.empty()) return std::nullopt;
    std::string error;
    const auto text = ReadPrivateFile(admin.token_file, kAdminTokenBytesMax, &error);
    if (!text) return "admin-token-file: " + error;
    line_.files.push_back(admin.token_file);
    std::string_view left = text->Reveal();
    const std::string_view token = left.empty() ? left : TakeLine(left);
    const bool visible = std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; });
    if (token.empty() || !left.empty() || !visible) {
      return "admin-token-file: " + admin.token_file +
             ": a token is one line of ASCII letters, digits and marks without blanks";
    }
    admin.token = std::make_shared<const Secret>(token);
    return std::nullopt;
  }

  Error RefuseOpenAdmin() const {
    const AdminSettings& admin = line_.settings.admin;
    for (const Endpoint& at : admin.addresses) {
      if (at.ip.is_loopback() || admin.token != nullptr) continue;
      return "admin " + at.ToString() + ": anyone who can reach this address could read and change the gateway; " +
             "require a token (--admin-token-file FILE), or use loopback or a Unix socket (--admin unix:PATH)";
    }
    return std::nullopt;
  }

  // Without users, and without rules that name clients, every listening address must be a trusted loopback.
  Error RefuseOpenProxy() const {
    const Settings& settings = line_.settings;
    if (settings.policy.users != nullptr || settings.policy.rules->names_clients()) return std::nullopt;
    const RunningGateway next_start{settings.listen, settings.guard.trust_loopback};
    for (const RunningGateway& gateway : {running_, next_start}) {
      for (const Endpoint& at : gateway.listening) {
        if (at.ip.is_loopback() && gateway.trust_loopback) continue;
        return "listen " + at.ToString() +
               ": anyone who can reach this address could use the gateway; require a login (--users FILE), " +
               "or allow some clients (--allow 'client 10.0.0.0/8')";
      }
    }
    return std::nullopt;
  }

  const RunningGateway& running_;
  ConfigFile file_;  // policy_ refers to its text
  PolicyDraft policy_;
  CommandLine line_;
  std::set<std::string, std::less<>> given_;  // options on the command line
};

}  // namespace

CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus, const RunningGateway& running) {
  return OptionReader(cpus, running).Finish(count, arguments);
}

std::string NeedsRestart(const CommandLine& running, const CommandLine& later) {
  std::string names;
  for (const Option& option : Options()) {
    const auto was = running.startup_values.find(option.name);
    const auto is = later.startup_values.find(option.name);
    const bool same = was == running.startup_values.end()
                          ? is == later.startup_values.end()
                          : is != later.startup_values.end() && was->second == is->second;
    if (!same) names += (names.empty() ? "" : ", ") + std::string(option.name);
  }
  return names;
}

std::vector<OptionValue> OptionsInForce(const std::vector<OptionValue>& at_start, const std::vector<OptionValue>& now,
                                        const Settings& running) {
  // Those whose default, and perhaps whose value, depend on the system.
  const std::map<std::string_view, std::size_t> numbers{{"workers", running.workers},
                                                        {"login-threads", running.login_threads},
                                                        {"max-connections", running.connections_max}};
  constexpr std::string_view kEndAtOnce[] = {"check", "help", "version"};
  std::vector<OptionValue> all;
  const Settings defaults;
  for (const Option& option : Options()) {
    if (std::ranges::find(kEndAtOnce, option.name) != std::end(kEndAtOnce)) continue;
    const std::size_t before = all.size();
    for (const OptionValue& given : option.command_line_only() || option.needs_restart() ? at_start : now) {
      if (given.option == option.name) all.push_back(given);
    }
    if (all.size() == before) {
      all.push_back({option.name, std::nullopt, "default"});
      if (option.show_default != nullptr) all.back().value = option.show_default(defaults);
      if (option.value == nullptr) all.back().value = "no";
    }
    const auto number = numbers.find(option.name);
    if (number != numbers.end()) all.back().value = std::to_string(number->second);
  }
  return all;
}

}  // namespace penstock
