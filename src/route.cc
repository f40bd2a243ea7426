#include "penstock/route.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace penstock {
namespace {

// "Which route to this address?", as the kernel reads it.
struct Question {
  nlmsghdr header;
  rtmsg route;
  rtattr destination;
  std::array<std::uint8_t, 16> address;
};
static_assert(sizeof(Question) == NLMSG_SPACE(sizeof(rtmsg)) + RTA_SPACE(16));

Question Ask(const IpAddress& address) {
  const auto bytes = address.bytes();
  Question question{};
  question.header.nlmsg_len = static_cast<std::uint32_t>(offsetof(Question, address) + bytes.size());
  question.header.nlmsg_type = RTM_GETROUTE;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.route.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  question.route.rtm_dst_len = static_cast<std::uint8_t>(bytes.size() * 8);
  question.destination.rta_type = RTA_DST;
  question.destination.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(bytes.size()));
  std::memcpy(question.address.data(), bytes.data(), bytes.size());
  return question;
}

RouteKind KindOfType(std::uint8_t type) {
  switch (type) {
    case RTN_LOCAL:
      return RouteKind::kThisHost;
    case RTN_BROADCAST:
    case RTN_MULTICAST:
    case RTN_ANYCAST:
      return RouteKind::kEverybody;
    default:
      return RouteKind::kElsewhere;
  }
}

}  // namespace

RouteTable::RouteTable() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  if (!socket_.valid()) throw std::system_error(errno, std::generic_category(), "netlink socket");
}

RouteKind RouteTable::KindOf(const IpAddress& address) const {
  const Question question = Ask(address);
  if (::send(socket_.get(), &question, question.header.nlmsg_len, 0) < 0) return RouteKind::kUnknown;
  alignas(nlmsghdr) std::array<char, 1024> answer;
  const ssize_t size = ::recv(socket_.get(), answer.data(), answer.size(), 0);
  nlmsghdr header;
  if (size < static_cast<ssize_t>(sizeof header)) return RouteKind::kUnknown;
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR) return RouteKind::kElsewhere;  // unreachable, prohibited: no local address is
  rtmsg route;
  if (header.nlmsg_type != RTM_NEWROUTE || size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof route))) {
    return RouteKind::kUnknown;
  }
  std::memcpy(&route, answer.data() + NLMSG_HDRLEN, sizeof route);
  return KindOfType(route.rtm_type);
}

}  // namespace penstock
