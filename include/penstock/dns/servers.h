// Which name server to ask next.
// Owned by a resolver; its own thread only.
// Invariant: a server that is in doubt, because it kept silent, is asked after all others, except by one question per
// kServerDoubt, which finds out whether it is back. So a dead server costs kNextTryDelay to the questions that find it
// out, and to one more now and then, and all others nothing.
// Deliberately not here: sockets and time-outs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/os/clock.h"

namespace penstock {

// What one question has done so far, by server.
struct ServersAsked {
  std::array<std::uint8_t, kNameServersMax> tries{};
  std::array<bool, kNameServersMax> failed{};  // it told so: not to be asked again
};

class NameServers {
 public:
  // Everybody starts without doubt.
  void Set(const std::vector<Endpoint>& servers, int attempts);

  // The server for the next try of a question, or nothing when there is none left. Among those with the fewest tries
  // the first in the order of the list wins, which starts at `start` (for `options rotate`).
  std::optional<std::size_t> Pick(const ServersAsked& asked, std::size_t start, TimePoint now);

  // It said anything at all.
  void Heard(std::size_t server, TimePoint now);

  // A try that began at `began` has had no answer for too long. It counts against the server only when nobody else has
  // heard of it since: a slow name is not a dead server.
  void Silent(std::size_t server, TimePoint began, TimePoint now);

  const Endpoint& endpoint(std::size_t server) const { return servers_[server].endpoint; }
  std::size_t size() const { return servers_.size(); }

 private:
  struct Server {
    Endpoint endpoint;
    TimePoint heard{};
    bool doubted = false;
    TimePoint probe_at{};  // when `doubted`: from then on one question may try
  };

  std::vector<Server> servers_;
  int attempts_ = 1;
};

}  // namespace penstock
