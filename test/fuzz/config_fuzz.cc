// Command lines, a word a line: accepted values are within their bounds, and an error has a message.

#include "penstock/config/config.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "penstock/base/limits.h"
#include "penstock/base/quantity.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void TakeSettings(const penstock::Settings& settings) {
  using std::chrono::seconds;
  constexpr std::chrono::milliseconds kYear = std::chrono::hours(24 * 365);
  Require(!settings.listen.empty() && settings.listen.size() <= penstock::kListenersMax);
  Require(settings.workers >= 1 && settings.workers <= penstock::kWorkersMax);
  Require(settings.login_threads >= 1 && settings.login_threads <= penstock::kWorkersMax);
  for (const auto timeout : {settings.handshake_timeout, settings.connect_timeout, settings.bind_timeout,
                             settings.half_close_timeout, settings.idle_timeout, settings.drain_timeout}) {
    Require(timeout.count() >= 1 && timeout <= kYear);
  }
  Require(settings.bind_ports.low <= settings.bind_ports.high);
  Require(settings.keepalive.idle >= seconds(1) && settings.keepalive.idle <= seconds(32'767));
  Require(settings.keepalive.interval >= seconds(1) && settings.keepalive.interval <= seconds(32'767));
  Require(settings.keepalive.probes >= 1 && settings.keepalive.probes <= 127);
  Require(!settings.names.resolv_conf.empty() && !settings.names.hosts_file.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);

  std::vector<std::string> words{"penstock"};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) words.push_back(line.substr(0, line.find('\0')));
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  using Action = penstock::CommandLine::Action;
  const auto line = penstock::ParseCommandLine(static_cast<int>(words.size()), arguments.data(), 4);
  Require(line.error.empty() == (line.action != Action::kError));
  if (line.action == Action::kRun) TakeSettings(line.settings);

  if (const auto duration = penstock::ParseDuration(text)) {
    Require(penstock::ParseDuration(penstock::FormatDuration(*duration)) == duration);
  }
  if (const auto rate = penstock::ParseRate(text)) {
    Require(penstock::ParseRate(penstock::FormatRate(*rate)) == rate);
  }
  return 0;
}
