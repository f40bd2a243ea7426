// Who may reach what.
// Made at start-up, then const: any thread.
// Invariant: the gateway never lends its own position to a remote client: what only this host may reach (its loopback,
// its link, itself) stays closed to everyone who does not come from this host's loopback.
// Deliberately not here: names. Addresses are judged after resolution, so a name that resolves to 127.0.0.1 changes
// nothing.
#pragma once

#include <vector>

#include "penstock/endpoint.h"

namespace penstock {

class Guard {
 public:
  // `own`: the addresses on which this gateway, or anything else on its host, is reached.
  explicit Guard(std::vector<IpAddress> own);

  // True exactly when `client` may be connected to `target`.
  bool Allows(const IpAddress& client, const IpAddress& target) const;

 private:
  std::vector<IpAddress> own_;  // sorted
};

}  // namespace penstock
