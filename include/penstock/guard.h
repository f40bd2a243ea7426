// Who may reach what.
// Owned by a worker; its own thread only.
// Invariant: the gateway never lends its own position to a remote client: what only this host may reach (its loopback,
// its link, itself) stays closed to everyone who does not come from this host's loopback. What counts as "itself" is
// the kernel's answer, a second old at most, for hosts get and lose addresses.
// Deliberately not here: names. Addresses are judged after resolution, so a name that resolves to 127.0.0.1 changes
// nothing.
#pragma once

#include <array>
#include <cstddef>

#include "penstock/clock.h"
#include "penstock/endpoint.h"
#include "penstock/prefix.h"
#include "penstock/route.h"

namespace penstock {

// True exactly when every address of `block` is closed to all clients that do not come from loopback, whatever this
// host's addresses are: loopback, link-local, multicast, broadcast, unspecified, cloud metadata.
bool IsClosed(const Prefix& block);

class Guard {
 public:
  explicit Guard(const Clock& clock) : clock_(clock) {}

  // True exactly when `client` may be connected to `target`. Costs two system calls for an address that it has not
  // judged within a second, none for clients on loopback.
  bool Allows(const IpAddress& client, const IpAddress& target);

 private:
  struct Judged {
    IpAddress target;
    TimePoint until{};
    bool local = false;
  };
  static constexpr std::size_t kRemembered = 256;  // a power of two

  bool IsLocal(const IpAddress& target);

  const Clock& clock_;
  RouteTable routes_;
  std::array<Judged, kRemembered> judged_;
};

}  // namespace penstock
