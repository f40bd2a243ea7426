#include "penstock/config/options.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/prefix.h"
#include "penstock/base/quantity.h"
#include "penstock/base/suggest.h"
#include "penstock/os/log.h"

namespace penstock {
namespace {

using Scope = Option::Scope;
using Merge = Option::Merge;

// What is accepted, for a value that is not; nothing for one that was taken.
using Accepted = std::optional<std::string>;

template <class Number>
Accepted TakeNumber(std::string_view value, Number low, Number high, Number& into) {
  const auto number = ParseNumber(value, static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high));
  if (!number) return "a number from " + std::to_string(low) + " to " + std::to_string(high);
  into = static_cast<Number>(*number);
  return std::nullopt;
}

template <class Duration>
Accepted TakeDuration(std::string_view value, Duration& into) {
  const auto duration = ParseDuration(value);
  const auto rounded = duration ? std::chrono::duration_cast<Duration>(*duration) : Duration(0);
  if (!duration || rounded != *duration) {
    return std::string("a time such as ") + (Duration(std::chrono::seconds(1)).count() == 1 ? "" : "250ms, ") +
           "10s, 5m or 2h, up to 365 days";
  }
  into = rounded;
  return std::nullopt;
}

// tcp(7): TCP_KEEPIDLE and TCP_KEEPINTVL go up to 32,767 seconds.
Accepted TakeKeepAliveTime(std::string_view value, std::chrono::seconds& into) {
  auto mistake = TakeDuration(value, into);
  if (!mistake && into > std::chrono::seconds(32'767)) mistake = "a time such as 60s or 5m, up to 32767 seconds";
  return mistake;
}

Accepted TakeListen(const Directive& directive, Draft& draft) {
  const auto endpoint = Endpoint::Parse(directive.value);
  if (!endpoint) return "an address and a port such as 127.0.0.1:1080, 0.0.0.0:1080 or [::1]:1080";
  if (draft.settings.listen.size() == kListenersMax) {
    return "at most " + std::to_string(kListenersMax) + " addresses in all";
  }
  draft.settings.listen.push_back(*endpoint);
  return std::nullopt;
}

Accepted TakeUdpFilter(const Directive& directive, Draft& draft) {
  if (directive.value != "open" && directive.value != "address") return "open or address";
  draft.settings.udp_filter = directive.value == "open" ? UdpFilter::kOpen : UdpFilter::kAddress;
  return std::nullopt;
}

Accepted TakeUdpAdvertise(const Directive& directive, Draft& draft) {
  const auto address = IpAddress::Parse(directive.value);
  if (!address || address->is_unspecified()) return "an IPv4 or IPv6 address such as 203.0.113.5 or 2001:db8::5";
  for (const IpAddress& other : draft.settings.udp_advertise) {
    if (other.is_v4() == address->is_v4()) return "one address of each family at most";
  }
  draft.settings.udp_advertise.push_back(*address);
  return std::nullopt;
}

Accepted TakeNat64Prefix(const Directive& directive, Draft& draft) {
  const auto block = Prefix::Parse(directive.value);
  if (!block || !Translators::IsPrefix(*block)) {
    return "an IPv6 block of 32, 40, 48, 56, 64 or 96 bits, such as 2001:db8:64::/96";
  }
  draft.settings.guard.nat64_prefixes.push_back(*block);
  return std::nullopt;
}

Accepted TakePorts(std::string_view value, PortRange& into) {
  const std::size_t dash = value.find('-');
  const auto low = ParseNumber(value.substr(0, dash), 1, 65'535);
  const auto high = dash == std::string_view::npos ? low : ParseNumber(value.substr(dash + 1), 1, 65'535);
  if (!low || !high || *low > *high) return "a range of ports such as 40000-49999";
  into = {static_cast<std::uint16_t>(*low), static_cast<std::uint16_t>(*high)};
  return std::nullopt;
}

Accepted TakeLogLevel(const Directive& directive, Draft& draft) {
  for (const LogLevel level : {LogLevel::kError, LogLevel::kWarn, LogLevel::kNotice, LogLevel::kInfo}) {
    if (directive.value == Describe(level)) {
      draft.settings.log_level = level;
      return std::nullopt;
    }
  }
  return "one of error, warn, notice, info";
}

Accepted TakeFile(const Directive& directive, std::string& into) {
  if (directive.value.empty()) return "the name of a file";
  into = PathIn(directive, directive.value);
  return std::nullopt;
}

Accepted TakeYesOrNo(std::string_view value, bool& into) {
  if (value != "yes" && value != "no") return "yes or no";
  into = value == "yes";
  return std::nullopt;
}

Accepted TakeRate(std::string_view value, std::uint64_t& into) {
  const auto rate = ParseRate(value);
  if (!rate) return "bytes per second such as 64k, 10M or 1G (powers of 1000) or 10Mi (of 1024), from 1k to 100G";
  into = *rate;
  return std::nullopt;
}

// The same for a member of Settings, as the table wants them.
template <auto Member>
Accepted TakeTime(const Directive& directive, Draft& draft) {
  return TakeDuration(directive.value, draft.settings.*Member);
}
template <auto Member>
std::string ShowTime(const Settings& settings) {
  return FormatDuration(settings.*Member);
}
template <auto Member>
Accepted TakePortRange(const Directive& directive, Draft& draft) {
  return TakePorts(directive.value, draft.settings.*Member);
}

// For what is made of several directives together, once all have been read.
template <auto Member>
Accepted Keep(const Directive& directive, Draft& draft) {
  (draft.*Member).push_back(directive);
  return std::nullopt;
}

constexpr Option kOptions[] = {
    {"config", "FILE", "Read these options from a file, too; those given here win", Scope::kCommandLine,
     [](const Directive& d, Draft& draft) {
       return draft.config.empty() ? TakeFile(d, draft.config) : Accepted("one file; it may include others");
     }},
    {"check", nullptr, "Judge options and files, and exit", Scope::kCommandLine, nullptr},
    {.name = "listen",
     .value = "ADDR:PORT",
     .help = "Listen here, IPv4 or [IPv6]; may be given several times (%)",
     .scope = Scope::kStart,
     .take = TakeListen,
     .standard = [](const Settings&) { return std::string("127.0.0.1:1080"); },
     .many = true},
    {"workers", "N", "Threads that serve clients (one for each usable CPU)", Scope::kStart,
     [](const Directive& d, Draft& draft) {
       return TakeNumber(d.value, std::size_t{1}, kWorkersMax, draft.settings.workers);
     }},
    {"login-threads", "N", "Threads that compute hashes of passwords (half of the usable CPUs, one at least)",
     Scope::kStart,
     [](const Directive& d, Draft& draft) {
       return TakeNumber(d.value, std::size_t{1}, kWorkersMax, draft.settings.login_threads);
     }},
    {"run-as", "USER", "Who to be once the addresses are listened on (who started it)", Scope::kStart,
     [](const Directive& d, Draft& draft) {
       draft.settings.run_as = d.value;
       return d.value.empty() ? Accepted("the name of a user") : std::nullopt;
     }},
    {"allow-core-dumps", nullptr, "Let a crash write this process' memory, passwords included, to a core file",
     Scope::kCommandLine,
     [](const Directive&, Draft& draft) {
       draft.settings.core_dumps = true;
       return Accepted();
     }},
    {"max-connections", "N", "Sessions at a time; more wait to be accepted (as many as open files allow)",
     Scope::kStart,
     [](const Directive& d, Draft& draft) {
       return TakeNumber(d.value, std::size_t{1}, std::size_t{100'000'000}, draft.settings.connections_max);
     }},
    {.name = "users",
     .value = "FILE",
     .help = "Who may log in: lines of name:hash (crypt(3)), or name:{plain}password",
     .scope = Scope::kReload,
     .take = Keep<&Draft::logins>,
     .many = true,
     .merge = Merge::kAppend},
    {.name = "user",
     .value = "NAME:PASSWORD",
     .help = "One who may log in; the process list shows it to everybody",
     .scope = Scope::kReload,
     .take = Keep<&Draft::logins>,
     .many = true,
     .merge = Merge::kAppend},
    {.name = "allow",
     .value = "RULE",
     .help = "What is allowed; the first rule that matches decides (everything, unless a rule allows)",
     .scope = Scope::kReload,
     .take = Keep<&Draft::rules>,
     .many = true,
     .merge = Merge::kAppend},
    {.name = "deny",
     .value = "RULE",
     .help = "What is not: any of client, user, command, target, port, with their values",
     .scope = Scope::kReload,
     .take = Keep<&Draft::rules>,
     .many = true,
     .merge = Merge::kAppend},
    {.name = "set",
     .value = "'NAME ITEM...'",
     .help = "Addresses, blocks, names and sets that rules call NAME",
     .scope = Scope::kReload,
     .take = Keep<&Draft::sets>,
     .many = true,
     .merge = Merge::kAppend},
    {.name = "set-file",
     .value = "'NAME FILE'",
     .help = "The same from a file, an item a line",
     .scope = Scope::kReload,
     .take = Keep<&Draft::sets>,
     .many = true,
     .merge = Merge::kAppend},
    {"reload-ends-denied", "yes|no", "Whether a reload ends the sessions that it forbids (%)", Scope::kReload,
     [](const Directive& d, Draft& draft) { return TakeYesOrNo(d.value, draft.settings.policy.reload_ends_denied); },
     [](const Settings& s) { return std::string(s.policy.reload_ends_denied ? "yes" : "no"); }},
    {"max-connections-per-client", "N",
     "Sessions of one address or IPv6 /64 at a time; 0: any (beyond loopback half of all)", Scope::kReload,
     [](const Directive& d, Draft& draft) {
       return TakeNumber(d.value, 0U, 100'000'000U, draft.settings.policy.limits.connections_per_client_max.emplace());
     }},
    {"max-connections-per-user", "N", "Sessions of one user at a time (any number)", Scope::kReload,
     [](const Directive& d, Draft& draft) {
       return TakeNumber(d.value, 1U, 100'000'000U, draft.settings.policy.limits.connections_per_user_max);
     }},
    {"connect-rate", "N", "New connections of one client address per second (any number)", Scope::kReload,
     [](const Directive& d, Draft& draft) {
       return TakeNumber(d.value, 1U, 1'000'000U, draft.settings.policy.limits.connect_rate);
     }},
    {"bandwidth", "RATE", "Bytes per second of one session, each way (as many as come)", Scope::kReload,
     [](const Directive& d, Draft& draft) { return TakeRate(d.value, draft.settings.policy.limits.bandwidth); }},
    {"user-bandwidth", "RATE", "Bytes per second of all sessions of a user together, each way (as many as come)",
     Scope::kReload,
     [](const Directive& d, Draft& draft) { return TakeRate(d.value, draft.settings.policy.limits.user_bandwidth); }},
    {"handshake-timeout", "TIME", "From accepting a client to the end of its request (%)", Scope::kStart,
     TakeTime<&Settings::handshake_timeout>, ShowTime<&Settings::handshake_timeout>},
    {"connect-timeout", "TIME", "From a request to its target's answer, look-up included (%)", Scope::kStart,
     TakeTime<&Settings::connect_timeout>, ShowTime<&Settings::connect_timeout>},
    {"bind-timeout", "TIME", "For the peer of a BIND to connect (%)", Scope::kStart, TakeTime<&Settings::bind_timeout>,
     ShowTime<&Settings::bind_timeout>},
    {"bind-ports", "LO-HI", "Where the peer of a BIND may connect to (any free port)", Scope::kStart,
     TakePortRange<&Settings::bind_ports>},
    {"half-close-timeout", "TIME", "Without a byte, when one side has finished sending (%)", Scope::kStart,
     TakeTime<&Settings::half_close_timeout>, ShowTime<&Settings::half_close_timeout>},
    {"idle-timeout", "TIME", "Without a byte (%)", Scope::kStart, TakeTime<&Settings::idle_timeout>,
     ShowTime<&Settings::idle_timeout>},
    {"keepalive-idle", "TIME", "Silence before the first TCP keepalive probe, on both sides (%)", Scope::kStart,
     [](const Directive& d, Draft& draft) { return TakeKeepAliveTime(d.value, draft.settings.keepalive.idle); },
     [](const Settings& s) { return FormatDuration(s.keepalive.idle); }},
    {"keepalive-interval", "TIME", "Between probes (%)", Scope::kStart,
     [](const Directive& d, Draft& draft) { return TakeKeepAliveTime(d.value, draft.settings.keepalive.interval); },
     [](const Settings& s) { return FormatDuration(s.keepalive.interval); }},
    {"keepalive-probes", "N", "Unanswered probes after which a peer is dead (%)", Scope::kStart,
     [](const Directive& d, Draft& draft) { return TakeNumber(d.value, 1, 127, draft.settings.keepalive.probes); },
     [](const Settings& s) { return std::to_string(s.keepalive.probes); }},
    {"udp-idle-timeout", "TIME", "Without a datagram, until an association ends (%)", Scope::kStart,
     TakeTime<&Settings::udp_idle_timeout>, ShowTime<&Settings::udp_idle_timeout>},
    {"udp-filter", "FROM", "Whose answers pass: address (those sent to) or open (anyone) (%)", Scope::kStart,
     TakeUdpFilter,
     [](const Settings& s) { return std::string(s.udp_filter == UdpFilter::kOpen ? "open" : "address"); }},
    {"udp-ports", "LO-HI", "Ports to which clients send datagrams (any)", Scope::kStart,
     TakePortRange<&Settings::udp_ports>},
    {.name = "udp-advertise",
     .value = "ADDR",
     .help = "Where clients send datagrams, if not where they connected; once per family",
     .scope = Scope::kStart,
     .take = TakeUdpAdvertise,
     .many = true},
    {"trust-loopback", "yes|no", "Whether clients from loopback need no login, and reach this host itself (%)",
     Scope::kStart,
     [](const Directive& d, Draft& draft) { return TakeYesOrNo(d.value, draft.settings.guard.trust_loopback); },
     [](const Settings& s) { return std::string(s.guard.trust_loopback ? "yes" : "no"); }},
    {.name = "nat64-prefix",
     .value = "BLOCK",
     .help = "Whose addresses mean IPv4 ones, beside 64:ff9b::/96; may be repeated",
     .scope = Scope::kStart,
     .take = TakeNat64Prefix,
     .many = true},
    {"drain-timeout", "TIME", "For sessions to end after SIGTERM (%)", Scope::kStart,
     TakeTime<&Settings::drain_timeout>, ShowTime<&Settings::drain_timeout>},
    {"resolv-conf", "FILE", "Name servers, as resolv.conf(5) (%)", Scope::kStart,
     [](const Directive& d, Draft& draft) { return TakeFile(d, draft.settings.names.resolv_conf); },
     [](const Settings& s) { return s.names.resolv_conf; }},
    {"hosts-file", "FILE", "Names known without asking, as hosts(5) (%)", Scope::kStart,
     [](const Directive& d, Draft& draft) { return TakeFile(d, draft.settings.names.hosts_file); },
     [](const Settings& s) { return s.names.hosts_file; }},
    {"log-level", "LEVEL", "error, warn, notice or info: info has a line for each session (%)", Scope::kReload,
     TakeLogLevel, [](const Settings& s) { return std::string(Describe(s.log_level)); }},
    {"help", nullptr, "Print this and exit", Scope::kCommandLine, nullptr},
    {"version", nullptr, "Print the version and exit", Scope::kCommandLine, nullptr},
};

}  // namespace

std::span<const Option> Options() { return kOptions; }

const Option* FindOption(std::string_view name) {
  const auto* const found = std::ranges::find(kOptions, name, &Option::name);
  return found == std::end(kOptions) ? nullptr : found;
}

std::string Suggestion(std::string_view name, bool for_file) {
  std::vector<std::string_view> known;
  for (const Option& option : kOptions) {
    if (!for_file || option.scope != Scope::kCommandLine) known.emplace_back(option.name);
  }
  if (for_file) known.emplace_back("include");
  const auto nearest = Nearest(name, known);
  return nearest ? "; did you mean " + std::string(for_file ? "" : "--") + std::string(*nearest) + "?" : "";
}

std::string HelpText() {
  constexpr std::size_t kColumn = 30;
  std::string text =
      "Usage: penstock [OPTION]...\n"
      "       penstock passwd NAME    asks for a password and prints a line for a users file\n"
      "A SOCKS5 gateway: clients connect through it to IPv4 and IPv6 addresses and to names.\n\n";
  const Settings standard;
  for (const Option& entry : kOptions) {
    std::string left = std::string("  --") + entry.name;
    if (entry.value != nullptr) left += std::string(" ") + entry.value;
    left.resize(std::max(kColumn, left.size() + 1), ' ');
    std::string help = entry.help;
    if (const auto percent = help.find('%'); percent != std::string::npos) {
      help.replace(percent, 1, entry.standard(standard));
    }
    text += left + help + '\n';
  }
  return text +
         "\nTIME is a number with ms, s, m or h; without a unit it is seconds. In brackets: what holds by default.\n"
         "RATE is bytes per second with k, M or G (powers of 1000) or Ki, Mi, Gi (of 1024).\n"
         "SIGTERM and SIGINT stop accepting and wait for the sessions to end; a second one ends them.\n"
         "Exit status: 0 after a stop, 1 when it cannot run, 2 for a mistake on the command line or in a file.\n";
}

}  // namespace penstock
