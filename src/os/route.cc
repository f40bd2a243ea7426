#include "penstock/os/route.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace penstock {
namespace {

// A RTM_GETROUTE message: the query for the route to one address.
struct Query {
  static constexpr std::size_t kAttributesMax = 2 * RTA_SPACE(16) + RTA_SPACE(sizeof(std::uint32_t));

  Query(const IpAddress& to, std::uint32_t sequence) {
    header.nlmsg_len = offsetof(Query, attributes);
    header.nlmsg_type = RTM_GETROUTE;
    header.nlmsg_flags = NLM_F_REQUEST;
    header.nlmsg_seq = sequence;
    route.rtm_family = to.is_v4() ? AF_INET : AF_INET6;
    route.rtm_dst_len = static_cast<std::uint8_t>(to.bytes().size() * 8);
    Put(RTA_DST, to.bytes().data(), to.bytes().size());
  }

  void PutSource(const IpAddress& from) {
    route.rtm_src_len = static_cast<std::uint8_t>(from.bytes().size() * 8);
    Put(RTA_SRC, from.bytes().data(), from.bytes().size());
  }

  void Put(std::uint16_t type, const void* value, std::size_t size) {
    const rtattr attribute{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
    char* const at = attributes.data() + header.nlmsg_len - offsetof(Query, attributes);
    std::memcpy(at, &attribute, sizeof attribute);
    std::memcpy(at + RTA_LENGTH(0), value, size);
    header.nlmsg_len += static_cast<std::uint32_t>(RTA_SPACE(size));
  }

  nlmsghdr header{};
  rtmsg route{};
  std::array<char, kAttributesMax> attributes{};
};
static_assert(offsetof(Query, attributes) == NLMSG_SPACE(sizeof(rtmsg)));

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

// "No route" and "unreachable" are results. All other errors mean that the query failed: no memory, no permission, an
// attribute that this kernel does not know.
RouteKind KindOfError(int error) {
  const bool no_route = error == -ENETUNREACH || error == -EHOSTUNREACH || error == -ESRCH;
  return no_route ? RouteKind::kElsewhere : RouteKind::kUnknown;
}

// The payload of a message; nothing if the message is too short for a `Payload`.
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
  const auto failure = header.nlmsg_type == NLMSG_ERROR ? PayloadOf<nlmsgerr>(message) : std::nullopt;
  return failure ? KindOfError(failure->error) : RouteKind::kUnknown;
}

RouteTable::RouteTable() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;  // the kernel picks the port id
  socklen_t size = sizeof own;
  auto* const generic = reinterpret_cast<sockaddr*>(&own);
  if (!socket_.valid() || ::bind(socket_.get(), generic, size) != 0 ||
      ::getsockname(socket_.get(), generic, &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "netlink socket");
  }
  port_ = own.nl_pid;
}

RouteKind RouteTable::KindOf(const IpAddress& address, const Source* source) {
  Query query(address, ++sequence_);
  if (source != nullptr && source->towards(address)) query.PutSource(*source->towards(address));
  if (source != nullptr && !source->interface.empty()) {
    const unsigned index = ::if_nametoindex(source->interface.c_str());
    if (index == 0) return RouteKind::kUnknown;
    query.Put(RTA_OIF, &index, sizeof index);
  }
  if (::send(socket_.get(), &query, query.header.nlmsg_len, 0) < 0) return RouteKind::kUnknown;
  for (;;) {  // skips answers to earlier queries
    alignas(nlmsghdr) std::array<char, 1024> room;
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size =
        ::recvfrom(socket_.get(), room.data(), room.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0) return RouteKind::kUnknown;
    if (from.nl_pid != 0) continue;  // not from the kernel
    const auto kind = ReadRouteAnswer(std::span(room).first(static_cast<std::size_t>(size)), sequence_, port_);
    if (kind) return *kind;
  }
}

}  // namespace penstock
