// Whether one client may reach a target: the operator's rules and the guard, together.
// Made for a turn of the session that asks; its worker's thread only.
// Invariant: a rule comes first, whichever it is. The guard closes what no rule denies, unless the rule that allows it
// names the address itself (rules.h).
// Deliberately not here: looking names up, and what a client is told.
#pragma once

#include <cstdint>
#include <string_view>

#include "penstock/endpoint.h"
#include "penstock/guard.h"
#include "penstock/rules.h"
#include "penstock/socks5.h"

namespace penstock {

struct Ruling {
  bool allowed = false;
  bool by_guard = false;           // that it is not
  const RuleNote* rule = nullptr;  // that decided; null: none did

  // Where to connect from; null: the kernel's choice.
  const Source* source() const { return rule != nullptr && rule->source.named() ? &rule->source : nullptr; }
};

struct Access {
  const RuleSet& rules;
  Guard& guard;
  const IpAddress& client;
  std::string_view user;  // empty: nobody has logged in
  socks5::Command command;

  // Not allowed: there is no target at all that the client may reach in this way.
  Ruling ForeseeAnything() const;

  // Not allowed: whatever the addresses of `name` are, none may be reached. An empty name stands for any address.
  Ruling Foresee(std::string_view name, std::uint16_t port) const;

  // `name`: as the client wrote it; empty when it asked for the address.
  Ruling Judge(std::string_view name, const IpAddress& target, std::uint16_t port) const;
};

}  // namespace penstock
