// What the kernel says of routes; with routes of its own, each case is in a network namespace in a child.
#include "penstock/os/route.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/address.h"
#include "test/support/network.h"

namespace penstock {
namespace {

using test::Ip;

// A message of the kernel: a header and what follows.
template <class Payload>
std::vector<char> Message(std::uint16_t type, std::uint32_t sequence, std::uint32_t port, const Payload& payload) {
  std::vector<char> message(NLMSG_LENGTH(sizeof payload));
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(message.size());
  header.nlmsg_type = type;
  header.nlmsg_seq = sequence;
  header.nlmsg_pid = port;
  std::memcpy(message.data(), &header, sizeof header);
  std::memcpy(message.data() + NLMSG_HDRLEN, &payload, sizeof payload);
  return message;
}

std::vector<char> Route(std::uint8_t type, std::uint32_t sequence = 7, std::uint32_t port = 99) {
  rtmsg route{};
  route.rtm_type = type;
  return Message(RTM_NEWROUTE, sequence, port, route);
}

std::vector<char> Error(int error) {
  nlmsgerr told{};
  told.error = error;
  return Message(NLMSG_ERROR, 7, 99, told);
}

TEST_CASE("route: an answer to another query, or to another socket, is ignored") {
  CHECK(ReadRouteAnswer(Route(RTN_UNICAST), 7, 99) == RouteKind::kElsewhere);
  CHECK_FALSE(ReadRouteAnswer(Route(RTN_UNICAST, 6), 7, 99));
  CHECK_FALSE(ReadRouteAnswer(Route(RTN_UNICAST, 7, 98), 7, 99));
  CHECK_FALSE(ReadRouteAnswer(std::vector<char>(sizeof(nlmsghdr) - 1), 7, 99));
}

TEST_CASE("route: only an error that means \"no route\" is another host") {
  for (const int error : {ENETUNREACH, EHOSTUNREACH, ESRCH}) {
    CAPTURE(error);
    CHECK(ReadRouteAnswer(Error(-error), 7, 99) == RouteKind::kElsewhere);
  }
  for (const int error : {ENOMEM, ENOBUFS, EPERM, EACCES, EINVAL, EOPNOTSUPP, ENODEV, EBUSY, EINTR}) {
    CAPTURE(error);
    CHECK(ReadRouteAnswer(Error(-error), 7, 99) == RouteKind::kUnknown);
  }
}

TEST_CASE("route: a message that is truncated, or of another type, is unknown") {
  std::vector<char> route = Route(RTN_UNICAST);
  route.pop_back();
  CHECK(ReadRouteAnswer(route, 7, 99) == RouteKind::kUnknown);
  std::vector<char> error = Error(-ENETUNREACH);
  error.pop_back();
  CHECK(ReadRouteAnswer(error, 7, 99) == RouteKind::kUnknown);
  CHECK(ReadRouteAnswer(Message(NLMSG_DONE, 7, 99, rtmsg{}), 7, 99) == RouteKind::kUnknown);
  CHECK(ReadRouteAnswer(Route(RTN_LOCAL), 7, 99) == RouteKind::kThisHost);
  CHECK(ReadRouteAnswer(Route(RTN_BROADCAST), 7, 99) == RouteKind::kEverybody);
  CHECK(ReadRouteAnswer(Route(RTN_UNREACHABLE), 7, 99) == RouteKind::kElsewhere);
  CHECK(ReadRouteAnswer(Route(__RTN_MAX), 7, 99) == RouteKind::kUnknown);
}

TEST_CASE("route: the kinds of local addresses, of neighbours, and of addresses without a route" *
          doctest::skip(::geteuid() != 0)) {
  const int failed = test::InNetwork(
      "ip route add unreachable 10.2.0.0/16 && ip route add prohibit 10.3.0.0/16 && ip route add blackhole 10.4.0.0/16",
      [] {
        RouteTable routes;
        const struct {
          const char* address;
          RouteKind kind;
        } rows[] = {
            {"127.0.0.1", RouteKind::kThisHost},  {"10.1.0.1", RouteKind::kThisHost},
            {"10.1.0.2", RouteKind::kElsewhere},  {"10.1.0.255", RouteKind::kEverybody},
            {"192.0.2.1", RouteKind::kElsewhere}, {"2001:db8::1", RouteKind::kElsewhere},
            {"10.2.0.1", RouteKind::kElsewhere},  {"10.3.0.1", RouteKind::kUnknown},
            {"10.4.0.1", RouteKind::kUnknown},
        };
        int number = 0;
        for (const auto& row : rows) {
          ++number;
          if (routes.KindOf(Ip(row.address)) != row.kind) return number;
        }
        return 0;
      });
  CHECK(failed == 0);
}

TEST_CASE("route: the source decides whether an address is local" * doctest::skip(::geteuid() != 0)) {
  const int failed = test::InNetwork(
      "ip address add fd01::1/64 dev here nodad && ip route add local 10.9.0.0/16 dev here table 99 &&"
      "ip -6 route add local fd09::/16 dev lo table 99 && ip rule add from 10.1.0.1 table 99 &&"
      "ip -6 rule add from fd01::1 table 99 && ip rule add oif here table 99 &&"
      "ip route add default dev here && ip -6 route add default dev here",
      [] {
        RouteTable routes;
        Source source;
        source.v4 = Ip("10.1.0.1");
        source.v6 = Ip("fd01::1");
        Source interface;
        interface.interface = "here";
        Source none;
        none.interface = "nowhere";
        if (routes.KindOf(Ip("10.9.0.1")) != RouteKind::kElsewhere) return 1;
        if (routes.KindOf(Ip("10.9.0.1"), &source) != RouteKind::kThisHost) return 2;
        if (routes.KindOf(Ip("fd09::1")) != RouteKind::kElsewhere) return 3;
        if (routes.KindOf(Ip("fd09::1"), &source) != RouteKind::kThisHost) return 4;
        if (routes.KindOf(Ip("10.9.0.1"), &interface) != RouteKind::kThisHost) return 5;
        return routes.KindOf(Ip("10.9.0.1"), &none) == RouteKind::kUnknown ? 0 : 6;
      });
  CHECK(failed == 0);
}

}  // namespace
}  // namespace penstock
