// `penstock top`: the sessions of a running gateway, live, on a terminal.
// Called by main instead of running the gateway; one thread.
// Invariant: the gateway is asked once a second over one connection, and keys are answered while it is. The terminal is
// as it was before at the end, however it comes: q, a signal, or the end of the terminal.
// Does not: compose the frame (screen.h), end when the gateway does: it tries again each second.
#pragma once

#include <span>
#include <string_view>

#include "penstock/ctl/arguments.h"

namespace penstock {

// `arguments`: those behind "top". Returns when the user quits. The status (process.h) is kExitFailure without a
// terminal or without a gateway at the start, and kExitUsage for an error on the command line; then there is an error.
CtlResult RunTop(std::span<const std::string_view> arguments);

}  // namespace penstock
