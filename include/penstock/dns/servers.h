// Chooses the name server for the next attempt of a question. Owned by NameLookups; one thread. Invariant: a suspect
// server (one that did not answer in time) is asked after all others, except by one question every kServerSuspectTime,
// which probes whether it is back. So a dead server delays by kNextNameAttemptDelay only the questions that detect it
// and one probe now and then. Does not: use sockets, keep deadlines.
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

// What one question has asked so far, by server.
struct ServersAsked {
  std::array<std::uint8_t, kNameServersMax> attempts{};
  std::array<bool, kNameServersMax> failed{};  // the server reported a failure; do not ask it again
};

class NameServers {
 public:
  // Replaces the list: 1 to kNameServersMax servers, each asked `attempts` (1 or more) times at most by one question.
  // No server is suspect at first.
  void Set(const std::vector<Endpoint>& servers, int attempts);

  // The server for the next attempt; nothing if none is left. Of the servers with the fewest attempts the first wins,
  // in the order of the list beginning at index `start` (for `options rotate`).
  std::optional<std::size_t> Pick(const ServersAsked& asked, std::size_t start, TimePoint now);

  // The server sent something.
  void Heard(std::size_t server, TimePoint now);

  // An attempt that began at `began` has timed out. The server becomes suspect only if nothing was heard from it since
  // then: one slow name does not make a dead server.
  void Silent(std::size_t server, TimePoint began, TimePoint now);

  const Endpoint& endpoint(std::size_t server) const { return servers_[server].endpoint; }
  std::size_t size() const { return servers_.size(); }

 private:
  struct Server {
    Endpoint endpoint;
    TimePoint heard{};
    bool suspect = false;
    TimePoint probe_at{};  // if `suspect`: from then on one question may probe it
  };

  std::vector<Server> servers_;
  int attempts_ = 1;
};

}  // namespace penstock
