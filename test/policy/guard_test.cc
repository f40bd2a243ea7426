#include "penstock/policy/guard.h"

#include <unistd.h>

#include <array>
#include <cstdint>
#include <string_view>

#include <doctest/doctest.h>

#include "penstock/base/prefix.h"
#include "penstock/os/socket.h"
#include "test/support/address.h"
#include "test/support/network.h"

namespace penstock {
namespace {

using test::Ip;

const std::string_view kPublic[] = {
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
    "168.63.129.15",
    "100.100.100.201",
    "fd20:ce::253",
    "fd00:c1::a9fe:a9fd",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
};

const std::string_view kThisHostOnly[] = {
    "127.0.0.1",
    "127.255.255.254",
    "127.0.0.0",
    "::1",
    "::ffff:127.0.0.1",  // IPv4-mapped loopback
    "169.254.169.254",
    "169.254.0.0",
    "fe80::1",
    "febf::1",
    "::ffff:169.254.1.1",  // IPv4-mapped link-local
    "fd00:ec2::254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",  // the same, through NAT64
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "::",
    "::ffff:0.0.0.0",  // IPv4-mapped unspecified
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "255.255.255.255",
    "::ffff:224.0.0.1",
};

TEST_CASE("guard: a remote client reaches public and private addresses, and none that only this host may reach") {
  const Clock clock;
  Guard guard(clock);
  for (const std::string_view client : {"192.0.2.1", "10.0.0.7", "2001:db8::1", "fe80::2"}) {
    CAPTURE(client);
    for (const std::string_view target : kPublic) {
      CAPTURE(target);
      CHECK(guard.Allows(Ip(client), Ip(target)));
    }
    for (const std::string_view target : kThisHostOnly) {
      CAPTURE(target);
      CHECK_FALSE(guard.Allows(Ip(client), Ip(target)));
    }
  }
}

TEST_CASE("guard: a remote client does not reach cloud metadata services outside link-local either") {
  const Clock clock;
  Guard guard(clock);
  for (const std::string_view target : {"168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254",
                                        "fd00:c1::a9fe:a9fe", "::ffff:168.63.129.16", "64:ff9b::168.63.129.16"}) {
    CAPTURE(target);
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), Ip(target)));
    CHECK(guard.Allows(Ip("127.0.0.1"), Ip(target)));
  }
}

TEST_CASE("guard: a block is closed if all its addresses are") {
  const auto closed = [](std::string_view text) { return IsClosed(Prefix::Parse(text).value()); };
  for (const std::string_view text : {"127.0.0.0/8", "127.1.0.0/16", "127.0.0.1", "169.254.169.254", "224.0.0.0/4",
                                      "239.0.0.0/8", "0.0.0.0/8", "0.0.0.0", "255.255.255.255", "::", "::1",
                                      "fe80::/10", "fe80::/64", "ff02::/16", "fd00:ec2::/32", "fd00:ec2::254"}) {
    CAPTURE(text);
    CHECK(closed(text));
  }
  for (const std::string_view text : {"0.0.0.0/0", "126.0.0.0/7", "169.254.0.0/15", "224.0.0.0/3", "255.255.255.254/31",
                                      "10.0.0.0/8", "::/0", "::/127", "fe00::/9", "fd00:ec2::/31", "fd00::/8"}) {
    CAPTURE(text);
    CHECK_FALSE(closed(text));
  }
}

TEST_CASE("guard: a client on this host's loopback reaches everything") {
  const Clock clock;
  Guard guard(clock);
  for (const std::string_view client : {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(client);
    for (const std::string_view target : kPublic) CHECK(guard.Allows(Ip(client), Ip(target)));
    for (const std::string_view target : kThisHostOnly) CHECK(guard.Allows(Ip(client), Ip(target)));
  }
}

TEST_CASE("guard: a remote client does not reach any address of this host, directly or through NAT64") {
  const Clock clock;
  Guard guard(clock, {.nat64_prefixes = {Prefix::Parse("2001:db8:64::/64").value()}});
  for (const IpAddress& own : HostAddresses()) {
    CAPTURE(own.ToString());
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), own));
    if (!own.is_loopback()) CHECK_FALSE(guard.Allows(own, own));  // the client may be this host, but is not on loopback
    if (!own.is_v4()) continue;
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), Ip("64:ff9b::" + own.ToString())));
    const auto b = own.bytes();
    std::array<std::uint8_t, 16> local = {0, 0x64, 0xff, 0x9b, 0, 1, b[0], b[1], 0, b[2], b[3]};
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), IpAddress::FromV6(local)));
    std::array<std::uint8_t, 16> chosen = {0x20, 1, 0xd, 0xb8, 0, 0x64, 0, 0, 0, b[0], b[1], b[2], b[3]};
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), IpAddress::FromV6(chosen)));
  }
  CHECK(guard.Allows(Ip("192.0.2.1"), Ip("2001:db8:64:0:8:808:800::")));  // 8.8.8.8
}

TEST_CASE("guard: an address of the local NAT64 block is closed until its prefix is configured") {
  const Clock clock;
  Guard without_prefix(clock);
  for (const std::string_view target :
       {"64:ff9b:1:fffe::a9fe:a9fe", "64:ff9b:1:fffe::808:808", "64:ff9b:1:808:8:800::"}) {
    CAPTURE(target);
    CHECK_FALSE(without_prefix.Allows(Ip("192.0.2.1"), Ip(target)));
    CHECK(without_prefix.Allows(Ip("127.0.0.1"), Ip(target)));
  }
  Guard with_prefix(clock, {.nat64_prefixes = {Prefix::Parse("64:ff9b:1:fffe::/96").value()}});
  CHECK_FALSE(with_prefix.Allows(Ip("192.0.2.1"), Ip("64:ff9b:1:fffe::a9fe:a9fe")));
  CHECK(with_prefix.Allows(Ip("192.0.2.1"), Ip("64:ff9b:1:fffe::808:808")));
}

TEST_CASE("guard: a blackhole default route does not close addresses that a rule's source can reach" *
          doctest::skip(::geteuid() != 0)) {
  const int failed = test::InNetwork(
      "ip route add blackhole default && ip route add default dev here table 99 && ip rule add from 10.1.0.1 table 99",
      [] {
        const Clock clock;
        Guard guard(clock);
        Source source;
        source.v4 = Ip("10.1.0.1");
        if (!guard.Allows(Ip("192.0.2.1"), Ip("198.51.100.1"), &source)) return 1;
        if (guard.Allows(Ip("192.0.2.1"), Ip("10.1.0.1"), &source)) return 2;
        return guard.Allows(Ip("192.0.2.1"), Ip("198.51.100.1")) ? 3 : 0;
      });
  CHECK(failed == 0);
}

TEST_CASE("guard: advertised addresses count as addresses of this host") {
  const Clock clock;
  const IpAddress advertised[] = {Ip("203.0.113.5"), Ip("2001:db8::5")};
  Guard guard(clock, {}, advertised);
  for (const std::string_view target : {"203.0.113.5", "2001:db8::5", "::ffff:203.0.113.5", "64:ff9b::203.0.113.5"}) {
    CAPTURE(target);
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), Ip(target)));
    CHECK(guard.Allows(Ip("127.0.0.1"), Ip(target)));
  }
  CHECK(guard.Allows(Ip("192.0.2.1"), Ip("203.0.113.6")));
}

TEST_CASE("guard: an address is checked with the route of its source") {
  const Clock clock;
  Guard guard(clock);
  Source nowhere;
  nowhere.interface = "no-such-device";  // without routes
  for (int i = 0; i < 2; ++i) {          // queried, then cached
    CHECK(guard.Allows(Ip("192.0.2.1"), Ip("8.8.8.8")));
    CHECK_FALSE(guard.Allows(Ip("192.0.2.1"), Ip("8.8.8.8"), &nowhere));
  }
  CHECK(guard.Allows(Ip("127.0.0.1"), Ip("8.8.8.8"), &nowhere));
}

TEST_CASE("guard: with trust_loopback off a client on loopback is a remote client") {
  const Clock clock;
  Guard guard(clock, {.trust_loopback = false});
  for (const std::string_view client : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(client);
    for (const std::string_view target : kPublic) CHECK(guard.Allows(Ip(client), Ip(target)));
    for (const std::string_view target : kThisHostOnly) CHECK_FALSE(guard.Allows(Ip(client), Ip(target)));
  }
}

}  // namespace
}  // namespace penstock
