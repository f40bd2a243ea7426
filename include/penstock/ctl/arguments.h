// The command line of penstock ctl and penstock top: options anywhere, and words.
// A value of the command; one thread.
// Invariant: each option is one that the caller knows, with its value.
// Does not: know commands (ctl.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "penstock/base/secret.h"
#include "penstock/ctl/client.h"

namespace penstock {

struct CtlArguments {
  AdminAddress admin;
  Secret token;  // the line of --token-file; empty without one
  bool json = false;
  bool help = false;
  std::vector<std::string> words;                            // what is no option
  std::vector<std::pair<std::string, std::string>> filters;  // options of `filters`, in their order

  // Parses `arguments`, those behind "ctl" or "top". `filters`: the names of further options, each with a value.
  // Nothing on an error: then `*error` is a sentence. A token file that cannot be read is one.
  static std::optional<CtlArguments> Parse(std::span<const std::string_view> arguments,
                                           std::span<const std::string_view> filters, std::string* error);
};

// What a command leaves to its caller: to print both texts, and to exit with the status.
struct CtlResult {
  int status = 0;
  std::string output;  // for standard output
  std::string error;   // a sentence for standard error; empty: none
};

}  // namespace penstock
