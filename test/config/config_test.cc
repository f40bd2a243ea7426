#include "penstock/config/config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/secret.h"
#include "penstock/config/options.h"
#include "penstock/os/fd.h"
#include "penstock/os/thread.h"
#include "test/support/temp_directory.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Action = CommandLine::Action;

CommandLine Parse(std::vector<std::string> words, std::size_t cpus = 4, const RunningGateway& running = {}) {
  words.insert(words.begin(), "penstock");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  const int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  return ParseCommandLine(count, arguments.data(), cpus, running);
}

Settings Good(std::vector<std::string> words) {
  const CommandLine line = Parse(std::move(words));
  CHECK_MESSAGE(line.action == Action::kRun, line.error);
  CHECK(line.error == "");
  return line.settings;
}

std::string ErrorIn(std::vector<std::string> words) {
  const CommandLine line = Parse(std::move(words));
  CHECK(line.action == Action::kError);
  return line.error;
}

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST_CASE("config: without options it listens on loopback with a worker for each CPU") {
  const CommandLine line = Parse({}, 6);
  CHECK(line.action == Action::kRun);
  REQUIRE(line.settings.listen.size() == 1);
  CHECK(line.settings.listen[0].ToString() == "127.0.0.1:1080");
  CHECK(line.settings.workers == 6);
  CHECK(line.settings.login_threads == 3);
  CHECK(Parse({}, 1).settings.login_threads == 1);
  CHECK(line.settings.connections_max == 0);
  CHECK(line.settings.handshake_timeout == 10s);
  CHECK(line.settings.connect_timeout == 10s);
  CHECK(line.settings.bind_timeout == 1min);
  CHECK(line.settings.bind_ports == PortRange{0, 0});
  CHECK(line.settings.half_close_timeout == 10min);
  CHECK(line.settings.idle_timeout == 2h);
  CHECK(line.settings.drain_timeout == 30s);
  CHECK(line.settings.policy.log_level == LogLevel::kNotice);
  CHECK(line.settings.policy.log_format == LogFormat::kText);
  CHECK(Parse({}, 1'000'000).settings.workers == kWorkersMax);
}

TEST_CASE("config: every option sets its setting, with = or with the value as the next word") {
  const auto check = [](const Settings& s) {
    REQUIRE(s.listen.size() == 2);
    CHECK(s.listen[0].ToString() == "0.0.0.0:1080");
    CHECK(s.listen[1].ToString() == "[::1]:0");
    CHECK(s.workers == 3);
    CHECK(s.login_threads == 5);
    CHECK(s.connections_max == 500);
    CHECK(s.handshake_timeout == 250ms);
    CHECK(s.connect_timeout == 7s);
    CHECK(s.bind_timeout == 2s);
    CHECK(s.bind_ports == PortRange{40000, 40999});
    CHECK(s.half_close_timeout == 1min);
    CHECK(s.idle_timeout == 24h);
    CHECK(s.keepalive.idle == 30s);
    CHECK(s.keepalive.interval == 5s);
    CHECK(s.keepalive.probes == 9);
    CHECK(s.drain_timeout == 1ms);
    CHECK(s.admin.sockets == std::vector<std::string>{"/run/penstock/admin"});
    REQUIRE(s.admin.addresses.size() == 1);
    CHECK(s.admin.addresses[0].ToString() == "[::1]:9180");
    CHECK(s.admin.hosts == std::vector<std::string>{"a.example", "b.example"});
    CHECK(s.names.resolv_conf == "/tmp/resolv");
    CHECK(s.names.hosts_file == "/tmp/hosts");
    CHECK(s.policy.log_level == LogLevel::kInfo);
    CHECK(s.policy.log_format == LogFormat::kJson);
    CHECK(s.policy.limits == Limits{20, 10, 5, 10 * 1024 * 1024, 1'000'000'000});
  };
  const std::pair<std::string, std::string> options[] = {
      {"--allow", "client any"},
      {"--listen", "0.0.0.0:1080"},
      {"--listen", "[::1]:0"},
      {"--workers", "3"},
      {"--login-threads", "5"},
      {"--max-connections", "500"},
      {"--handshake-timeout", "250ms"},
      {"--connect-timeout", "7"},
      {"--bind-timeout", "2s"},
      {"--bind-ports", "40000-40999"},
      {"--half-close-timeout", "1m"},
      {"--idle-timeout", "24h"},
      {"--keepalive-idle", "30s"},
      {"--keepalive-interval", "5"},
      {"--keepalive-probes", "9"},
      {"--drain-timeout", "1ms"},
      {"--admin", "unix:/run/penstock/admin"},
      {"--admin", "[::1]:9180"},
      {"--admin-host", "A.example, b.example"},
      {"--resolv-conf", "/tmp/resolv"},
      {"--hosts-file", "/tmp/hosts"},
      {"--log-level", "info"},
      {"--log-format", "json"},
      {"--max-connections-per-client", "20"},
      {"--max-connections-per-user", "10"},
      {"--user-bandwidth", "1G"},
      {"--connect-rate", "5"},
      {"--bandwidth", "10Mi"},
  };
  std::vector<std::string> joined, apart;
  for (const auto& [option, value] : options) {
    joined.push_back(option + "=" + value);
    apart.push_back(option);
    apart.push_back(value);
  }
  check(Good(joined));
  check(Good(apart));
}

TEST_CASE("config: values at the ends of their ranges are accepted") {
  const std::vector<std::string> good[] = {
      {"--workers=1"},
      {"--workers=1024"},
      {"--login-threads=1"},
      {"--login-threads=1024"},
      {"--max-connections=1"},
      {"--max-connections=100000000"},
      {"--keepalive-probes=1"},
      {"--keepalive-probes=127"},
      {"--keepalive-idle=32767s"},
      {"--keepalive-interval=1s"},
      {"--keepalive-idle=2000ms"},
      {"--bind-ports=1-65535"},
      {"--bind-ports=40000-40000"},
      {"--bind-ports=40000"},
      {"--idle-timeout=8760h"},
      {"--idle-timeout=1ms"},
      {"--max-connections-per-client=0"},
      {"--max-connections-per-client=100000000"},
      {"--connect-rate=1"},
      {"--connect-rate=1000000"},
      {"--bandwidth=1k"},
      {"--bandwidth=100G"},
      {"--log-level=error"},
      {"--log-level=warn"},
      {"--log-level=notice"},
      {"--log-format=text"},
      {"--listen=[::ffff:127.0.0.1]:65535"},
      std::vector<std::string>(kListenersMax, "--listen=127.0.0.1:0"),
  };
  for (const auto& words : good) {
    CAPTURE(words[0]);
    Good(words);
  }
}

TEST_CASE("config: an error about a value names the option, the value and what is accepted") {
  const std::string kEndpoint = "an address and a port such as 127.0.0.1:1080, 0.0.0.0:1080 or [::1]:1080";
  const std::string kTime = "a time such as 250ms, 10s, 5m or 2h, up to 365 days";
  const std::string kSeconds = "a time such as 10s, 5m or 2h, up to 365 days";
  const std::string kPorts = "a range of ports such as 40000-49999";
  const std::string kKeepAlive = "a time such as 60s or 5m, up to 32767 seconds";
  const std::string kRate =
      "bytes per second such as 64k, 10M or 1G (powers of 1000) or 10Mi (of 1024), from 1k to 100G";
  const std::string kLevel = "one of error, warn, notice, info";
  const struct {
    std::string option;
    std::string value;
    std::string accepted;
  } bad[] = {
      {"listen", "", kEndpoint},
      {"listen", "1080", kEndpoint},
      {"listen", "127.0.0.1", kEndpoint},
      {"listen", "localhost:1080", kEndpoint},
      {"listen", "127.0.0.1:65536", kEndpoint},
      {"listen", "::1:1080", kEndpoint},
      {"max-connections-per-client", "-1", "a number from 0 to 100000000"},
      {"connect-rate", "1000001", "a number from 1 to 1000000"},
      {"bandwidth", "0", kRate},
      {"user-bandwidth", "999", kRate},
      {"max-connections-per-user", "many", "a number from 1 to 100000000"},
      {"bandwidth", "10m", kRate},
      {"bandwidth", "1.5M", kRate},
      {"workers", "0", "a number from 1 to 1024"},
      {"workers", "1025", "a number from 1 to 1024"},
      {"workers", "-1", "a number from 1 to 1024"},
      {"workers", "+1", "a number from 1 to 1024"},
      {"workers", "two", "a number from 1 to 1024"},
      {"workers", "2 ", "a number from 1 to 1024"},
      {"workers", "", "a number from 1 to 1024"},
      {"cpu-affinity", "", "auto, off, or CPUs in ascending order such as 0-3,8"},
      {"cpu-affinity", "1,0", "auto, off, or CPUs in ascending order such as 0-3,8"},
      {"cpu-affinity", "0-1024", "auto, off, or CPUs in ascending order such as 0-3,8"},
      {"login-threads", "0", "a number from 1 to 1024"},
      {"login-threads", "1025", "a number from 1 to 1024"},
      {"max-connections", "0", "a number from 1 to 100000000"},
      {"max-connections", "100000001", "a number from 1 to 100000000"},
      {"max-connections", "18446744073709551617", "a number from 1 to 100000000"},
      {"handshake-timeout", "0", kTime},
      {"handshake-timeout", "soon", kTime},
      {"connect-timeout", "1.5s", kTime},
      {"bind-timeout", "0", kTime},
      {"bind-ports", "", kPorts},
      {"bind-ports", "40000-", kPorts},
      {"bind-ports", "-40000", kPorts},
      {"bind-ports", "0-10", kPorts},
      {"bind-ports", "1-65536", kPorts},
      {"bind-ports", "41000-40000", kPorts},
      {"bind-ports", "1-2-3", kPorts},
      {"bind-ports", "40000 - 41000", kPorts},
      {"half-close-timeout", "-1s", kTime},
      {"idle-timeout", "8761h", kTime},
      {"drain-timeout", "10 s", kTime},
      {"keepalive-idle", "250ms", kSeconds},
      {"keepalive-idle", "0", kSeconds},
      {"keepalive-idle", "32768s", kKeepAlive},
      {"keepalive-interval", "1500ms", kSeconds},
      {"keepalive-interval", "24h", kKeepAlive},
      {"keepalive-probes", "0", "a number from 1 to 127"},
      {"keepalive-probes", "128", "a number from 1 to 127"},
      {"resolv-conf", "", "the name of a file"},
      {"hosts-file", "", "the name of a file"},
      {"log-level", "", kLevel},
      {"log-level", "debug", kLevel},
      {"log-level", "INFO", kLevel},
      {"log-format", "", "one of text, json"},
      {"log-format", "JSON", "one of text, json"},
  };
  for (const auto& row : bad) {
    CAPTURE(row.option);
    CAPTURE(row.value);
    CHECK(ErrorIn({"--" + row.option + "=" + row.value}) ==
          "--" + row.option + ": '" + row.value + "' is not accepted; give " + row.accepted);
  }
}

TEST_CASE("config: too many addresses to listen on are an error") {
  const std::string sentence = ErrorIn(std::vector<std::string>(kListenersMax + 1, "--listen=127.0.0.1:0"));
  CHECK(Contains(sentence, "at most 64 addresses"));
}

TEST_CASE("config: an unknown option is an error that names it") {
  const struct {
    std::vector<std::string> words;
    std::string sentence;
  } bad[] = {
      {{"--frobnicate"}, "unknown option --frobnicate; see --help"},
      {{"--frobnicate=1"}, "unknown option --frobnicate=1; see --help"},
      {{"--lisen=1"}, "unknown option --lisen=1; did you mean --listen?"},
      {{"--chekc"}, "unknown option --chekc; did you mean --check?"},
      {{"-x"}, "unknown option -x; see --help"},
      {{"-xyz"}, "unknown option -x; see --help"},
      {{"--listen"}, "option --listen needs a value; see --help"},
      {{"--workers=2", "--log-level"}, "option --log-level needs a value; see --help"},
      {{"1080"}, "unexpected argument '1080'; only options are accepted, see --help"},
      {{"--workers=2", "start"}, "unexpected argument 'start'; only options are accepted, see --help"},
      {{"--", "--workers=2"}, "unexpected argument '--workers=2'; only options are accepted, see --help"},
      {{""}, "unexpected argument ''; only options are accepted, see --help"},
  };
  for (const auto& row : bad) {
    CAPTURE(row.words[0]);
    CHECK(ErrorIn(row.words) == row.sentence);
  }
}

TEST_CASE("config: a value for an option that takes none is not an unknown option") {
  for (const char* word : {"--help=me", "--version=2"}) {
    CAPTURE(word);
    CHECK_FALSE(Contains(ErrorIn({word}), "unknown"));
  }
}

TEST_CASE("config: an error in one call does not affect the next") {
  ErrorIn({"--frobnicate", "--workers=2"});
  ErrorIn({"-xyz"});
  CHECK(Good({"--workers=2"}).workers == 2);
}

TEST_CASE("config: limits of users are options, too, and name what they accept") {
  const UserLimits limits =
      Good({"--quota=100G per month from 15", "--expires=2027-01-31", "--hours=Mon-Fri 08:00-18:00", "--max-clients=3"})
          .policy.user_limits;
  CHECK(limits.quota == Quota{100'000'000'000, Quota::Period::kMonth, 15});
  CHECK(limits.expires == ExpiryDate{2027, 1, 31});
  CHECK(limits.hours->text == "Mon-Fri 08:00-18:00");
  CHECK(limits.clients_max == 3);
  CHECK(Good({}).policy.user_limits == UserLimits());
  CHECK(
      ErrorIn({"--quota=100G"}) ==
      "--quota: '100G' is not accepted; give a size and a period such as 100G per month, 100G per month from 15, 10Gi "
      "per week from Mon or 1G per day; or none");
  CHECK(ErrorIn({"--expires=tomorrow"}) ==
        "--expires: 'tomorrow' is not accepted; give a date such as 2027-01-31; or never");
  CHECK(Contains(ErrorIn({"--hours=9-5"}), "give days and times such as Mon-Fri 08:00-18:00"));
  CHECK(Contains(ErrorIn({"--max-clients=all"}), "give a number from 0 to 1000000"));

  const test::TempDirectory directory;
  const std::string path = directory.Write("conf", "quota 1G per day\nhours Mon-Fri 08:00-18:00\nstate-dir state\n");
  const Settings settings = Good({"--config=" + path});
  CHECK(settings.policy.user_limits.quota->bytes == 1'000'000'000);
  CHECK(settings.state_dir == directory.PathOf("state"));
  directory.Write("conf", "\nexpires never \nquota 1G per day x\n");
  CHECK(ErrorIn({"--config=" + path}).starts_with(path + ":3: quota: '1G per day x' is not accepted; give a size and"));
  CHECK(Good({"--user-metrics=on"}).user_metrics);
  CHECK_FALSE(Good({"--user-metrics=off"}).user_metrics);
  CHECK_FALSE(Good({}).user_metrics);
  CHECK(ErrorIn({"--user-metrics=yes"}) == "--user-metrics: 'yes' is not accepted; give on or off");
  CHECK(ErrorIn({"--state-dir="}) == "--state-dir: '' is not accepted; give the name of a directory");
}

TEST_CASE("config: --help and --version are recognised behind valid options") {
  CHECK(Parse({"--help"}).action == Action::kHelp);
  CHECK(Parse({"-h"}).action == Action::kHelp);
  CHECK(Parse({"--version"}).action == Action::kVersion);
  CHECK(Parse({"-V"}).action == Action::kVersion);
  CHECK(Parse({"--workers=2", "--help"}).action == Action::kHelp);
  CHECK(Parse({"--workers=none", "--help"}).action == Action::kError);  // the first counts
}

TEST_CASE("config: the help has a line for every option, with its default") {
  const std::string help = HelpText();
  for (const char* option : {"--listen ADDR:PORT",
                             "--workers N",
                             "--login-threads N",
                             "--max-connections N",
                             "--max-connections-per-client N",
                             "--max-connections-per-user N",
                             "--connect-rate N",
                             "--user-bandwidth RATE",
                             "--bandwidth RATE",
                             "--handshake-timeout TIME",
                             "--connect-timeout TIME",
                             "--bind-timeout TIME",
                             "--bind-ports LO-HI",
                             "--half-close-timeout TIME",
                             "--idle-timeout TIME",
                             "--keepalive-idle TIME",
                             "--keepalive-interval TIME",
                             "--keepalive-probes N",
                             "--drain-timeout TIME",
                             "--resolv-conf FILE",
                             "--hosts-file FILE",
                             "--log-level LEVEL",
                             "--log-format FORMAT",
                             "--config FILE",
                             "--check",
                             "--help",
                             "--version"}) {
    CAPTURE(option);
    CHECK(Contains(help, std::string("\n  ") + option + ' '));
  }
  for (const Option& option : Options()) CHECK(Contains(help, std::string("\n  --") + option.name + ' '));
  for (const char* standard : {"(127.0.0.1:1080)", "(10s)", "(10m)", "(2h)", "(30s)", "(1m)", "(15s)", "(4)",
                               "(/etc/resolv.conf)", "(/etc/hosts)", "(notice)"}) {
    CAPTURE(standard);
    CHECK(Contains(help, standard));
  }
  CHECK_FALSE(Contains(help, "%"));
  CHECK(help.ends_with('\n'));
}

TEST_CASE("config: core files are allowed on the command line alone") {
  CHECK_FALSE(Parse({}).core_dumps);
  CHECK(Parse({"--allow-core-dumps"}).core_dumps);
  CHECK(Contains(ErrorIn({"--allow-core-dumps=yes"}), "takes no value"));
}

TEST_CASE("config: there is a usable CPU, and the calling thread can stay on it") {
  const auto before = UsableCpus();
  REQUIRE(!before.empty());
  std::thread([&] {
    StayOnCpu(before.back());
    CHECK(UsableCpus() == std::vector<unsigned>{before.back()});
  }).join();
  CHECK(UsableCpus() == before);
}

TEST_CASE("config: the options of UDP ASSOCIATE") {
  const Settings standard = Good({});
  CHECK(standard.udp_idle_timeout == 2min);
  CHECK(standard.udp_filter == UdpFilter::kAddress);
  CHECK(standard.udp_ports.high == 0);
  CHECK(standard.udp_advertise.empty());
  const Settings s = Good({"--udp-idle-timeout=30s", "--udp-filter=open", "--udp-ports", "40000-40099",
                           "--udp-advertise", "203.0.113.5", "--udp-advertise=2001:db8::5"});
  CHECK(s.udp_idle_timeout == 30s);
  CHECK(s.udp_filter == UdpFilter::kOpen);
  CHECK(s.udp_ports.low == 40000);
  CHECK(s.udp_ports.high == 40099);
  REQUIRE(s.udp_advertise.size() == 2);
  CHECK(s.udp_advertise[1].ToString() == "2001:db8::5");
  CHECK(Good({"--udp-ports=5000"}).udp_ports.low == 5000);
  CHECK(Good({"--udp-ports=5000"}).udp_ports.high == 5000);
  CHECK(Good({"--udp-filter=address"}).udp_filter == UdpFilter::kAddress);
  for (const char* const bad : {"", "-", "0-5", "5-4", "1-65536", "5-", "-5", "a-b", "1-2-3", "1 - 2"}) {
    CAPTURE(bad);
    CHECK(Contains(ErrorIn({std::string("--udp-ports=") + bad}), "a range of ports such as"));
  }
  CHECK(Contains(ErrorIn({"--udp-filter=port"}), "open or address"));
  CHECK(Contains(ErrorIn({"--udp-advertise=0.0.0.0"}), "an IPv4 or IPv6 address"));
  CHECK(Contains(ErrorIn({"--udp-advertise=example.org"}), "an IPv4 or IPv6 address"));
  CHECK(Contains(ErrorIn({"--udp-advertise=10.0.0.1", "--udp-advertise=10.0.0.2"}), "one address of each family"));
}

TEST_CASE("config: with --trust-loopback=no a gateway on loopback needs users or named clients, too") {
  CHECK(Good({}).guard.trust_loopback);
  CHECK(Good({"--trust-loopback=yes"}).guard.trust_loopback);
  CHECK(Contains(ErrorIn({"--trust-loopback=no"}), "listen 127.0.0.1:1080: anyone who can reach this address could"));
  CHECK(Contains(ErrorIn({"--trust-loopback=no", "--listen=[::1]:1080", "--allow", "target 10.0.0.1"}), "anyone"));
  CHECK_FALSE(Good({"--trust-loopback=no", "--allow", "client 127.0.0.2"}).guard.trust_loopback);
  CHECK_FALSE(Good({"--trust-loopback=no", "--user", "alice:secret"}).guard.trust_loopback);
  CHECK(Contains(ErrorIn({"--trust-loopback=maybe"}), "yes or no"));
}

TEST_CASE("config: the values of --nat64-prefix") {
  CHECK(Good({}).guard.nat64_prefixes.empty());
  const Settings s = Good({"--nat64-prefix=2001:db8:64::/96", "--nat64-prefix", "2001:db8:1::/48"});
  REQUIRE(s.guard.nat64_prefixes.size() == 2);
  CHECK(s.guard.nat64_prefixes[1].ToString() == "2001:db8:1::/48");
  for (const char* const bad : {"", "10.0.0.0/8", "2001:db8::/33", "2001:db8::", "2001:db8::1/96", "64"}) {
    CAPTURE(bad);
    CHECK(Contains(ErrorIn({std::string("--nat64-prefix=") + bad}), "an IPv6 block of 32, 40, 48, 56, 64 or 96"));
  }
}

// --- The configuration file ----------------------------------------------------------------------------------------

struct File {
  explicit File(std::string_view text) : path(folder.Write("penstock.conf", text)) {}

  std::vector<std::string> With(std::vector<std::string> words) const {
    words.push_back("--config=" + path);
    return words;
  }

  test::TempDirectory folder;
  std::string path;
};

TEST_CASE("config: a file uses the names of the options") {
  const File file(
      "# a comment\n"
      "listen 127.0.0.1:1081\n"
      "listen [::1]:1081   # another\n"
      "workers 3\n"
      "idle-timeout 5m\n"
      "log-level info\n");
  const Settings settings = Good(file.With({}));
  REQUIRE(settings.listen.size() == 2);
  CHECK(settings.listen[1].ToString() == "[::1]:1081");
  CHECK(settings.workers == 3);
  CHECK(settings.idle_timeout == 5min);
  CHECK(settings.policy.log_level == LogLevel::kInfo);
}

TEST_CASE("config: the command line overrides the file, whatever their order") {
  const File file("listen 127.0.0.1:1\nlisten 127.0.0.1:2\nworkers 3\nidle-timeout 5m\n");
  for (const bool first : {false, true}) {
    std::vector<std::string> words{"--listen=127.0.0.1:9", "--workers=1"};
    words.insert(first ? words.begin() : words.end(), "--config=" + file.path);
    const Settings settings = Good(words);
    REQUIRE(settings.listen.size() == 1);
    CHECK(settings.listen[0].port == 9);
    CHECK(settings.workers == 1);
    CHECK(settings.idle_timeout == 5min);
  }
}

TEST_CASE("config: paths in a file are relative to the file") {
  const File file("hosts-file hosts\nresolv-conf /etc/resolv.conf\n");
  const Settings settings = Good(file.With({}));
  CHECK(settings.names.hosts_file == file.folder.PathOf("hosts"));
  CHECK(settings.names.resolv_conf == "/etc/resolv.conf");
  CHECK(Good({"--hosts-file=hosts"}).names.hosts_file == "hosts");
}

TEST_CASE("config: an error in a file names the file, the line, the word and what is accepted") {
  const struct {
    std::string text;
    std::string error;
  } bad[] = {
      {"workers 2\nidle-timeout soon\n",
       ":2: idle-timeout: 'soon' is not accepted; give a time such as 250ms, 10s, 5m or 2h, up to 365 days"},
      {"lisen 127.0.0.1:1\n", ":1: lisen: unknown directive; did you mean listen?"},
      {"max-connection 1\n", ":1: max-connection: unknown directive; did you mean max-connections?"},
      {"includes x\n", ":1: includes: unknown directive; did you mean include?"},
      {"frobnicate x\n", ":1: frobnicate: unknown directive"},
      {"help me\n", ":1: help: unknown directive"},
      {"allow-core-dumps yes\n", ":1: allow-core-dumps: unknown directive"},
      {"config other\n", ":1: config: unknown directive"},
      {"\nworkers\n", ":2: workers needs a value; see --help"},
  };
  for (const auto& row : bad) {
    CAPTURE(row.text);
    const File file(row.text);
    CHECK(ErrorIn(file.With({})) == file.path + row.error);
  }
  CHECK(ErrorIn({"--config=/none/such"}) == "cannot read /none/such: No such file or directory");
  CHECK(ErrorIn({"--config=a", "--config=b"}) == "--config: 'b' is not accepted; give one file; it may include others");
}

TEST_CASE("config: a repeated option is an error that names both places") {
  const File file("workers 1\nlisten 127.0.0.1:1\nlisten 127.0.0.1:2\nworkers 2\n");
  CHECK(ErrorIn(file.With({})) ==
        file.path + ":4: workers is given a second time; the first is at " + file.path + ":1: workers");
}

TEST_CASE("config: --check finds the same errors") {
  const File good("workers 1\n");
  CHECK(Parse(good.With({"--check"})).action == Action::kCheck);
  CHECK(Parse({"--check", "--workers=1"}).action == Action::kCheck);
  CHECK(Parse({"--check", "--workers=0"}).action == Action::kError);
  CHECK(Parse({"--check", "--help"}).action == Action::kHelp);
  const File bad("workers 0\n");
  CHECK(Parse(bad.With({"--check"})).action == Action::kError);
}

TEST_CASE("config: changed options that need a restart are listed by name") {
  const CommandLine running = Parse({"--listen=127.0.0.1:1", "--workers=2", "--log-level=info"});
  CHECK(NeedsRestart(running, Parse({"--workers=2", "--listen=127.0.0.1:1"})).empty());
  CHECK(NeedsRestart(running, Parse({"--workers=2", "--listen=127.0.0.1:1", "--log-level=warn"})).empty());
  CHECK(NeedsRestart(running, Parse({"--workers=3", "--listen=127.0.0.1:2"})) == "listen, workers");
  CHECK(NeedsRestart(running, Parse({"--workers=2"})) == "listen");
  CHECK(NeedsRestart(running, Parse({"--workers=2", "--listen=127.0.0.1:1", "--idle-timeout=1s"})) == "idle-timeout");
}

// --- Users ---------------------------------------------------------------------------------------------------------

TEST_CASE("config: users of options and of files are in one table") {
  const test::TempDirectory folder;
  const std::string users = folder.Write("users", "alice:{plain}open-sesame-1\n");
  std::filesystem::permissions(users, std::filesystem::perms(0600));
  const std::string path = folder.Write("penstock.conf", "users users\nuser bob:open-sesame-2 #3\n");
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  const CommandLine line = Parse({"--config=" + path, "--user=carol:open-sesame:4"});
  CHECK(line.error == "");
  const auto& made = line.settings.policy.users;
  REQUIRE(made != nullptr);
  CHECK(made->size() == 3);
  const auto matches = [&](std::string_view name, std::string_view password) {
    const User* const user = made->Find(name);
    return user != nullptr && made->MatchesPlain(*user, name, SecretView(password));
  };
  CHECK(matches("alice", "open-sesame-1"));
  CHECK(matches("bob", "open-sesame-2"));
  CHECK(matches("carol", "open-sesame:4"));
  CHECK_FALSE(matches("alice", "open-sesame-2"));
  CHECK(line.files == std::vector<std::string>{path, users});
  CHECK(line.exposes_password);
  CHECK_FALSE(Parse({"--users=" + users}).exposes_password);
  CHECK(Parse({}).settings.policy.users == nullptr);
}

// How often `word` is in the heap, allocated or freed. Neither the word nor what is read here may be in the heap.
int TimesInHeap(const char* word) {
  int times = 0;
  std::ifstream maps("/proc/self/maps");
  const Fd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    char name[32] = "";
    char rights[8] = "";
    std::sscanf(line.c_str(), "%lx-%lx %7s %*s %*s %*s %31s", &begin, &end, rights, name);
    const bool is_heap = rights == std::string_view("rw-p") && (name[0] == '\0' || name == std::string_view("[heap]"));
    constexpr std::uint64_t kSanitizer = 1ULL << 32;  // maps larger shadow memory
    if (!is_heap || end - begin > kSanitizer) continue;
    char window[64 * 1024];
    const std::size_t overlap = std::strlen(word) - 1;
    for (std::uint64_t at = begin; at < end; at += sizeof window - overlap) {
      const ssize_t got = ::pread(memory.get(), window, std::min(sizeof window, end - at), static_cast<off_t>(at));
      std::string_view rest(window, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      for (std::size_t found = rest.find(word); found != std::string_view::npos; found = rest.find(word)) {
        ++times;
        rest.remove_prefix(found + 1);
      }
    }
    ::explicit_bzero(window, sizeof window);
  }
  return times;
}

TEST_CASE("config: nothing of a password is left in memory except its digest") {
  constexpr const char* kPassword = "sesame-90125";
  REQUIRE(TimesInHeap(kPassword) == 0);
  {
    std::vector<char> seen(kPassword, kPassword + std::strlen(kPassword));
    CHECK(TimesInHeap(kPassword) == 1);
    Wipe(std::span(seen));
  }
  REQUIRE(TimesInHeap(kPassword) == 0);

  const test::TempDirectory folder;
  // Not with a stream, which has a buffer.
  const auto write = [&](std::string_view name, std::initializer_list<std::string_view> parts) {
    const std::string path = folder.PathOf(name);
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    for (const std::string_view part : parts) REQUIRE(::write(file.get(), part.data(), part.size()) > 0);
    return path;
  };
  const std::string filler = "#" + std::string(40'000, ' ') + "\n";
  write("more", {"user a:x\nuser b:", kPassword, "\nuser c:y\nuser d:z\n"});
  write("users", {filler, "carol:{plain}", kPassword, "\n", filler});
  const std::string path = write("main", {filler, "user alice:", kPassword, "\ninclude more\nusers users\n", filler});
  const std::string wrong = write("wrong", {filler, "include more\nworkers none\n", filler});
  for (int i = 0; i < 2; ++i) {
    const CommandLine line = Parse({"--config=" + path});
    CHECK(line.error == "");
    REQUIRE(line.settings.policy.users != nullptr);
    CHECK(line.settings.policy.users->size() == 6);
    CHECK(TimesInHeap(kPassword) == 0);
    CHECK(Parse({"--config=" + wrong}).action == Action::kError);
    CHECK(TimesInHeap(kPassword) == 0);
  }
}

TEST_CASE("config: an error about users contains no password") {
  const test::TempDirectory folder;
  const std::string open = folder.Write("open", "user bob:open-sesame\n");
  std::filesystem::permissions(open, std::filesystem::perms(0644));
  const std::string users = folder.Write("users", "alice:open-sesame\n");
  std::filesystem::permissions(users, std::filesystem::perms(0600));
  const struct {
    std::vector<std::string> words;
    std::string part;
  } bad[] = {
      {{"--user=open-sesame"}, "--user: expected NAME:PASSWORD"},
      {{"--user=bob:open-sesame", "--user=bob:open-sesame"}, "--user: duplicate name; first given in --user"},
      {{"--config=" + open}, "chmod 600 " + open},
      {{"--users=" + users}, users + ":1"},
      {{"--users=/none/such"}, "/none/such"},
  };
  for (const auto& row : bad) {
    CAPTURE(row.words[0]);
    const std::string sentence = ErrorIn(row.words);
    CHECK_MESSAGE(Contains(sentence, row.part), sentence);
    CHECK_FALSE(Contains(sentence, "sesame"));
  }
}

// --- Rules ---------------------------------------------------------------------------------------------------------

bool Allows(const Settings& settings, std::string_view target, std::uint16_t port) {
  const IpAddress client = *IpAddress::Parse("192.0.2.1");
  const IpAddress address = *IpAddress::Parse(target);
  const RuleQuery query{.client = client, .command = Command::kConnect, .target = &address, .port = port};
  return settings.policy.rules->Evaluate(query).answer == RuleVerdict::Answer::kAllow;
}

TEST_CASE("config: rules of the command line are evaluated first, and sets may stand anywhere") {
  const File file("allow target web\nset web 198.51.100.0/24\nset-file web web.set\ndeny target 203.0.113.0/24\n");
  file.folder.Write("web.set", "# more\n203.0.113.7\n");
  const Settings settings = Good(file.With({"--deny=target web port 25"}));
  CHECK_FALSE(Allows(settings, "198.51.100.1", 25));
  CHECK(Allows(settings, "198.51.100.1", 80));
  CHECK(Allows(settings, "203.0.113.7", 80));
  CHECK_FALSE(Allows(settings, "203.0.113.8", 80));
  CHECK_FALSE(Allows(settings, "8.8.8.8", 80));  // since there is an allow rule
  CHECK(Allows(Good({}), "8.8.8.8", 80));
  CHECK(Parse(file.With({})).files == std::vector<std::string>{file.path, file.folder.PathOf("web.set")});
}

TEST_CASE("config: an error in a rule or a set names its place") {
  const struct {
    std::string text;
    std::string place;
    std::string part;
  } bad[] = {
      {"\ndeny target 10.1.2.3/8\n", ":2: deny: ", "10.0.0.0/8"},
      {"allow clint 10.0.0.0/8\n", ":1: allow: ", "client"},
      {"set office\n", ":1: set: ", "office"},
      {"set-file office\n", ":1: set-file: ", "office"},
      {"set-file office none\n", ":1: set-file: ", "No such file"},
      {"reload-ends-denied perhaps\n", ":1: reload-ends-denied: ", "yes or no"},
  };
  for (const auto& row : bad) {
    CAPTURE(row.text);
    const File file(row.text);
    const std::string sentence = ErrorIn(file.With({}));
    CAPTURE(sentence);
    CHECK(sentence.starts_with(file.path + row.place));
    CHECK(Contains(sentence, row.part));
  }
}

TEST_CASE("config: an address beyond loopback without users or named clients is an error") {
  const std::vector<std::string> open[] = {
      {"--listen=0.0.0.0:1080"},
      {"--listen=[::]:1080"},
      {"--listen=127.0.0.1:1080", "--listen=192.0.2.1:1080"},
      {"--listen=192.0.2.1:1080", "--deny=client 198.51.100.0/24"},
      {"--listen=192.0.2.1:1080", "--allow=port 443"},
      {"--listen=192.0.2.1:1080", "--allow=client 192.0.2.0/24", "--allow=port 443"},
  };
  for (const auto& words : open) {
    CAPTURE(words.back());
    const std::string sentence = ErrorIn(words);
    CHECK(Contains(sentence, "--users FILE"));
    CHECK(Contains(sentence, "--allow 'client 10.0.0.0/8'"));
  }
  const RunningGateway running{{*Endpoint::Parse("127.0.0.1:1"), *Endpoint::Parse("192.0.2.1:1080")}};
  CHECK(Contains(Parse({"--listen=127.0.0.1:1080"}, 4, running).error, "listen 192.0.2.1:1080: anyone"));
  CHECK(Parse({"--allow=client 192.0.2.0/24"}, 4, running).error == "");
  const RunningGateway behind_a_proxy{{*Endpoint::Parse("127.0.0.1:1")}, false};
  CHECK(Contains(Parse({"--trust-loopback=yes"}, 4, behind_a_proxy).error, "listen 127.0.0.1:1: anyone"));
  CHECK(Parse({"--trust-loopback=yes"}, 4, RunningGateway{{*Endpoint::Parse("127.0.0.1:1")}}).error == "");
  Good({"--listen=127.0.0.1:1080", "--listen=[::1]:1080", "--listen=127.9.9.9:1"});
  Good({"--listen=0.0.0.0:1080", "--allow=client 192.0.2.0/24"});
  Good({"--listen=0.0.0.0:1080", "--allow=client any"});  // explicitly open
  Good({"--listen=0.0.0.0:1080", "--user=alice:open-sesame"});
}

TEST_CASE("config: the addresses of passed sockets replace the default, join the others, and make no open proxy") {
  const Endpoint local = *Endpoint::Parse("127.0.0.1:7");
  const RunningGateway passed{.passed = {local, local}};
  CHECK(Parse({}, 4, passed).settings.listen == std::vector<Endpoint>{local});
  CHECK(Parse({"--listen=127.0.0.1:7", "--listen=[::1]:8"}, 4, passed).settings.listen ==
        std::vector<Endpoint>{local, *Endpoint::Parse("[::1]:8")});
  const RunningGateway open{.passed = {*Endpoint::Parse("0.0.0.0:1080")}};
  CHECK(Contains(Parse({}, 4, open).error, "listen 0.0.0.0:1080: anyone"));
  CHECK(Parse({"--allow=client 192.0.2.0/24"}, 4, open).error == "");
}

TEST_CASE("config: the files that were read are listed") {
  const File file("include more*\n");
  const std::string more = file.folder.Write("more", "workers 1\n");
  CHECK(Parse(file.With({})).files == std::vector<std::string>{file.path, more});
  CHECK(Parse({}).files.empty());
}

TEST_CASE("config: the admin interface is off, and its options say what they accept") {
  CHECK(Parse({}).settings.admin.listeners() == 0);
  CHECK(Contains(ErrorIn({"--admin", "9180"}), "--admin: '9180' is not accepted; give a Unix socket or an address"));
  CHECK(Contains(ErrorIn({"--admin", "unix:"}), "give a path of 1 to 107 bytes"));
  CHECK(Contains(ErrorIn({"--admin", "unix:/" + std::string(107, 'x')}), "give a path of 1 to 107 bytes"));
  for (const std::string name : {"", "a:80", "a,,b", "a b", "a,"}) {
    CHECK(Contains(ErrorIn({"--admin-host", name}), "give names without a port"));
  }
  std::vector<std::string> many;
  for (int i = 0; i < 9; ++i) many.push_back("--admin=127.0.0.1:0");
  CHECK(Contains(ErrorIn(many), "at most 8"));

  const test::TempDirectory directory;
  const std::string file = directory.Write("penstock.conf", "admin unix:socket\nadmin 127.0.0.1:0\nadmin-host a,b\n");
  const AdminSettings of_file = Good({"--config", file}).admin;
  CHECK(of_file.sockets == std::vector<std::string>{directory.PathOf("socket")});
  CHECK(of_file.addresses.size() == 1);
  CHECK(of_file.hosts.size() == 2);
  CHECK(Good({"--config", file, "--admin", "[::1]:0"}).admin.sockets.empty());
}

TEST_CASE("config: beyond loopback the admin interface is refused without a token") {
  for (const std::string at : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"}) {
    CHECK(ErrorIn({"--admin", at}) ==
          "admin " + at + ": anyone who can reach this address could read and change the gateway; require a token " +
              "(--admin-token-file FILE), or use loopback or a Unix socket (--admin unix:PATH)");
  }
  CHECK(Good({"--admin", "127.0.0.2:0", "--admin", "[::1]:0"}).admin.token == nullptr);
  const test::TempDirectory directory;
  const std::string file = directory.Write("token", "open-sesame\n");
  ::chmod(file.c_str(), 0600);
  const CommandLine line = Parse({"--admin", "0.0.0.0:0", "--admin-token-file", file});
  REQUIRE_MESSAGE(line.settings.admin.token != nullptr, line.error);
  CHECK(line.settings.admin.token->Reveal() == "open-sesame");
  CHECK(line.files == std::vector<std::string>{file});
}

TEST_CASE("config: a token is one line in a private file, and an error does not quote it") {
  const test::TempDirectory directory;
  const std::string file = directory.PathOf("token");
  const auto error_for = [&](std::string_view text, mode_t mode = 0600) {
    directory.Write("token", text);
    ::chmod(file.c_str(), mode);
    return ErrorIn({"--admin-token-file", file});
  };
  for (const std::string_view text : {"", "\n", "open sesame", "open-sesame\n\n", "open-sesame\nx", "open-\xc3\xa4"}) {
    CHECK(error_for(text) ==
          "admin-token-file: " + file + ": a token is one line of ASCII letters, digits and marks without blanks");
  }
  CHECK(Contains(error_for("open-sesame", 0640), "chmod 600 " + file));
  CHECK(Contains(error_for(std::string(1025, 'x')), "longer than 1024 bytes"));
  directory.Write("token", "open-sesame\r\n");
  ::chmod(file.c_str(), 0400);
  CHECK(Good({"--admin-token-file", file}).admin.token->Reveal() == "open-sesame");
  CHECK(Contains(ErrorIn({"--admin-token-file", directory.PathOf("missing")}), "No such file"));
}

// The values of `option` among those in force, "VALUE from SOURCE", with " | " between two.
std::string InForce(std::string_view option, const CommandLine& start, const CommandLine& reloaded,
                    const Settings& running) {
  std::string text;
  for (const OptionValue& each : OptionsInForce(start.given, reloaded.given, running)) {
    if (each.option != option) continue;
    text += (text.empty() ? "" : " | ") + each.value.value_or("nothing") + " from " + each.source;
  }
  return text;
}

TEST_CASE("config: the options in force have their values, their places and no password") {
  const test::TempDirectory directory;
  const std::string file = directory.Write(
      "conf", "idle-timeout 5m\nworkers 3\nallow client 10.0.0.0/8\nuser bob:hidden\nlisten 127.0.0.1:1\n");
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);  // it has a password
  const CommandLine line = Parse({"--config", file, "--user", "alice:se:cret", "--deny", "target private",
                                  "--idle-timeout=1m", "--idle-timeout", "2m", "--allow-core-dumps"});
  REQUIRE(line.action == Action::kRun);
  Settings running = line.settings;
  running.connections_max = 500;
  const auto in_force = [&](std::string_view option) { return InForce(option, line, line, running); };
  CHECK(in_force("config") == file + " from command line");
  CHECK(in_force("idle-timeout") == "2m from command line");  // the last one, and not that of the file
  CHECK(in_force("workers") == "3 from " + file + ":2");
  CHECK(in_force("user") == "alice from command line | bob from " + file + ":4");
  CHECK(in_force("deny") == "target private from command line");
  CHECK(in_force("allow") == "client 10.0.0.0/8 from " + file + ":3");
  CHECK(in_force("listen") == "127.0.0.1:1 from " + file + ":5");
  CHECK(in_force("max-connections") == "500 from default");
  CHECK(in_force("login-threads") == "2 from default");
  CHECK(in_force("connect-timeout") == "10s from default");
  CHECK(in_force("bandwidth") == "nothing from default");
  CHECK(in_force("allow-core-dumps") == "yes from command line");
  for (const std::string_view none : {"check", "help", "version"}) CHECK(in_force(none) == "");
  for (const OptionValue& each : OptionsInForce(line.given, line.given, running)) {
    CHECK_FALSE(Contains(each.value.value_or(""), "cret"));
    CHECK_FALSE(Contains(each.value.value_or(""), "hidden"));
  }
}

TEST_CASE("config: after a reload, options that need a restart are in force as they were") {
  const CommandLine start = Parse({"--workers", "2", "--idle-timeout", "5m", "--bandwidth", "1M"});
  const CommandLine reloaded = Parse({"--workers", "3", "--idle-timeout", "6m", "--bandwidth", "2M"});
  const auto in_force = [&](std::string_view option) { return InForce(option, start, reloaded, start.settings); };
  CHECK(in_force("workers") == "2 from command line");
  CHECK(in_force("idle-timeout") == "5m from command line");
  CHECK(in_force("bandwidth") == "2M from command line");
}

}  // namespace
}  // namespace penstock
