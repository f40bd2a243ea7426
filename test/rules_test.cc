#include "penstock/rules.h"

#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

IpAddress Ip(std::string_view text) { return IpAddress::Parse(text).value(); }

// A gateway with two public addresses; the list is not in order.
Guard Gateway() { return Guard({Ip("203.0.113.7"), Ip("2001:db8::7"), Ip("127.0.0.1"), Ip("10.0.0.7"), Ip("::1")}); }

const std::string_view kOpenToAll[] = {
    "1.1.1.1",
    "8.8.8.8",
    "10.0.0.1",
    "10.0.0.8",
    "192.168.1.1",
    "203.0.113.6",
    "203.0.113.8",
    "1.0.0.0",
    "128.0.0.1",
    "169.253.0.1",
    "169.255.0.1",
    "223.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "2001:db8::6",
    "2001:db8::8",
    "fd00::1",
    "fec0::1",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
};

const std::string_view kOpenToThisHostOnly[] = {
    "127.0.0.1",
    "127.255.255.254",
    "127.0.0.0",
    "::1",
    "::ffff:127.0.0.1",  // its loopback
    "169.254.169.254",
    "169.254.0.0",
    "fe80::1",
    "febf::1",
    "::ffff:169.254.1.1",  // its link
    "203.0.113.7",
    "10.0.0.7",
    "2001:db8::7",
    "::ffff:203.0.113.7",  // itself
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "::",
    "::ffff:0.0.0.0",  // nobody
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "255.255.255.255",
    "::ffff:224.0.0.1",
};

TEST_CASE("rules: a remote client reaches the world, and nothing that only this host may reach") {
  const Guard guard = Gateway();
  for (const std::string_view client : {"192.0.2.1", "10.0.0.7", "203.0.113.7", "2001:db8::1", "fe80::2"}) {
    CAPTURE(client);
    for (const std::string_view target : kOpenToAll) {
      CAPTURE(target);
      CHECK(guard.Allows(Ip(client), Ip(target)));
    }
    for (const std::string_view target : kOpenToThisHostOnly) {
      CAPTURE(target);
      CHECK_FALSE(guard.Allows(Ip(client), Ip(target)));
    }
  }
}

TEST_CASE("rules: a client on this host's loopback reaches everything") {
  const Guard guard = Gateway();
  for (const std::string_view client : {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(client);
    for (const std::string_view target : kOpenToAll) CHECK(guard.Allows(Ip(client), Ip(target)));
    for (const std::string_view target : kOpenToThisHostOnly) CHECK(guard.Allows(Ip(client), Ip(target)));
  }
}

TEST_CASE("rules: a gateway that knows no address of its own still guards the rest") {
  const Guard guard({});
  CHECK(guard.Allows(Ip("192.0.2.1"), Ip("203.0.113.7")));
  CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), Ip("127.0.0.1")));
}

}  // namespace
}  // namespace penstock
