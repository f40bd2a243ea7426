#include "penstock/config/options.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/prefix.h"
#include "penstock/base/quantity.h"
#include "penstock/base/suggest.h"
#include "penstock/base/text.h"
#include "penstock/os/log.h"
#include "penstock/os/unix_socket.h"

namespace penstock {
namespace {

using Error = Option::Error;
using Repeat = Option::Repeat;

Error NotAccepted(const Directive& directive, const std::string& accepted) {
  return directive.where + ": '" + std::string(directive.value) + "' is not accepted; give " + accepted;
}

template <class Number>
Error SetNumber(const Directive& directive, Number low, Number high, Number& into) {
  const auto number = ParseNumber(directive.value, static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high));
  if (!number) return NotAccepted(directive, "a number from " + std::to_string(low) + " to " + std::to_string(high));
  into = static_cast<Number>(*number);
  return std::nullopt;
}

template <class Duration>
Error SetDuration(const Directive& directive, Duration& into) {
  const auto duration = ParseDuration(directive.value);
  const auto rounded = duration ? std::chrono::duration_cast<Duration>(*duration) : Duration(0);
  if (!duration || rounded != *duration) {
    constexpr bool kInSeconds = Duration(std::chrono::seconds(1)).count() == 1;
    return NotAccepted(
        directive, std::string("a time such as ") + (kInSeconds ? "" : "250ms, ") + "10s, 5m or 2h, up to 365 days");
  }
  into = rounded;
  return std::nullopt;
}

// The kernel accepts at most 32,767 s (MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL in include/net/tcp.h).
Error SetKeepAliveTime(const Directive& directive, std::chrono::seconds& into) {
  auto error = SetDuration(directive, into);
  if (!error && into > std::chrono::seconds(32'767)) {
    error = NotAccepted(directive, "a time such as 60s or 5m, up to 32767 seconds");
  }
  return error;
}

Error AddListen(const Directive& directive, Settings& settings) {
  const auto endpoint = Endpoint::Parse(directive.value);
  if (!endpoint) {
    return NotAccepted(directive,
                       "an address and a port such as " + std::string(kListenDefault) + ", 0.0.0.0:1080 or [::1]:1080");
  }
  if (settings.listen.size() == kListenersMax) {
    return NotAccepted(directive, "at most " + std::to_string(kListenersMax) + " addresses in all");
  }
  settings.listen.push_back(*endpoint);
  return std::nullopt;
}

Error SetCpuAffinity(const Directive& directive, Settings& settings) {
  CpuAffinity& affinity = settings.cpu_affinity;
  if (directive.value == "off" || directive.value == "auto") {
    affinity = {directive.value == "off" ? CpuAffinity::Mode::kOff : CpuAffinity::Mode::kAuto, {}};
    return std::nullopt;
  }
  auto cpus = ParseNumberList(directive.value, kCpusMax - 1);
  if (!cpus) return NotAccepted(directive, "auto, off, or CPUs in ascending order such as 0-3,8");
  affinity = {CpuAffinity::Mode::kList, std::move(*cpus)};
  return std::nullopt;
}

constexpr std::pair<SandboxMode, std::string_view> kSandboxModes[] = {
    {SandboxMode::kOn, "on"}, {SandboxMode::kOff, "off"}, {SandboxMode::kReport, "report"}};

Error SetSandbox(const Directive& directive, Settings& settings) {
  for (const auto& [mode, word] : kSandboxModes) {
    if (directive.value != word) continue;
    settings.sandbox = mode;
    return std::nullopt;
  }
  return NotAccepted(directive, "on, off or report");
}

Error SetRunAs(const Directive& directive, Settings& settings) {
  if (directive.value.empty()) return NotAccepted(directive, "the name of a user");
  settings.run_as = directive.value;
  return std::nullopt;
}

Error SetUdpFilter(const Directive& directive, Settings& settings) {
  if (directive.value != "open" && directive.value != "address") return NotAccepted(directive, "open or address");
  settings.udp_filter = directive.value == "open" ? UdpFilter::kOpen : UdpFilter::kAddress;
  return std::nullopt;
}

Error AddUdpAdvertise(const Directive& directive, Settings& settings) {
  const auto address = IpAddress::Parse(directive.value);
  if (!address || address->is_unspecified()) {
    return NotAccepted(directive, "an IPv4 or IPv6 address such as 203.0.113.5 or 2001:db8::5");
  }
  for (const IpAddress& other : settings.udp_advertise) {
    if (other.is_v4() == address->is_v4()) return NotAccepted(directive, "one address of each family at most");
  }
  settings.udp_advertise.push_back(*address);
  return std::nullopt;
}

Error AddNat64Prefix(const Directive& directive, Settings& settings) {
  const auto block = Prefix::Parse(directive.value);
  if (!block || !Translators::IsPrefix(*block)) {
    return NotAccepted(directive, "an IPv6 block of 32, 40, 48, 56, 64 or 96 bits, such as 2001:db8:64::/96");
  }
  settings.guard.nat64_prefixes.push_back(*block);
  return std::nullopt;
}

Error SetLogLevel(const Directive& directive, PolicyDraft& draft) {
  for (const LogLevel level : kLogLevels) {
    if (directive.value == Describe(level)) {
      draft.policy().log_level = level;
      return std::nullopt;
    }
  }
  return NotAccepted(directive, "one of error, warn, notice, info");
}

Error SetLogFormat(const Directive& directive, PolicyDraft& draft) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    if (directive.value == Describe(format)) {
      draft.policy().log_format = format;
      return std::nullopt;
    }
  }
  return NotAccepted(directive, "one of text, json");
}

Error SetFile(const Directive& directive, std::string& into) {
  if (directive.value.empty()) return NotAccepted(directive, "the name of a file");
  into = PathIn(directive, directive.value);
  return std::nullopt;
}

Error SetStateDir(const Directive& directive, Settings& settings) {
  if (directive.value.empty()) return NotAccepted(directive, "the name of a directory");
  settings.state_dir = PathIn(directive, directive.value);
  return std::nullopt;
}

Error SetUserMetrics(const Directive& directive, Settings& settings) {
  if (directive.value != "on" && directive.value != "off") return NotAccepted(directive, "on or off");
  settings.user_metrics = directive.value == "on";
  return std::nullopt;
}

Error SetConfig(const Directive& directive, CommandLine& line) {
  if (!line.config.empty()) return NotAccepted(directive, "one file; it may include others");
  return SetFile(directive, line.config);
}

Error AddAdmin(const Directive& directive, Settings& settings) {
  AdminSettings& admin = settings.admin;
  if (admin.listeners() == kAdminListenersMax) {
    return NotAccepted(directive, "at most " + std::to_string(kAdminListenersMax) + " of them");
  }
  constexpr std::string_view kSocket = "unix:";
  if (directive.value.starts_with(kSocket)) {
    const std::string_view name = directive.value.substr(kSocket.size());
    const std::string path = PathIn(directive, name);
    if (name.empty() || path.size() > kSocketPathBytesMax) {
      return NotAccepted(directive, "a path of 1 to " + std::to_string(kSocketPathBytesMax) + " bytes");
    }
    admin.sockets.push_back(path);
    return std::nullopt;
  }
  const auto endpoint = Endpoint::Parse(directive.value);
  if (!endpoint) {
    return NotAccepted(directive, "a Unix socket or an address and a port, such as unix:/run/penstock/admin or " +
                                      std::string("127.0.0.1:9180"));
  }
  admin.addresses.push_back(*endpoint);
  return std::nullopt;
}

Error AddAdminHosts(const Directive& directive, Settings& settings) {
  std::string_view left = directive.value;
  for (;;) {
    std::string name(Trimmed(left.substr(0, left.find(','))));
    if (!IsHostName(name) || name.find(':') != std::string::npos) {
      return NotAccepted(directive, "names without a port, such as penstock.example.com, with a comma between two");
    }
    std::ranges::transform(name, name.begin(), LowerCase);
    settings.admin.hosts.push_back(std::move(name));
    if (left.find(',') == std::string_view::npos) return std::nullopt;
    left.remove_prefix(left.find(',') + 1);
  }
}

Error SetYesOrNo(const Directive& directive, bool& into) {
  if (directive.value != "yes" && directive.value != "no") return NotAccepted(directive, "yes or no");
  into = directive.value == "yes";
  return std::nullopt;
}

// Setters and defaults that the table uses more than once.
template <CommandLine::Action kAction>
Error SetAction(const Directive&, CommandLine& line) {
  line.action = kAction;
  return std::nullopt;
}
template <auto Member>
Error SetTime(const Directive& directive, Settings& settings) {
  return SetDuration(directive, settings.*Member);
}
template <auto Member>
std::string ShowTime(const Settings& settings) {
  return FormatDuration(settings.*Member);
}
template <auto Member>
Error SetPorts(const Directive& directive, Settings& settings) {
  const auto range = PortRange::Parse(directive.value);
  if (!range) return NotAccepted(directive, "a range of ports such as 40000-49999");
  settings.*Member = *range;
  return std::nullopt;
}
template <auto Member>
Error SetThreads(const Directive& directive, Settings& settings) {
  return SetNumber(directive, std::size_t{1}, kWorkersMax, settings.*Member);
}
template <auto Member>
Error SetRate(const Directive& directive, PolicyDraft& draft) {
  const auto rate = ParseRate(directive.value);
  if (!rate) {
    return NotAccepted(directive,
                       "bytes per second such as 64k, 10M or 1G (powers of 1000) or 10Mi (of 1024), from 1k to 100G");
  }
  draft.policy().limits.*Member = *rate;
  return std::nullopt;
}
Error SetUserLimit(const Directive& directive, PolicyDraft& draft) {
  const auto accepted = draft.policy().user_limits.Set(directive.name, directive.value);
  return accepted ? NotAccepted(directive, std::string(*accepted)) : std::nullopt;
}
template <bool kAllows>
Error AddRule(const Directive& directive, PolicyDraft& draft) {
  draft.AddRule(kAllows, directive);
  return std::nullopt;
}
std::string YesOrNo(bool value) { return value ? "yes" : "no"; }

constexpr std::uint32_t kConnectionsMax = 100'000'000;

constexpr Option kOptions[] = {
    {"config", "FILE", "Read options from FILE, too; the command line takes precedence", SetConfig},
    {"check", nullptr, "Check the options and the files that they name, and exit",
     SetAction<CommandLine::Action::kCheck>},
    {"listen", "ADDR:PORT", "Listen on this address, IPv4 or [IPv6]; may be repeated (%)", AddListen,
     [](const Settings&) { return std::string(kListenDefault); }, Repeat::kReplaces},
    {"workers", "N", "Number of worker threads (one per usable CPU)", SetThreads<&Settings::workers>},
    {"cpu-affinity", "auto|off|LIST", "Keep each worker on a CPU of LIST, such as 0-3,8, or on one each (%)",
     SetCpuAffinity, [](const Settings&) { return std::string("off"); }},
    {"login-threads", "N", "Number of threads that verify password hashes (half of the usable CPUs, at least one)",
     SetThreads<&Settings::login_threads>},
    {"run-as", "USER", "Drop privileges to this user after binding (the user who starts it)", SetRunAs},
    {"sandbox", "on|off|report", "Give up files and system calls that are not needed, or report their use (%)",
     SetSandbox, [](const Settings&) { return std::string("on"); }},
    {"allow-core-dumps", nullptr, "Allow core files, which hold all memory of the process, passwords included",
     [](const Directive&, CommandLine& line) {
       line.core_dumps = true;
       return Error();
     }},
    {"max-connections", "N", "Maximum number of sessions; more wait in the backlog (as many as open files allow)",
     [](const Directive& d, Settings& s) {
       return SetNumber(d, std::size_t{1}, std::size_t{kConnectionsMax}, s.connections_max);
     }},
    {"users", "FILE", "Require a login; FILE has lines of name:hash (crypt(3)) or name:{plain}password",
     [](const Directive& d, PolicyDraft& draft) { return draft.AddUsersFile(d); }, nullptr, Repeat::kAppends},
    {"user", "NAME:PASSWORD", "Require a login; one user, whose password everyone can see in the process list",
     [](const Directive& d, PolicyDraft& draft) { return draft.AddUser(d); }, nullptr, Repeat::kAppends},
    {"allow", "RULE", "Allow what matches RULE: any of client, user, command, target, port, with their values",
     AddRule<true>, nullptr, Repeat::kAppends},
    {"deny", "RULE", "Deny what matches RULE; of all rules, the first that matches decides", AddRule<false>, nullptr,
     Repeat::kAppends},
    {"set", "'NAME ITEM...'", "Define the set NAME of addresses, blocks, names and other sets, for use in rules",
     [](const Directive& d, PolicyDraft& draft) { return draft.AddSet(d); }, nullptr, Repeat::kAppends},
    {"set-file", "'NAME FILE'", "Define the set NAME by a file with one item a line",
     [](const Directive& d, PolicyDraft& draft) { return draft.AddSetFile(d); }, nullptr, Repeat::kAppends},
    {"reload-ends-denied", "yes|no", "End the sessions that the policy denies after a reload (%)",
     [](const Directive& d, PolicyDraft& draft) { return SetYesOrNo(d, draft.policy().reload_ends_denied); },
     [](const Settings& s) { return YesOrNo(s.policy.reload_ends_denied); }},
    {"max-connections-per-client", "N", "Maximum number of sessions of a client; 0: no limit (half, beyond loopback)",
     [](const Directive& d, PolicyDraft& draft) {
       return SetNumber(d, 0U, kConnectionsMax, draft.policy().limits.connections_per_client_max.emplace());
     }},
    {"max-connections-per-user", "N", "Maximum number of sessions of a user (no limit)",
     [](const Directive& d, PolicyDraft& draft) {
       return SetNumber(d, 1U, kConnectionsMax, draft.policy().limits.connections_per_user_max);
     }},
    {"max-clients", "N", "Maximum number of clients that a user has sessions from at a time (no limit)", SetUserLimit},
    {"quota", "'SIZE per PERIOD'", "Bytes that a user may move each day, week or month: '100G per month' (no limit)",
     SetUserLimit},
    {"expires", "DATE", "From this day on no user is served: 2027-01-31 (never)", SetUserLimit},
    {"hours", "HOURS", "When users are served: 'Mon-Fri 08:00-18:00, Sat 08:00-12:00' (any time)", SetUserLimit},
    {"connect-rate", "N", "Maximum number of new connections per second of a client (no limit)",
     [](const Directive& d, PolicyDraft& draft) {
       return SetNumber(d, 1U, 1'000'000U, draft.policy().limits.connect_rate);
     }},
    {"bandwidth", "RATE", "Maximum rate of a session in each direction (no limit)", SetRate<&Limits::bandwidth>},
    {"user-bandwidth", "RATE", "Maximum rate of all sessions of a user together in each direction (no limit)",
     SetRate<&Limits::user_bandwidth>},
    {"handshake-timeout", "TIME", "From accepting a client to its complete request (%)",
     SetTime<&Settings::handshake_timeout>, ShowTime<&Settings::handshake_timeout>},
    {"connect-timeout", "TIME", "From a request to the answer of its target, name resolution included (%)",
     SetTime<&Settings::connect_timeout>, ShowTime<&Settings::connect_timeout>},
    {"bind-timeout", "TIME", "Until the peer of a BIND connects (%)", SetTime<&Settings::bind_timeout>,
     ShowTime<&Settings::bind_timeout>},
    {"bind-ports", "LO-HI", "Ports to which the peers of BINDs connect (any free port)",
     SetPorts<&Settings::bind_ports>},
    {"half-close-timeout", "TIME", "Without a byte, after one side has finished sending (%)",
     SetTime<&Settings::half_close_timeout>, ShowTime<&Settings::half_close_timeout>},
    {"idle-timeout", "TIME", "Without a byte in either direction (%)", SetTime<&Settings::idle_timeout>,
     ShowTime<&Settings::idle_timeout>},
    {"keepalive-idle", "TIME", "Silence before the first TCP keepalive probe, to clients and targets (%)",
     [](const Directive& d, Settings& s) { return SetKeepAliveTime(d, s.keepalive.idle); },
     [](const Settings& s) { return FormatDuration(s.keepalive.idle); }},
    {"keepalive-interval", "TIME", "Between two keepalive probes (%)",
     [](const Directive& d, Settings& s) { return SetKeepAliveTime(d, s.keepalive.interval); },
     [](const Settings& s) { return FormatDuration(s.keepalive.interval); }},
    {"keepalive-probes", "N", "Number of unanswered keepalive probes after which a connection is dead (%)",
     [](const Directive& d, Settings& s) { return SetNumber(d, 1, 127, s.keepalive.probes); },
     [](const Settings& s) { return std::to_string(s.keepalive.probes); }},
    {"udp-idle-timeout", "TIME", "Without a datagram in either direction, for a UDP association (%)",
     SetTime<&Settings::udp_idle_timeout>, ShowTime<&Settings::udp_idle_timeout>},
    {"udp-filter", "FROM", "Whose datagrams reach a client: address (those it has sent to) or open (anyone) (%)",
     SetUdpFilter,
     [](const Settings& s) { return std::string(s.udp_filter == UdpFilter::kOpen ? "open" : "address"); }},
    {"udp-ports", "LO-HI", "Ports to which clients send datagrams (any free port)", SetPorts<&Settings::udp_ports>},
    {"udp-advertise", "ADDR", "Address in replies to UDP ASSOCIATE, once per family (the listener's)", AddUdpAdvertise,
     nullptr, Repeat::kReplaces},
    {"trust-loopback", "yes|no",
     "Clients from loopback may reach this host itself, and need neither users nor rules (%)",
     [](const Directive& d, Settings& s) { return SetYesOrNo(d, s.guard.trust_loopback); },
     [](const Settings& s) { return YesOrNo(s.guard.trust_loopback); }},
    {"nat64-prefix", "BLOCK", "A NAT64 prefix in use, besides 64:ff9b::/96; may be repeated", AddNat64Prefix, nullptr,
     Repeat::kReplaces},
    {"drain-timeout", "TIME", "From SIGTERM until the remaining sessions are reset (%)",
     SetTime<&Settings::drain_timeout>, ShowTime<&Settings::drain_timeout>},
    {"admin", "AT", "Answer HTTP at unix:PATH or ADDR:PORT: health, metrics; may be repeated (off)", AddAdmin, nullptr,
     Repeat::kReplaces},
    {"admin-token-file", "FILE",
     "Require the token in FILE: for changes, and beyond loopback for everything (no token)",
     [](const Directive& d, Settings& s) { return SetFile(d, s.admin.token_file); }},
    {"admin-host", "NAME", "A name by which clients call it (Host), besides addresses and localhost; may be repeated",
     AddAdminHosts, nullptr, Repeat::kReplaces},
    {"state-dir", "DIR", "Keep the accounts of users across restarts in this directory (in memory alone)", SetStateDir},
    {"user-metrics", "on|off", "Series of each user in the metrics, of at most 1,000 users (%)", SetUserMetrics,
     [](const Settings& s) { return std::string(s.user_metrics ? "on" : "off"); }},
    {"resolv-conf", "FILE", "Name servers, in the format of resolv.conf(5) (%)",
     [](const Directive& d, Settings& s) { return SetFile(d, s.names.resolv_conf); },
     [](const Settings& s) { return s.names.resolv_conf; }},
    {"hosts-file", "FILE", "Names that need no name server, in the format of hosts(5) (%)",
     [](const Directive& d, Settings& s) { return SetFile(d, s.names.hosts_file); },
     [](const Settings& s) { return s.names.hosts_file; }},
    {"log-level", "LEVEL", "error, warn, notice or info, which adds a line for each session (%)", SetLogLevel,
     [](const Settings& s) { return std::string(Describe(s.policy.log_level)); }},
    {"log-format", "FORMAT", "text, or json: each line is an object (%)", SetLogFormat,
     [](const Settings& s) { return std::string(Describe(s.policy.log_format)); }},
    {"help", nullptr, "Print this help and exit", SetAction<CommandLine::Action::kHelp>},
    {"version", nullptr, "Print the version and exit", SetAction<CommandLine::Action::kVersion>},
};

}  // namespace

Error Option::Set(const Directive& directive, CommandLine& line, PolicyDraft& draft) const {
  if (const auto* const set_policy = std::get_if<PolicySetter>(&set)) return (*set_policy)(directive, draft);
  if (const auto* const set_setting = std::get_if<SettingSetter>(&set)) {
    return (*set_setting)(directive, line.settings);
  }
  return std::get<CommandLineSetter>(set)(directive, line);
}

std::span<const Option> Options() { return kOptions; }

const Option* FindOption(std::string_view name) {
  const auto* const found = std::ranges::find(kOptions, name, &Option::name);
  return found == std::end(kOptions) ? nullptr : found;
}

std::string Suggestion(std::string_view name, bool for_file) {
  std::vector<std::string_view> known;
  for (const Option& option : kOptions) {
    if (!for_file || !option.command_line_only()) known.emplace_back(option.name);
  }
  if (for_file) known.emplace_back("include");
  const auto nearest = Nearest(name, known);
  return nearest ? "; did you mean " + std::string(for_file ? "" : "--") + std::string(*nearest) + "?" : "";
}

std::string HelpText() {
  constexpr std::size_t kColumn = 30;
  std::string text =
      "Usage: penstock [OPTION]...\n"
      "       penstock passwd NAME    read a password and print a line for a users file\n"
      "       penstock ctl COMMAND    ask or change a running gateway; penstock ctl --help lists the commands\n"
      "       penstock top            show the sessions of a running gateway, live\n"
      "A SOCKS5 gateway: it connects clients to IPv4 addresses, IPv6 addresses and names.\n\n";
  const Settings defaults;
  for (const Option& entry : kOptions) {
    std::string left = std::string("  --") + entry.name;
    if (entry.value != nullptr) left += std::string(" ") + entry.value;
    left.resize(std::max(kColumn, left.size() + 1), ' ');
    std::string help = entry.help;
    if (const auto percent = help.find('%'); percent != std::string::npos) {
      help.replace(percent, 1, entry.show_default(defaults));
    }
    text += left + help + '\n';
  }
  return text +
         "\nThe default is in brackets. penstock(8) and penstock.conf(5) explain each option.\n"
         "A client is an IPv4 address or an IPv6 /64.\n"
         "TIME is a number with ms, s, m or h, or a number of seconds.\n"
         "RATE is bytes per second with k, M or G (powers of 1000) or Ki, Mi, Gi (of 1024).\n"
         "SIGHUP reloads. SIGTERM and SIGINT stop accepting and drain; a second one ends the remaining sessions.\n"
         "Exit status: 0 after a stop, 1 if it cannot run, 2 for an error in an option or a file.\n";
}

}  // namespace penstock
