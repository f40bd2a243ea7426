#include "penstock/base/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "test/support/address.h"

namespace penstock {
namespace {

using namespace std::string_view_literals;
using test::Ip;

TEST_CASE("endpoint: addresses are parsed as by inet_pton(3), and written in one form") {
  const struct {
    std::string_view text;
    std::string_view written;
    bool v4;
  } good[] = {
      {"0.0.0.0", "0.0.0.0", true},
      {"127.0.0.1", "127.0.0.1", true},
      {"255.255.255.255", "255.255.255.255", true},
      {"::", "::", false},
      {"::1", "::1", false},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", false},
      {"fe80::1", "fe80::1", false},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"::ffff:10.1.2.3", "10.1.2.3", true},
      {"::ffff:0a01:0203", "10.1.2.3", true},
      {"0000:0000:0000:0000:0000:ffff:255.255.255.255", "255.255.255.255", true},  // the longest text
      {"::10.1.2.3", "::10.1.2.3", false},                                         // IPv4-compatible is not IPv4-mapped
      {"64:ff9b::10.1.2.3", "64:ff9b::a01:203", false},
  };
  for (const auto& row : good) {
    CAPTURE(row.text);
    const auto ip = IpAddress::Parse(row.text);
    REQUIRE(ip.has_value());
    CHECK(ip->ToString() == row.written);
    CHECK(ip->is_v4() == row.v4);
    CHECK(ip->bytes().size() == (row.v4 ? 4U : 16U));
    CHECK(IpAddress::Parse(ip->ToString()) == ip);
  }
}

TEST_CASE("endpoint: other text is no address") {
  const std::string_view bad[] = {
      "",
      " ",
      ".",
      ":",
      ":::",
      "1",
      "1.2",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "1.2.3.-4",
      "01.2.3.4",
      "0x7f.1",
      "0x7f000001",
      "127.1",
      "2130706433",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.4\n",
      "1.2.3.4.",
      "1.2.3.4:80",
      "1.2.3.4/8",
      "[1.2.3.4]",
      "localhost",
      "::g",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      "[::1]",
      "::1%lo",
      "fe80::1%1",
      "::ffff:1.2.3",
      "::ffff:1.2.3.256",
      "0000:0000:0000:0000:0000:ffff:255.255.255.2555",
      "127.0.0.1\0"sv,
      "127.0.0.1\0.example"sv,
      "\0"sv,
      "\xef\xbc\x91.2.3.4",
  };
  for (const std::string_view text : bad) {
    CAPTURE(text);
    CHECK_FALSE(IpAddress::Parse(text).has_value());
  }
}

TEST_CASE("endpoint: an IPv4-mapped address is the IPv4 address") {
  const IpAddress plain = Ip("127.0.0.1");
  const IpAddress mapped = Ip("::ffff:127.0.0.1");
  CHECK(plain == mapped);
  CHECK(mapped.is_loopback());

  const std::uint8_t as_v6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  CHECK(IpAddress::FromV6(as_v6) == plain);
  CHECK(IpAddress::FromV4(std::span(as_v6).last<4>()) == plain);

  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(80);
  std::memcpy(&v6.sin6_addr, as_v6, sizeof as_v6);
  sockaddr_storage storage{};
  std::memcpy(&storage, &v6, sizeof v6);
  CHECK(Endpoint::FromSockaddr(storage) == Endpoint{plain, 80});
}

TEST_CASE("endpoint: the default address is ::") {
  CHECK(IpAddress() == Ip("::"));
  CHECK(IpAddress().is_unspecified());
  CHECK_FALSE(IpAddress().is_v4());
}

TEST_CASE("endpoint: classes of addresses end where their ranges end") {
  enum : unsigned {
    kUnspecified = 1,
    kLoopback = 2,
    kLinkLocal = 4,
    kMulticast = 8,
    kBroadcast = 16,
    kZeroNet = 32,
  };
  const struct {
    std::string_view text;
    unsigned classes;
  } rows[] = {
      {"0.0.0.0", kUnspecified | kZeroNet},
      {"0.0.0.1", kZeroNet},
      {"0.255.255.255", kZeroNet},
      {"1.0.0.0", 0},
      {"126.255.255.255", 0},
      {"127.0.0.0", kLoopback},
      {"127.255.255.255", kLoopback},
      {"128.0.0.0", 0},
      {"169.253.255.255", 0},
      {"169.254.0.0", kLinkLocal},
      {"169.254.169.254", kLinkLocal},
      {"169.254.255.255", kLinkLocal},
      {"169.255.0.0", 0},
      {"223.255.255.255", 0},
      {"224.0.0.0", kMulticast},
      {"239.255.255.255", kMulticast},
      {"240.0.0.0", 0},
      {"255.255.255.254", 0},
      {"255.255.255.255", kBroadcast},
      {"::", kUnspecified},
      {"::1", kLoopback},
      {"::2", 0},
      {"::1:0:1", 0},
      {"100::1", 0},
      {"fe7f:ffff::", 0},
      {"fe80::", kLinkLocal},
      {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", kLinkLocal},
      {"fec0::", 0},
      {"feff::", 0},
      {"ff00::", kMulticast},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", kMulticast},
      {"::127.0.0.1", 0},
      {"::ffff:0.0.0.0", kUnspecified | kZeroNet},
      {"::ffff:127.0.0.1", kLoopback},
      {"::ffff:169.254.169.254", kLinkLocal},
      {"::ffff:224.0.0.1", kMulticast},
      {"::ffff:255.255.255.255", kBroadcast},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const IpAddress ip = Ip(row.text);
    CHECK(ip.is_unspecified() == ((row.classes & kUnspecified) != 0));
    CHECK(ip.is_loopback() == ((row.classes & kLoopback) != 0));
    CHECK(ip.is_link_local() == ((row.classes & kLinkLocal) != 0));
    CHECK(ip.is_multicast() == ((row.classes & kMulticast) != 0));
    CHECK(ip.is_broadcast() == ((row.classes & kBroadcast) != 0));
    CHECK(ip.is_zero_net() == ((row.classes & kZeroNet) != 0));
  }
}

TEST_CASE("endpoint: an address with a port is parsed and written") {
  const struct {
    std::string_view text;
    std::string_view ip;
    std::uint16_t port;
    std::string_view written;
  } good[] = {
      {"127.0.0.1:1080", "127.0.0.1", 1080, "127.0.0.1:1080"},
      {"0.0.0.0:0", "0.0.0.0", 0, "0.0.0.0:0"},
      {"255.255.255.255:65535", "255.255.255.255", 65535, "255.255.255.255:65535"},
      {"[::1]:1080", "::1", 1080, "[::1]:1080"},
      {"[::]:0", "::", 0, "[::]:0"},
      {"[2001:db8:0::1]:443", "2001:db8::1", 443, "[2001:db8::1]:443"},
      {"[::ffff:127.0.0.1]:80", "127.0.0.1", 80, "127.0.0.1:80"},
  };
  for (const auto& row : good) {
    CAPTURE(row.text);
    const auto endpoint = Endpoint::Parse(row.text);
    REQUIRE(endpoint.has_value());
    CHECK(endpoint->ip == Ip(row.ip));
    CHECK(endpoint->port == row.port);
    CHECK(endpoint->scope == 0);
    CHECK(endpoint->ToString() == row.written);
    CHECK(Endpoint::Parse(endpoint->ToString()) == endpoint);
  }
}

TEST_CASE("endpoint: other text is no address with a port") {
  const std::string_view bad[] = {
      "",
      ":",
      ":80",
      "80",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1:65536",
      "127.0.0.1:-1",
      "127.0.0.1:+1",
      "127.0.0.1: 80",
      "127.0.0.1:80 ",
      " 127.0.0.1:80",
      "127.0.0.1:0x50",
      "127.0.0.1:80a",
      "127.0.0.1:http",
      "127.0.0.1:99999999999999999999",
      "127.1:80",
      "localhost:80",
      "*:80",
      "::1:80",
      "::1",
      "[::1]",
      "[::1]:",
      "[::1]80",
      "[::1:80",
      "::1]:80",
      "[]:80",
      "[[::1]]:80",
      "[::1]:80:80",
      "[127.0.0.1]:80",
      "[localhost]:80",
      "[fe80::1%]:80",
      "[fe80::1%no-such-interface]:80",
      "[%lo]:80",
      "[127.0.0.1%lo]:80",
      "fe80::1%lo:80",
      "127.0.0.1\0:80"sv,
      "127.0.0.1:80\0"sv,
      "[::1\0]:80"sv,
      "[fe80::1%lo\0x]:80"sv,
  };
  for (const std::string_view text : bad) {
    CAPTURE(text);
    CHECK_FALSE(Endpoint::Parse(text).has_value());
  }
}

TEST_CASE("endpoint: a link-local address names its interface") {
  const unsigned loopback = ::if_nametoindex("lo");
  REQUIRE(loopback != 0);
  const auto endpoint = Endpoint::Parse("[fe80::1%lo]:1080");
  REQUIRE(endpoint.has_value());
  CHECK(endpoint->ip == Ip("fe80::1"));
  CHECK(endpoint->scope == loopback);
  CHECK(endpoint->ToString() == "[fe80::1]:1080");
}

TEST_CASE("endpoint: a sockaddr and back is the same endpoint") {
  const Endpoint rows[] = {
      {Ip("127.0.0.1"), 1080}, {Ip("0.0.0.0"), 0}, {Ip("::1"), 65535}, {Ip("2001:db8::1"), 443}, {Ip("fe80::1"), 22, 3},
  };
  for (const Endpoint& endpoint : rows) {
    CAPTURE(endpoint.ToString());
    sockaddr_storage address;
    std::memset(&address, 0xff, sizeof address);
    const socklen_t size = endpoint.ToSockaddr(&address);
    CHECK(address.ss_family == (endpoint.ip.is_v4() ? AF_INET : AF_INET6));
    CHECK(size == (endpoint.ip.is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
    CHECK(Endpoint::FromSockaddr(address) == endpoint);
  }
}

TEST_CASE("endpoint: a sockaddr has address and port in network order") {
  sockaddr_storage address;
  Endpoint{Ip("1.2.3.4"), 0x0438}.ToSockaddr(&address);
  sockaddr_in v4;
  std::memcpy(&v4, &address, sizeof v4);
  CHECK(ntohs(v4.sin_port) == 0x0438);
  CHECK(ntohl(v4.sin_addr.s_addr) == 0x01020304);
}

TEST_CASE("endpoint: a sockaddr of another family is [::]:0") {
  sockaddr_storage address{};
  CHECK(Endpoint::FromSockaddr(address) == Endpoint{});
  address.ss_family = AF_UNIX;
  CHECK(Endpoint::FromSockaddr(address) == Endpoint{});
}

TEST_CASE("endpoint: a client is an IPv4 address or an IPv6 /64") {
  const auto bytes = [](std::string_view text) {
    const IpAddress client = IpAddress::Parse(text).value();
    const auto found = ClientBytes(client);
    return std::vector<int>(found.begin(), found.end());
  };
  CHECK(bytes("192.0.2.7") == std::vector<int>{192, 0, 2, 7});
  CHECK(bytes("::ffff:192.0.2.7") == bytes("192.0.2.7"));
  CHECK(bytes("2001:db8:1:2:3:4:5:6") == std::vector<int>{0x20, 1, 0xd, 0xb8, 0, 1, 0, 2});
  CHECK(bytes("2001:db8:1:2::") == bytes("2001:db8:1:2:3:4:5:6"));
  CHECK(bytes("2001:db8:1:3::1") != bytes("2001:db8:1:2::1"));
  CHECK(bytes("::1") == std::vector<int>(8, 0));
}

TEST_CASE("endpoint: a range of ports is one port, or two in order with a dash between them") {
  CHECK(PortRange::Parse("443") == PortRange{443, 443});
  CHECK(PortRange::Parse("1-65535") == PortRange{1, 65'535});
  for (const char* const bad : {"", "-", "0", "0-5", "5-4", "1-65536", "5-", "-5", "a-b", "1-2-3", "1 - 2", "+1"}) {
    CAPTURE(bad);
    CHECK_FALSE(PortRange::Parse(bad));
  }
}

TEST_CASE("endpoint: host names are those that a name server can be asked for") {
  const std::string label63(63, 'a');
  const std::string name253 = label63 + '.' + label63 + '.' + label63 + '.' + std::string(61, 'b');
  REQUIRE(name253.size() == kNameBytesMax);
  const std::string good[] = {
      "a",
      "localhost",
      "example.com",
      "example.com.",
      "EXAMPLE.com",
      "xn--bcher-kva.example",
      "_dmarc.example.com",
      "a-b.c-d",
      "-a.example",
      "a_b",
      "1.2.3.4",
      "0",
      "1e100.net",
      "*.example.com",
      "a/b",
      "~",
      "!",
      label63,
      label63 + '.',
      name253,
      name253 + '.',
      "::1",
  };
  for (const std::string& name : good) {
    CAPTURE(name);
    CHECK(IsHostName(name));
  }

  const std::string bad[] = {
      "",
      ".",
      "..",
      ".a",
      "a..b",
      "a..",
      "..a",
      "a b",
      " a",
      "a ",
      "a\tb",
      "a\nb",
      "a\x7f",
      "b\xc3\xbc"
      "cher.example",
      "\xff",
      std::string("a\0b", 3),
      std::string(1, '\0'),
      std::string("example.com\0", 12),
      label63 + 'a',
      "a." + label63 + "a.b",
      name253 + 'b',
      name253 + "b.",
      name253 + "..",
      std::string(255, 'a'),
      std::string(300, '.'),
  };
  for (const std::string& name : bad) {
    CAPTURE(name);
    CHECK_FALSE(IsHostName(name));
  }
}

TEST_CASE("endpoint: the name in a request may be the text of an address") {
  const struct {
    std::string_view name;
    std::string_view ip;
  } good[] = {
      {"10.0.0.1", "10.0.0.1"},
      {"::1", "::1"},
      {"[::1]", "::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"::ffff:127.0.0.1", "127.0.0.1"},
      {"[::ffff:127.0.0.1]", "127.0.0.1"},
  };
  for (const auto& row : good) {
    CAPTURE(row.name);
    CHECK(AddressInName(row.name) == Ip(row.ip));
  }

  const std::string_view bad[] = {
      "",           "[]",          "[",         "]",      "[::1",      "::1]",        "[[::1]]",
      "[10.0.0.1]", "[localhost]", "localhost", "10.0.0", "10.0.0.1.", "10.0.0.1:80", "[::1]:80",
      "0x7f000001", "127.1",       "[::1]\0"sv,
  };
  for (const std::string_view name : bad) {
    CAPTURE(name);
    CHECK_FALSE(AddressInName(name).has_value());
  }
}

}  // namespace
}  // namespace penstock
