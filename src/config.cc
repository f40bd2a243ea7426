#include "penstock/config.h"

#include <getopt.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "penstock/limits.h"
#include "penstock/quantity.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

// Takes an option's value into the settings; returns what is accepted when the value is not.
using Take = std::optional<std::string> (*)(std::string_view value, Settings& settings);

struct Option {
  const char* name;
  const char* value;  // what the help calls its value; null when it takes none
  const char* help;   // "%" stands for the default
  Take take;
  std::string (*standard)(const Settings& settings);
};

template <class Number>
std::optional<std::string> TakeNumber(std::string_view value, Number low, Number high, Number& into) {
  const auto number = ParseNumber(value, static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high));
  if (!number) return "a number from " + std::to_string(low) + " to " + std::to_string(high);
  into = static_cast<Number>(*number);
  return std::nullopt;
}

template <class Duration>
std::optional<std::string> TakeDuration(std::string_view value, Duration& into) {
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
std::optional<std::string> TakeKeepAliveTime(std::string_view value, std::chrono::seconds& into) {
  auto mistake = TakeDuration(value, into);
  if (!mistake && into > std::chrono::seconds(32'767)) mistake = "a time such as 60s or 5m, up to 32767 seconds";
  return mistake;
}

std::optional<std::string> TakeListen(std::string_view value, Settings& settings) {
  const auto endpoint = Endpoint::Parse(value);
  if (!endpoint) return "an address and a port such as 127.0.0.1:1080, 0.0.0.0:1080 or [::1]:1080";
  if (settings.listen.size() == kListenersMax) {
    return "at most " + std::to_string(kListenersMax) + " addresses in all";
  }
  settings.listen.push_back(*endpoint);
  return std::nullopt;
}

std::optional<std::string> TakeUdpFilter(std::string_view value, Settings& settings) {
  if (value != "open" && value != "address") return "open or address";
  settings.udp_filter = value == "open" ? UdpFilter::kOpen : UdpFilter::kAddress;
  return std::nullopt;
}

std::optional<std::string> TakeUdpAdvertise(std::string_view value, Settings& settings) {
  const auto address = IpAddress::Parse(value);
  if (!address || address->is_unspecified()) return "an IPv4 or IPv6 address such as 203.0.113.5 or 2001:db8::5";
  for (const IpAddress& other : settings.udp_advertise) {
    if (other.is_v4() == address->is_v4()) return "one address of each family at most";
  }
  settings.udp_advertise.push_back(*address);
  return std::nullopt;
}

std::optional<std::string> TakePorts(std::string_view value, PortRange& into) {
  const std::size_t dash = value.find('-');
  const auto low = ParseNumber(value.substr(0, dash), 1, 65'535);
  const auto high = dash == std::string_view::npos ? low : ParseNumber(value.substr(dash + 1), 1, 65'535);
  if (!low || !high || *low > *high) return "a range of ports such as 40000-49999";
  into = {static_cast<std::uint16_t>(*low), static_cast<std::uint16_t>(*high)};
  return std::nullopt;
}

std::optional<std::string> TakeLogLevel(std::string_view value, Settings& settings) {
  for (const LogLevel level : {LogLevel::kError, LogLevel::kWarn, LogLevel::kNotice, LogLevel::kInfo}) {
    if (value == Describe(level)) {
      settings.log_level = level;
      return std::nullopt;
    }
  }
  return "one of error, warn, notice, info";
}

std::optional<std::string> TakeFile(std::string_view value, std::string& into) {
  if (value.empty()) return "the name of a file";
  into = value;
  return std::nullopt;
}

// In the order in which the help shows them.
const Option kOptions[] = {
    {"listen", "ADDR:PORT", "Listen here, IPv4 or [IPv6]; may be given several times (%)", TakeListen,
     [](const Settings&) { return std::string("127.0.0.1:1080"); }},
    {"workers", "N", "Threads that serve clients (one for each usable CPU)",
     [](std::string_view value, Settings& s) { return TakeNumber(value, std::size_t{1}, kWorkersMax, s.workers); },
     nullptr},
    {"max-connections", "N", "Sessions at a time; more wait to be accepted (as many as open files allow)",
     [](std::string_view value, Settings& s) {
       return TakeNumber(value, std::size_t{1}, std::size_t{100'000'000}, s.connections_max);
     },
     nullptr},
    {"handshake-timeout", "TIME", "From accepting a client to the end of its request (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.handshake_timeout); },
     [](const Settings& s) { return FormatDuration(s.handshake_timeout); }},
    {"connect-timeout", "TIME", "From a request to its target's answer, look-up included (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.connect_timeout); },
     [](const Settings& s) { return FormatDuration(s.connect_timeout); }},
    {"bind-timeout", "TIME", "For the peer of a BIND to connect (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.bind_timeout); },
     [](const Settings& s) { return FormatDuration(s.bind_timeout); }},
    {"bind-ports", "LO-HI", "Where the peer of a BIND may connect to (any free port)",
     [](std::string_view value, Settings& s) { return TakePorts(value, s.bind_ports); }, nullptr},
    {"half-close-timeout", "TIME", "Without a byte, when one side has finished sending (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.half_close_timeout); },
     [](const Settings& s) { return FormatDuration(s.half_close_timeout); }},
    {"idle-timeout", "TIME", "Without a byte (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.idle_timeout); },
     [](const Settings& s) { return FormatDuration(s.idle_timeout); }},
    {"keepalive-idle", "TIME", "Silence before the first TCP keepalive probe, on both sides (%)",
     [](std::string_view value, Settings& s) { return TakeKeepAliveTime(value, s.keepalive.idle); },
     [](const Settings& s) { return FormatDuration(s.keepalive.idle); }},
    {"keepalive-interval", "TIME", "Between probes (%)",
     [](std::string_view value, Settings& s) { return TakeKeepAliveTime(value, s.keepalive.interval); },
     [](const Settings& s) { return FormatDuration(s.keepalive.interval); }},
    {"keepalive-probes", "N", "Unanswered probes after which a peer is dead (%)",
     [](std::string_view value, Settings& s) { return TakeNumber(value, 1, 127, s.keepalive.probes); },
     [](const Settings& s) { return std::to_string(s.keepalive.probes); }},
    {"udp-idle-timeout", "TIME", "Without a datagram, until an association ends (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.udp_idle_timeout); },
     [](const Settings& s) { return FormatDuration(s.udp_idle_timeout); }},
    {"udp-filter", "FROM", "Whose answers pass: address (those sent to) or open (anyone) (%)", TakeUdpFilter,
     [](const Settings& s) { return std::string(s.udp_filter == UdpFilter::kOpen ? "open" : "address"); }},
    {"udp-ports", "LO-HI", "Ports to which clients send datagrams (any)",
     [](std::string_view value, Settings& s) { return TakePorts(value, s.udp_ports); }, nullptr},
    {"udp-advertise", "ADDR", "Where clients send datagrams, if not where they connected; once per family",
     TakeUdpAdvertise, nullptr},
    {"drain-timeout", "TIME", "For sessions to end after SIGTERM (%)",
     [](std::string_view value, Settings& s) { return TakeDuration(value, s.drain_timeout); },
     [](const Settings& s) { return FormatDuration(s.drain_timeout); }},
    {"resolv-conf", "FILE", "Name servers, as resolv.conf(5) (%)",
     [](std::string_view value, Settings& s) { return TakeFile(value, s.names.resolv_conf); },
     [](const Settings& s) { return s.names.resolv_conf; }},
    {"hosts-file", "FILE", "Names known without asking, as hosts(5) (%)",
     [](std::string_view value, Settings& s) { return TakeFile(value, s.names.hosts_file); },
     [](const Settings& s) { return s.names.hosts_file; }},
    {"log-level", "LEVEL", "error, warn, notice or info: info has a line for each session (%)", TakeLogLevel,
     [](const Settings& s) { return std::string(Describe(s.log_level)); }},
    {"help", nullptr, "Print this and exit", nullptr, nullptr},
    {"version", nullptr, "Print the version and exit", nullptr, nullptr},
};

CommandLine Mistake(std::string sentence) {
  CommandLine line;
  line.wish = CommandLine::Wish::kMistake;
  line.mistake = std::move(sentence);
  return line;
}

// What getopt_long(3) returns for the first option of the table; no letter has such a value.
constexpr int kFirstOption = 256;

// The table above as getopt_long(3) wants it.
std::vector<option> LongOptions() {
  std::vector<option> options;
  for (const Option& entry : kOptions) {
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
    const std::string name = kOptions[optopt - kFirstOption].name;
    return "option --" + name + (result == ':' ? " wants a value" : " takes no value") + "; see --help";
  }
  const std::string word = optopt != 0 ? std::string{'-', static_cast<char>(optopt)} : arguments[optind - 1];
  return "unknown option " + word + "; see --help";
}

}  // namespace

CommandLine ParseCommandLine(int count, char* const arguments[], std::size_t cpus) {
  CommandLine line;
  line.settings.workers = std::min(cpus, kWorkersMax);
  const std::vector<option> long_options = LongOptions();
  ::optind = 0;  // glibc: start afresh, for tests call this often
  ::opterr = 0;
  for (;;) {
    const int result = ::getopt_long(count, arguments, ":hV", long_options.data(), nullptr);
    if (result == -1) break;
    if (result == '?' || result == ':') return Mistake(Stumbled(result, arguments));
    const std::string_view name = result == 'h'   ? "help"
                                  : result == 'V' ? "version"
                                                  : kOptions[result - kFirstOption].name;
    if (name == "help" || name == "version") {
      line.wish = name == "help" ? CommandLine::Wish::kHelp : CommandLine::Wish::kVersion;
      return line;
    }
    if (const auto accepted = kOptions[result - kFirstOption].take(optarg, line.settings)) {
      return Mistake("--" + std::string(name) + ": '" + optarg + "' is not accepted; give " + *accepted);
    }
  }
  if (optind < count) {
    return Mistake("unexpected word '" + std::string(arguments[optind]) + "'; everything is an option, see --help");
  }
  if (line.settings.listen.empty()) line.settings.listen.push_back(*Endpoint::Parse("127.0.0.1:1080"));
  return line;
}

std::string HelpText() {
  constexpr std::size_t kColumn = 30;
  std::string text =
      "Usage: penstock [OPTION]...\n"
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
         "SIGTERM and SIGINT stop accepting and wait for the sessions to end; a second one ends them.\n"
         "Exit status: 0 after a stop, 1 when it cannot run, 2 for a mistake on the command line.\n";
}

std::size_t UsableCpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace penstock
