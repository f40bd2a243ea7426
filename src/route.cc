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

Question Ask(const IpAddress& address, std::uint32_t sequence) {
  const auto bytes = address.bytes();
  Question question{};
  question.header.nlmsg_len = static_cast<std::uint32_t>(offsetof(Question, address) + bytes.size());
  question.header.nlmsg_type = RTM_GETROUTE;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.header.nlmsg_seq = sequence;
  question.route.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  question.route.rtm_dst_len = static_cast<std::uint8_t>(bytes.size() * 8);
  question.destination.rta_type = RTA_DST;
  question.destination.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(bytes.size()));
  std::memcpy(question.address.data(), bytes.data(), bytes.size());
  return question;
}

RouteKind KindOfType(std::uint8_t type) {
  switch (type) {
    case RTN_UNICAST:
    case RTN_BLACKHOLE:
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT:
    case RTN_THROW:
      return RouteKind::kElsewhere;
    case RTN_LOCAL:
      return RouteKind::kThisHost;
    case RTN_BROADCAST:
    case RTN_MULTICAST:
    case RTN_ANYCAST:
      return RouteKind::kEverybody;
    default:
      return RouteKind::kUnknown;
  }
}

// "No route" and "unreachable" are answers. Everything else says that there was none: memory, rights, a question that
// this kernel does not understand.
RouteKind KindOfError(int error) {
  const bool no_route = error == -ENETUNREACH || error == -EHOSTUNREACH || error == -ESRCH;
  return no_route ? RouteKind::kElsewhere : RouteKind::kUnknown;
}

// The payload of a message, as far as it is a `Payload`.
template <class Payload>
std::optional<Payload> PayloadOf(std::span<const char> message) {
  Payload payload;
  if (message.size() < NLMSG_LENGTH(sizeof payload)) return std::nullopt;
  std::memcpy(&payload, message.data() + NLMSG_HDRLEN, sizeof payload);
  return payload;
}

}  // namespace

std::optional<RouteKind> ReadRouteAnswer(std::span<const char> message, std::uint32_t sequence, std::uint32_t port) {
  nlmsghdr header;
  if (message.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof header);
  if (header.nlmsg_seq != sequence || header.nlmsg_pid != port) return std::nullopt;
  if (header.nlmsg_type == RTM_NEWROUTE) {
    const auto route = PayloadOf<rtmsg>(message);
    return route ? KindOfType(route->rtm_type) : RouteKind::kUnknown;
  }
  const auto told = header.nlmsg_type == NLMSG_ERROR ? PayloadOf<nlmsgerr>(message) : std::nullopt;
  return told ? KindOfError(told->error) : RouteKind::kUnknown;
}

RouteTable::RouteTable() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;  // and the kernel picks a port id
  socklen_t size = sizeof own;
  auto* const generic = reinterpret_cast<sockaddr*>(&own);
  if (!socket_.valid() || ::bind(socket_.get(), generic, size) != 0 ||
      ::getsockname(socket_.get(), generic, &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "netlink socket");
  }
  port_ = own.nl_pid;
}

RouteKind RouteTable::KindOf(const IpAddress& address) {
  const Question question = Ask(address, ++sequence_);
  if (::send(socket_.get(), &question, question.header.nlmsg_len, 0) < 0) return RouteKind::kUnknown;
  for (;;) {  // past what may be left of earlier questions
    alignas(nlmsghdr) std::array<char, 1024> room;
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size =
        ::recvfrom(socket_.get(), room.data(), room.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0) return RouteKind::kUnknown;
    if (from.nl_pid != 0) continue;  // another program's
    const auto kind = ReadRouteAnswer(std::span(room).first(static_cast<std::size_t>(size)), sequence_, port_);
    if (kind) return *kind;
  }
}

}  // namespace penstock
