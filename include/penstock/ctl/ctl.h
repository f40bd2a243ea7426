// `penstock ctl COMMAND`: asks a running gateway through its admin interface, or changes it.
// Called by main instead of running the gateway; one thread.
// Invariant: one command is one request. What is printed is printable, except with --json, which prints the answer as
// it came.
// Does not: print (main), show the gateway live (top.h).
#pragma once

#include <span>
#include <string_view>

#include "penstock/ctl/arguments.h"

namespace penstock {

// `arguments`: those behind "ctl". The status (process.h) is kExitFailure if the gateway cannot be asked or refuses,
// and kExitUsage for an error on the command line; then there is an error.
CtlResult RunCtl(std::span<const std::string_view> arguments);

}  // namespace penstock
