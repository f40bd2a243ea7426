#include "penstock/config/config.h"

#include <getopt.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/secret.h"
#include "penstock/base/text.h"
#include "penstock/config/options.h"
#include "penstock/login/users.h"
#include "penstock/os/file.h"
#include "penstock/os/random.h"
#include "penstock/policy/rule_text.h"
#include "penstock/policy/rules.h"

namespace penstock {
namespace {

using Mistake = std::optional<std::string>;

// What getopt_long(3) returns for the first option of the table; no letter has such a value.
constexpr int kFirstOption = 256;

// The table of options as getopt_long(3) wants it.
std::vector<option> LongOptions() {
  std::vector<option> options;
  for (const Option& entry : Options()) {
    const int value = kFirstOption + static_cast<int>(options.size());
    options.push_back({entry.name, entry.value != nullptr ? required_argument : no_argument, nullptr, value});
  }
  options.push_back({});
  return options;
}

// What getopt_long stumbled over: optopt is the option's value when it knows the option, a letter when it does not know
// the letter, and 0 for a long name that it does not know or that could be several.
std::string Stumbled(int result, char* const arguments[]) {
  if (optopt >= kFirstOption) {
    const std::string name = Options()[static_cast<std::size_t>(optopt - kFirstOption)].name;
    return "option --" + name + (result == ':' ? " wants a value" : " takes no value") + "; see --help";
  }
  if (optopt != 0) return "unknown option " + std::string{'-', static_cast<char>(optopt)} + "; see --help";
  const std::string_view word = arguments[optind - 1];
  const std::size_t begin = std::min(word.find_first_not_of('-'), word.size());
  const std::string_view name = word.substr(begin, word.find('=', begin) - begin);
  const std::string suggestion = Suggestion(name, false);
  return "unknown option " + std::string(word) + (suggestion.empty() ? "; see --help" : suggestion);
}

// Options from wherever they come, in the order in which they count.
class Reading {
 public:
  Reading(std::size_t cpus, const Running& running) : running_(running) {
    draft_.settings.workers = std::min(cpus, kWorkersMax);
    draft_.settings.login_threads = std::max(draft_.settings.workers / 2, std::size_t{1});
  }

  CommandLine Finish(int count, char* const arguments[]) {
    Mistake mistake = ReadCommandLine(count, arguments);
    const bool asked = line_.wish == CommandLine::Wish::kHelp || line_.wish == CommandLine::Wish::kVersion;
    if (!mistake && !asked && !draft_.config.empty()) mistake = ReadFile();
    if (!mistake && !asked) mistake = Judge();
    if (mistake) {
      line_ = {};
      line_.wish = CommandLine::Wish::kMistake;
      line_.mistake = std::move(*mistake);
    }
    return std::move(line_);
  }

 private:
  Mistake ReadCommandLine(int count, char* const arguments[]) {
    const std::vector<option> long_options = LongOptions();
    ::optind = 0;  // glibc: start afresh, for tests and reloads call this often
    ::opterr = 0;
    for (;;) {
      const int result = ::getopt_long(count, arguments, ":hV", long_options.data(), nullptr);
      if (result == -1) break;
      if (result == '?' || result == ':') return Stumbled(result, arguments);
      const char* const name = result == 'h'   ? "help"
                               : result == 'V' ? "version"
                                               : Options()[static_cast<std::size_t>(result - kFirstOption)].name;
      if (TakeWish(name)) {
        if (line_.wish != CommandLine::Wish::kCheck) return std::nullopt;
        continue;
      }
      const char* const value = optarg == nullptr ? "" : optarg;
      if (auto mistake = Take({name, value, std::string("--") + name, {}})) return mistake;
      given_.insert(name);
    }
    if (optind == count) return std::nullopt;
    return "unexpected word '" + std::string(arguments[optind]) + "'; everything is an option, see --help";
  }

  bool TakeWish(std::string_view name) {
    if (name == "help") line_.wish = CommandLine::Wish::kHelp;
    if (name == "version") line_.wish = CommandLine::Wish::kVersion;
    if (name == "check") line_.wish = CommandLine::Wish::kCheck;
    return name == "help" || name == "version" || name == "check";
  }

  // The command line has been read: what it gave wins.
  Mistake ReadFile() {
    if (auto mistake = ReadConfigFile(draft_.config, &file_)) return mistake;
    line_.files = file_.files;
    line_.folders = file_.folders;
    std::map<std::string, std::string> seen;  // where a directive that may stand only once does so
    for (const Directive& directive : file_.directives) {
      const Option* const option = FindOption(directive.name);
      if (option == nullptr || option->scope == Option::Scope::kCommandLine) {
        return directive.where + ": unknown directive" + Suggestion(directive.name, true);
      }
      if (directive.value.empty()) return directive.where + " wants a value; see --help";
      if (!option->many) {
        const auto [first, is_first] = seen.emplace(directive.name, directive.where);
        if (!is_first) return directive.where + " is given a second time; the first is at " + first->second;
      }
      if (option->merge == Option::Merge::kReplace && given_.contains(directive.name)) continue;
      if (auto mistake = Take(directive)) return mistake;
    }
    return std::nullopt;
  }

  Mistake Take(const Directive& directive) {
    const Option& option = *FindOption(directive.name);
    if (option.scope == Option::Scope::kStart) line_.fixed[option.name].emplace_back(directive.value);
    if (const auto accepted = option.take(directive, draft_)) {
      return directive.where + ": '" + std::string(directive.value) + "' is not accepted; give " + *accepted;
    }
    return std::nullopt;
  }

  // What can only be said when everything has been read.
  Mistake Judge() {
    Settings& settings = draft_.settings;
    if (settings.listen.empty()) settings.listen.push_back(*Endpoint::Parse("127.0.0.1:1080"));
    if (!draft_.logins.empty()) {
      if (auto mistake = MakeUsers()) return mistake;
    }
    if (auto mistake = MakeRules()) return mistake;
    if (auto mistake = RefuseOpenProxy()) return mistake;
    line_.settings = std::move(settings);
    return std::nullopt;
  }

  // Sets first, wherever they stand: rules of the command line may name those of the file.
  Mistake MakeRules() {
    RuleText text;
    for (const Directive& directive : draft_.sets) {
      const bool from_file = directive.name == "set-file";
      if (auto mistake = from_file ? AddSetFile(directive, text) : text.AddSet(directive.value)) {
        return directive.where + ": " + *mistake;
      }
    }
    for (const Directive& directive : draft_.rules) {
      if (auto mistake = text.AddRule(directive.name == "allow", directive.value, directive.where)) {
        return directive.where + ": " + *mistake;
      }
    }
    draft_.settings.policy.rules = std::make_shared<const RuleSet>(text);
    return std::nullopt;
  }

  // NAME FILE
  Mistake AddSetFile(const Directive& directive, RuleText& text) {
    std::string_view rest = directive.value;
    const std::string_view name = TakeWord(rest);
    const std::string_view path = Trimmed(rest);
    if (path.empty()) return text.AddSetFile(name, {});
    line_.files.push_back(PathIn(directive, path));
    return text.AddSetFile(name, line_.files.back());
  }

  // Nobody runs an open proxy by accident.
  Mistake RefuseOpenProxy() const {
    const Policy& policy = draft_.settings.policy;
    if (policy.users != nullptr || policy.rules->names_clients()) return std::nullopt;
    const Running next_start{draft_.settings.listen, draft_.settings.guard.trust_loopback};
    for (const Running& gateway : {running_, next_start}) {
      for (const Endpoint& at : gateway.listening) {
        if (at.ip.is_loopback() && gateway.trust_loopback) continue;
        return "listen " + at.ToString() +
               ": everybody who reaches this address could use the gateway; say who may log " +
               "in (--users FILE), or which clients may come (--allow 'client 10.0.0.0/8')";
      }
    }
    return std::nullopt;
  }

  Mistake MakeUsers() {
    static const DigestKey kKey = RandomKey();  // one for all tables: sessions compare credentials after a reload
    Users::Draft users(kKey);
    std::string error;
    for (const Directive& directive : draft_.logins) {
      const bool good =
          directive.name == "users" ? AddUsersFile(directive, users, &error) : AddUser(directive, users, &error);
      if (!good) return error;
    }
    draft_.settings.policy.users = users.Finish();
    return std::nullopt;
  }

  bool AddUsersFile(const Directive& directive, Users::Draft& users, std::string* error) {
    const std::string path = PathIn(directive, directive.value);
    line_.files.push_back(path);
    return users.AddFile(path, error);
  }

  // A password in a file of options makes that file one that nobody else may read.
  bool AddUser(const Directive& directive, Users::Draft& users, std::string* error) {
    const bool unjudged = !directive.file.empty() && private_files_.insert(directive.file).second;
    if (unjudged && !ReadPrivateFile(directive.file, kConfigBytesMax, error)) return false;
    line_.shows_password = line_.shows_password || directive.file.empty();
    return users.AddPair(SecretView(directive.value), directive.where, error);
  }

  const Running& running_;
  ConfigFile file_;  // in which the directives of the draft lie
  Draft draft_;
  CommandLine line_;
  std::set<std::string, std::less<>> given_;  // on the command line
  std::set<std::string> private_files_;       // of options, that hold passwords
};

}  // namespace

CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus, const Running& running) {
  return Reading(cpus, running).Finish(count, arguments);
}

std::string NeedsRestart(const CommandLine& running, const CommandLine& later) {
  std::string names;
  for (const Option& option : Options()) {
    const auto was = running.fixed.find(option.name);
    const auto is = later.fixed.find(option.name);
    const bool same =
        was == running.fixed.end() ? is == later.fixed.end() : is != later.fixed.end() && was->second == is->second;
    if (!same) names += (names.empty() ? "" : ", ") + std::string(option.name);
  }
  return names;
}

}  // namespace penstock
