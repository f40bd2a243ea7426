// Unit tests of the handshake that need no client; test/gateway has the scenarios.
#include "penstock/session/handshake.h"

#include <doctest/doctest.h>

namespace penstock {
namespace {

TEST_CASE("handshake: each fault of a connection attempt has its outcome") {
  const struct {
    Fault fault;
    Outcome outcome;
  } rows[] = {
      {Fault::kNone, Outcome::kSucceeded},
      {Fault::kRefused, Outcome::kRefused},
      {Fault::kReset, Outcome::kRefused},
      {Fault::kNetworkUnreachable, Outcome::kNetworkUnreachable},
      {Fault::kHostUnreachable, Outcome::kHostUnreachable},
      {Fault::kTimedOut, Outcome::kTimedOut},
      {Fault::kDenied, Outcome::kDenied},
      {Fault::kNoFamily, Outcome::kAddressTypeUnsupported},
      {Fault::kExhausted, Outcome::kGeneralFailure},
      {Fault::kOther, Outcome::kGeneralFailure},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.fault));
    CHECK(OutcomeOf(row.fault) == row.outcome);
  }
}

}  // namespace
}  // namespace penstock
