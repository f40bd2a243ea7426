// Whom an event, a deadline or the answer of the resolver is for: the tag of a cookie (poller.h), beside the handle of
// a session. Plain numbers; any thread. Invariant: within a worker a tag has one meaning, so a cookie names exactly
// one receiver, or one that is gone. Deliberately not here: finding the receiver, and telling it (worker.h).
#pragma once

#include <cstdint>

#include "penstock/base/limits.h"
#include "penstock/udp/associate.h"

namespace penstock {

enum Tag : std::uint8_t {
  kTagWake,          // the worker's eventfd
  kTagListener,      // slot: which one
  kTagNames,         // the resolver's sockets
  kTagClient,        // a session's client socket
  kTagDeadline,      // a session's deadline
  kTagAttemptDelay,  // a session's dialer should start its next attempt, or its BIND accept again
  kTagBindListener,  // a session's listener for the peer of its BIND
  kTagThrottle,      // a session that had used up its bandwidth should look again
  kTagTargetName,    // a session that waits for the name of its target
  kTagDatagramName,  // a datagram that waits for the name of its target: of AssociationPool::waiting
  kTagUdp,           // a session's UDP sockets: kTagUdp + n for side n of its association
  // A session's socket towards its target; kTagTarget + n while attempt n is only an attempt.
  kTagTarget = kTagUdp + Association::kSides,
};
static_assert(kTagTarget + kAddressesPerName <= 256);

}  // namespace penstock
