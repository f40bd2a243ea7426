#include "penstock/base/socks5.h"

#include <algorithm>
#include <optional>

#include "penstock/base/bytes.h"

namespace penstock::socks5 {
namespace {

enum AddressType : std::uint8_t { kIpv4 = 1, kDomainName = 3, kIpv6 = 4 };

std::string_view AsText(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Request Malformed(RequestFault fault, std::size_t size) {
  Request request;
  request.decoded = Decoded::kMalformed;
  request.fault = fault;
  request.size = size;
  return request;
}

// CMD of RFC 1928 section 4; nothing for any other value.
std::optional<Command> CommandOf(std::uint8_t cmd) {
  switch (cmd) {
    case 1:
      return Command::kConnect;
    case 2:
      return Command::kBind;
    case 3:
      return Command::kUdpAssociate;
    default:
      return std::nullopt;
  }
}

struct Target {
  IpAddress address;
  std::string_view name;
};

// Reads ADDR in the form of `address_type`. If it is truncated, the reader is no longer ok().
RequestFault TakeTarget(ByteReader& reader, std::uint8_t address_type, Target& into) {
  switch (address_type) {
    case kIpv4:
      if (const auto address = reader.Take(4); reader.ok()) into.address = IpAddress::FromV4(address.first<4>());
      return RequestFault::kNone;
    case kIpv6:
      if (const auto address = reader.Take(16); reader.ok()) into.address = IpAddress::FromV6(address.first<16>());
      return RequestFault::kNone;
    case kDomainName: {
      const std::uint8_t length = reader.U8();
      if (reader.ok() && length == 0) return RequestFault::kEmptyName;
      into.name = AsText(reader.Take(length));
      return RequestFault::kNone;
    }
    default:
      return RequestFault::kAddressType;
  }
}

}  // namespace

Greeting DecodeGreeting(std::span<const std::uint8_t> bytes) {
  Greeting greeting;
  if (!bytes.empty() && bytes[0] != kVersion) {
    greeting.decoded = Decoded::kNotSocks5;
    return greeting;
  }
  ByteReader reader(bytes);
  reader.U8();
  const std::uint8_t count = reader.U8();
  if (reader.ok() && count == 0) {
    greeting.decoded = Decoded::kMalformed;
    return greeting;
  }
  const auto methods = reader.Take(count);
  if (!reader.ok()) return greeting;
  const auto offers = [&](Method method) {
    return std::ranges::find(methods, static_cast<std::uint8_t>(method)) != methods.end();
  };
  greeting.decoded = Decoded::kComplete;
  greeting.size = reader.position();
  greeting.offers_none = offers(Method::kNone);
  greeting.offers_password = offers(Method::kPassword);
  return greeting;
}

Credentials DecodeCredentials(std::span<const std::uint8_t> bytes) {
  const auto malformed = [] {
    Credentials credentials;
    credentials.decoded = Decoded::kMalformed;
    return credentials;
  };
  if (!bytes.empty() && bytes[0] != kCredentialsVersion) return malformed();
  ByteReader reader(bytes);
  reader.U8();
  const std::uint8_t name_bytes = reader.U8();
  if (reader.ok() && name_bytes == 0) return malformed();
  const auto name = reader.Take(name_bytes);
  const auto password = reader.Take(reader.U8());
  if (!reader.ok()) return {};
  Credentials credentials;
  credentials.decoded = Decoded::kComplete;
  credentials.size = reader.position();
  credentials.name = AsText(name);
  credentials.password = SecretView(AsText(password));
  return credentials;
}

Request DecodeRequest(std::span<const std::uint8_t> bytes) {
  Request request;
  if (!bytes.empty() && bytes[0] != kVersion) {
    request.decoded = Decoded::kNotSocks5;
    return request;
  }
  ByteReader reader(bytes);
  reader.U8();  // VER
  const std::optional<Command> command = CommandOf(reader.U8());
  reader.U8();  // RSV
  const std::uint8_t address_type = reader.U8();
  if (!reader.ok()) return request;

  Target target;
  switch (TakeTarget(reader, address_type, target)) {
    case RequestFault::kEmptyName:
      return Malformed(RequestFault::kEmptyName, reader.position());
    case RequestFault::kAddressType:
      return Malformed(RequestFault::kAddressType, reader.position());
    case RequestFault::kCommand:
    case RequestFault::kNone:
      break;
  }
  request.address = target.address;
  request.name = target.name;
  request.port = reader.U16();
  if (!reader.ok()) return Request{};
  if (!command) return Malformed(RequestFault::kCommand, reader.position());
  request.command = *command;
  request.decoded = Decoded::kComplete;
  request.size = reader.position();
  return request;
}

std::array<std::uint8_t, 2> EncodeChoice(Method method) { return {kVersion, static_cast<std::uint8_t>(method)}; }

std::array<std::uint8_t, 2> EncodeVerdict(bool accepted) {
  return {kCredentialsVersion, static_cast<std::uint8_t>(accepted ? 0 : 1)};
}

std::uint8_t Rep(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSucceeded:
      return 0;
    case Outcome::kGeneralFailure:
    case Outcome::kMalformed:
    case Outcome::kOverLimit:
      return 1;
    case Outcome::kDenied:
      return 2;
    case Outcome::kNetworkUnreachable:
      return 3;
    case Outcome::kHostUnreachable:
    case Outcome::kNameNotFound:
      return 4;
    case Outcome::kRefused:
      return 5;
    case Outcome::kTimedOut:
      return 6;  // "TTL expired" is the nearest code
    case Outcome::kCommandUnsupported:
      return 7;
    case Outcome::kAddressTypeUnsupported:
      return 8;
  }
  return 1;
}

std::span<const std::uint8_t> EncodeReply(Outcome outcome, const Endpoint& bound,
                                          std::span<std::uint8_t, kReplyBytesMax> buffer) {
  ByteWriter writer(buffer);
  writer.U8(kVersion);
  writer.U8(Rep(outcome));
  writer.U8(0);
  writer.U8(bound.ip.is_v4() ? kIpv4 : kIpv6);
  writer.Put(bound.ip.bytes());
  writer.U16(bound.port);
  return writer.written();
}

Endpoint Unbound() {
  Endpoint endpoint;
  endpoint.ip = IpAddress::FromV4(std::array<std::uint8_t, 4>{});
  return endpoint;
}

UdpHeader DecodeUdpHeader(std::span<const std::uint8_t> datagram) {
  UdpHeader header;
  ByteReader reader(datagram);
  reader.U16();  // RSV
  const std::uint8_t fragment = reader.U8();
  const std::uint8_t address_type = reader.U8();
  Target target;
  if (!reader.ok() || TakeTarget(reader, address_type, target) != RequestFault::kNone) return header;
  header.port = reader.U16();
  if (!reader.ok() || header.port == 0) return header;
  header.fault = fragment == 0 ? UdpFault::kNone : UdpFault::kFragment;
  header.size = reader.position();
  header.address = target.address;
  header.name = target.name;
  return header;
}

std::span<std::uint8_t> EncodeUdpHeader(const Endpoint& from, std::span<std::uint8_t, kUdpHeaderBytesMax> headroom) {
  const std::span<std::uint8_t> header = headroom.last(UdpHeaderBytes(from.ip));
  ByteWriter writer(header);
  writer.U16(0);  // RSV
  writer.U8(0);   // FRAG
  writer.U8(from.ip.is_v4() ? kIpv4 : kIpv6);
  writer.Put(from.ip.bytes());
  writer.U16(from.port);
  return header;
}

}  // namespace penstock::socks5
