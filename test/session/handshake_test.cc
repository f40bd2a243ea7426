// What of a handshake can be seen without a client; what handshakes do is in test/gateway.
#include "penstock/session/handshake.h"

#include <doctest/doctest.h>

namespace penstock {
namespace {

using socks5::Reply;

TEST_CASE("handshake: each fault of connecting has its reply") {
  const struct {
    Fault fault;
    Reply reply;
  } rows[] = {
      {Fault::kNone, Reply::kSucceeded},
      {Fault::kRefused, Reply::kConnectionRefused},
      {Fault::kReset, Reply::kConnectionRefused},
      {Fault::kNetworkUnreachable, Reply::kNetworkUnreachable},
      {Fault::kHostUnreachable, Reply::kHostUnreachable},
      {Fault::kTimedOut, Reply::kTtlExpired},
      {Fault::kDenied, Reply::kNotAllowed},
      {Fault::kNoFamily, Reply::kAddressTypeNotSupported},
      {Fault::kExhausted, Reply::kGeneralFailure},
      {Fault::kOther, Reply::kGeneralFailure},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.fault));
    CHECK(ReplyFor(row.fault) == row.reply);
  }
}

}  // namespace
}  // namespace penstock
