// What a worker lends to a session for the length of a call.
// Owned by the worker; its thread only. A session keeps no reference to it between calls.
// Invariant: everything but the policy outlives all sessions of the worker, and `policy` is constant during a call.
// Does not: hold anything that belongs to one session (core.h).
#pragma once

#include <memory>

#include "penstock/base/counters.h"
#include "penstock/base/fair_shares.h"
#include "penstock/base/slab.h"
#include "penstock/login/logins.h"
#include "penstock/login/users.h"
#include "penstock/os/clock.h"
#include "penstock/os/log.h"
#include "penstock/os/poller.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/meter.h"
#include "penstock/policy/policy.h"
#include "penstock/policy/settings.h"
#include "penstock/relay/flow.h"
#include "penstock/relay/throttle.h"
#include "penstock/session/deadlines.h"
#include "penstock/udp/associate.h"
#include "penstock/udp/port_pool.h"

namespace penstock {

class Handshake;
class Resolver;

struct SessionTools {
  const Settings& settings;
  const Policy* policy;  // the current one; a reload replaces it between two calls
  Guard& guard;
  Log& log;
  Poller& poller;
  Resolver& resolver;
  Slab<Handshake>& handshakes;
  AssociationPool& associations;
  Slab<Throttle>& throttles;
  FairShares& further_attempts;  // the budget of dialers for attempts beside the first
  PortPool& bind_ports;          // of listeners of BIND
  PortPool& udp_ports;           // of sockets of associations towards clients
  SessionDeadlines& deadlines;
  LogPace& warnings;  // limits the rate of each warning
  Meters& meters;
  Logins& logins;
  LoginMailbox& login_answers;
  Gauges& gauges;
  FlowTools flow;

  TimePoint now() const { return flow.clock.now(); }
  Counters& counters() const { return flow.counters; }

  // Null if clients do not have to log in.
  const std::shared_ptr<const Users>& users() const { return policy->users; }
};

}  // namespace penstock
