// What a worker lends to the session whose turn it is.
// Owned by the worker; its thread only. A session uses it for the length of a call, and keeps no reference to it.
// Invariant: everything lent outlives all sessions of the worker, and within one call `policy` is one and the same.
// Deliberately not here: what each of the tools does (its own header), and what a session owns (core.h).
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
#include "penstock/policy/limiter.h"
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
  const Policy* policy;  // the one that holds now; another in a later turn
  Guard& guard;
  Log& log;
  Poller& poller;
  Resolver& resolver;
  Slab<Handshake>& handshakes;
  AssociationPool& associations;
  Slab<Throttle>& throttles;
  FairShares& further_attempts;  // of dialers
  PortPool& bind_ports;
  PortPool& udp_ports;
  SessionDeadlines& deadlines;
  LogPace& warnings;
  Accounts& accounts;
  Logins& logins;
  LoginMailbox& login_answers;
  Gauges& gauges;
  FlowTools flow;

  TimePoint now() const { return flow.clock.now(); }
  Counters& counters() const { return flow.counters; }

  // Null when nobody has to log in.
  const std::shared_ptr<const Users>& users() const { return policy->users; }
};

}  // namespace penstock
