#include "penstock/dns/servers.h"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace penstock {

void NameServers::Set(const std::vector<Endpoint>& servers, int attempts) {
  assert(!servers.empty() && servers.size() <= kNameServersMax && attempts > 0);
  servers_.clear();
  for (const Endpoint& endpoint : servers) servers_.push_back({endpoint});
  attempts_ = attempts;
}

std::optional<std::size_t> NameServers::Pick(const ServersAsked& asked, std::size_t start, TimePoint now) {
  std::optional<std::size_t> best;
  const auto rank = [&](std::size_t server) {
    const bool last = servers_[server].suspect && now < servers_[server].probe_at;
    return std::tuple(asked.attempts[server], last);
  };
  for (std::size_t offset = 0; offset < servers_.size(); ++offset) {
    const std::size_t server = (start + offset) % servers_.size();
    if (asked.failed[server] || asked.attempts[server] >= attempts_) continue;
    if (!best || rank(server) < rank(*best)) best = server;
  }
  // Only one question probes a suspect server at a time.
  if (best && servers_[*best].suspect) servers_[*best].probe_at = now + kServerSuspectTime;
  return best;
}

void NameServers::Heard(std::size_t server, TimePoint now) {
  servers_[server].heard = now;
  servers_[server].suspect = false;
}

void NameServers::Silent(std::size_t server, TimePoint began, TimePoint now) {
  Server& silent = servers_[server];
  if (silent.heard >= began) return;
  silent.suspect = true;
  silent.probe_at = now + kServerSuspectTime;
}

}  // namespace penstock
