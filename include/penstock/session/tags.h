// The tags of cookies (poller.h): with a handle, a tag names the receiver of an event, a deadline or an answer.
// Owned by nobody, plain numbers; any thread.
// Invariant: within a worker a tag has one meaning, so a cookie names exactly one receiver, or one that has ended.
// Does not: resolve the handle, call the receiver (worker.h).
#pragma once

#include <cstdint>

#include "penstock/base/limits.h"
#include "penstock/udp/associate.h"

namespace penstock {

enum Tag : std::uint8_t {
  kTagWake,          // the worker's eventfd
  kTagListener,      // a listener of the worker; the handle's slot is its index
  kTagNames,         // a socket of the resolver, which resolves the handle
  kTagClient,        // a session: its client's socket
  kTagDeadline,      // a session: its deadline
  kTagAttemptDelay,  // a session: its dialer's attempt delay, or the retry of its BIND
  kTagBindListener,  // a session: the listener of its BIND
  kTagThrottle,      // a session: its token bucket has tokens again
  kTagTargetName,    // a session: the answer for the name of its target
  kTagDatagramName,  // a waiting datagram (AssociationPool::waiting): the answer for the name of its target
  kTagUdp,           // a session: kTagUdp + n is the UDP socket of side n of its association
  // A session: kTagTarget + n is the socket of attempt n, also after it has won; kTagTarget is the peer of a BIND.
  kTagTarget = kTagUdp + Association::kSides,
};
static_assert(kTagTarget + kAddressesPerName <= 256);

}  // namespace penstock
