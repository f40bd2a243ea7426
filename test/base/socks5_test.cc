#include "penstock/base/socks5.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"

namespace penstock::socks5 {
namespace {

using Message = std::vector<std::uint8_t>;

Message Concatenate(Message first, const Message& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// `head`, followed by `count` bytes of `filler`.
Message Filled(const Message& head, std::size_t count, std::uint8_t filler) {
  Message message = head;
  message.resize(head.size() + count, filler);
  return message;
}

Message AsMessage(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

// Bytes that may follow a message in one segment: another message, or data.
const Message kGlue[] = {
    {5, 1, 0}, {5, 1, 0, 1, 127, 0, 0, 1, 0, 80}, {0}, {0xff, 0xff, 0xff}, {'G', 'E', 'T', ' ', '/'},
};

struct GoodGreeting {
  Message bytes;
  bool none;
  bool password;
};

const GoodGreeting kGoodGreetings[] = {
    {{5, 1, 0}, true, false},
    {{5, 1, 2}, false, true},
    {{5, 1, 1}, false, false},
    {{5, 1, 0xff}, false, false},
    {{5, 2, 0, 1}, true, false},
    {{5, 2, 0, 2}, true, true},
    {{5, 3, 2, 1, 0}, true, true},
    {{5, 2, 0, 0}, true, false},
    {Filled({5, 255}, 255, 0x80), false, false},
    {Concatenate(Filled({5, 255}, 254, 0x80), {0}), true, false},
};

TEST_CASE("socks5: every good greeting is decoded, whatever follows it") {
  for (const GoodGreeting& row : kGoodGreetings) {
    CAPTURE(row.bytes.size());
    std::vector<Message> followed = {row.bytes};
    for (const Message& glue : kGlue) followed.push_back(Concatenate(row.bytes, glue));
    for (const Message& bytes : followed) {
      const Greeting greeting = DecodeGreeting(bytes);
      CHECK(greeting.decoded == Decoded::kComplete);
      CHECK(greeting.size == row.bytes.size());
      CHECK(greeting.offers_none == row.none);
      CHECK(greeting.offers_password == row.password);
    }
  }
}

TEST_CASE("socks5: every beginning of a good greeting is incomplete") {
  for (const GoodGreeting& row : kGoodGreetings) {
    for (std::size_t split = 0; split < row.bytes.size(); ++split) {
      CAPTURE(row.bytes.size());
      CAPTURE(split);
      // A copy of exactly this size, so that a sanitizer detects a read past its end.
      const Message beginning(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(split));
      const Greeting greeting = DecodeGreeting(beginning);
      CHECK(greeting.decoded == Decoded::kIncomplete);
      CHECK(greeting.size == 0);
      CHECK_FALSE(greeting.offers_none);
    }
  }
}

TEST_CASE("socks5: a bad greeting is malformed or not SOCKS5, never incomplete") {
  const struct {
    Message bytes;
    Decoded decoded;
  } bad[] = {
      {{0}, Decoded::kNotSocks5},
      {{4}, Decoded::kNotSocks5},
      {{4, 1, 0, 80, 127, 0, 0, 1, 0}, Decoded::kNotSocks5},  // SOCKS4
      {{6, 1, 0}, Decoded::kNotSocks5},
      {{0xff, 5, 1, 0}, Decoded::kNotSocks5},
      {{'G', 'E', 'T', ' '}, Decoded::kNotSocks5},
      {{0x16, 0x03, 0x01}, Decoded::kNotSocks5},  // TLS
      {{5, 0}, Decoded::kMalformed},
      {{5, 0, 0}, Decoded::kMalformed},
  };
  for (const auto& row : bad) {
    CAPTURE(static_cast<int>(row.bytes[0]));
    const Greeting greeting = DecodeGreeting(row.bytes);
    CHECK(greeting.decoded == row.decoded);
    CHECK(greeting.size == 0);
    CHECK_FALSE(greeting.offers_none);
    CHECK_FALSE(greeting.offers_password);
  }
}

struct GoodCredentials {
  Message bytes;
  std::string name;
  std::string password;
};

Message CredentialsOf(const std::string& name, const std::string& password) {
  Message message = {1, static_cast<std::uint8_t>(name.size())};
  message.insert(message.end(), name.begin(), name.end());
  message.push_back(static_cast<std::uint8_t>(password.size()));
  message.insert(message.end(), password.begin(), password.end());
  return message;
}

GoodCredentials Good(const std::string& name, const std::string& password) {
  return {CredentialsOf(name, password), name, password};
}

const GoodCredentials kGoodCredentials[] = {
    {{1, 1, 'u', 1, 'p'}, "u", "p"},
    {{1, 1, 'u', 0}, "u", ""},  // complete, although it is no password
    Good("alice", "open-sesame"),
    Good("name:colon", "open-sesame:colon"),
    Good(std::string("n\0l", 3), std::string("open-sesame\0\xff", 13)),
    Good("\x05\x01", std::string("\x05\x01\0", 3)),
    Good(std::string(255, 'u'), std::string(255, 'p')),
};

TEST_CASE("socks5: all good credentials are decoded, whatever follows them") {
  for (const GoodCredentials& row : kGoodCredentials) {
    CAPTURE(row.bytes.size());
    std::vector<Message> followed = {row.bytes};
    for (const Message& glue : kGlue) followed.push_back(Concatenate(row.bytes, glue));
    for (const Message& bytes : followed) {
      const Credentials credentials = DecodeCredentials(bytes);
      CHECK(credentials.decoded == Decoded::kComplete);
      CHECK(credentials.size == row.bytes.size());
      CHECK(credentials.name == row.name);
      CHECK(credentials.password.Reveal() == row.password);
    }
  }
}

TEST_CASE("socks5: every beginning of good credentials is incomplete") {
  for (const GoodCredentials& row : kGoodCredentials) {
    for (std::size_t split = 0; split < row.bytes.size(); ++split) {
      CAPTURE(row.bytes.size());
      CAPTURE(split);
      const Message beginning(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(split));
      const Credentials credentials = DecodeCredentials(beginning);
      CHECK(credentials.decoded == Decoded::kIncomplete);
      CHECK(credentials.size == 0);
      CHECK(credentials.name.empty());
      CHECK(credentials.password.empty());
    }
  }
}

TEST_CASE("socks5: bad credentials are malformed from the first wrong byte") {
  const Message bad[] = {{0}, {2}, {5, 1, 0}, {0xff, 1, 'u', 1, 'p'}, {1, 0}, {1, 0, 1, 'p'}};
  for (const Message& bytes : bad) {
    CAPTURE(static_cast<int>(bytes[0]));
    const Credentials credentials = DecodeCredentials(bytes);
    CHECK(credentials.decoded == Decoded::kMalformed);
    CHECK(credentials.size == 0);
    CHECK(credentials.name.empty());
  }
}

TEST_CASE("socks5: a verdict is two bytes") {
  CHECK(AsMessage(EncodeVerdict(true)) == Message{1, 0});
  CHECK(AsMessage(EncodeVerdict(false)) == Message{1, 1});
}

struct GoodRequest {
  Message bytes;
  Command command;
  std::string_view ip;  // empty for a name
  std::string name;
  std::uint16_t port;
};

const GoodRequest kGoodRequests[] = {
    {{5, 1, 0, 1, 127, 0, 0, 1, 0x04, 0x38}, Command::kConnect, "127.0.0.1", "", 1080},
    {{5, 2, 0, 1, 0, 0, 0, 0, 0, 0}, Command::kBind, "0.0.0.0", "", 0},
    {{5, 3, 0, 1, 255, 255, 255, 255, 0xff, 0xff}, Command::kUdpAssociate, "255.255.255.255", "", 65535},
    {{5, 1, 0xff, 1, 1, 2, 3, 4, 0, 80}, Command::kConnect, "1.2.3.4", "", 80},  // RSV is ignored
    {{5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x01, 0xbb}, Command::kConnect, "::1", "", 443},
    {{5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1, 0, 80}, Command::kConnect, "10.0.0.1", "", 80},
    {{5, 1, 0, 3, 1, 'a', 0, 80}, Command::kConnect, "", "a", 80},
    {{5, 1, 0, 3, 11, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm', 0x20, 0xfb},
     Command::kConnect,
     "",
     "example.com",
     8443},
    {{5, 3, 0, 3, 1, '0', 0, 0}, Command::kUdpAssociate, "", "0", 0},
    {{5, 1, 0, 3, 3, 'a', 0, 'b', 0, 80},
     Command::kConnect,
     "",
     std::string("a\0b", 3),
     80},  // the session checks names
    {Concatenate(Filled({5, 1, 0, 3, 255}, 255, 'x'), {0, 80}), Command::kConnect, "", std::string(255, 'x'), 80},
};

TEST_CASE("socks5: every good request is decoded, whatever follows it") {
  for (const GoodRequest& row : kGoodRequests) {
    CAPTURE(row.ip);
    CAPTURE(row.name);
    std::vector<Message> followed = {row.bytes};
    for (const Message& glue : kGlue) followed.push_back(Concatenate(row.bytes, glue));
    for (const Message& bytes : followed) {
      const Request request = DecodeRequest(bytes);
      CHECK(request.decoded == Decoded::kComplete);
      CHECK(request.fault == RequestFault::kNone);
      CHECK(request.size == row.bytes.size());
      CHECK(request.command == row.command);
      CHECK(request.name == row.name);
      CHECK(request.port == row.port);
      if (!row.ip.empty()) CHECK(request.address == IpAddress::Parse(row.ip));
    }
  }
}

TEST_CASE("socks5: every beginning of a good request is incomplete") {
  for (const GoodRequest& row : kGoodRequests) {
    for (std::size_t split = 0; split < row.bytes.size(); ++split) {
      CAPTURE(row.bytes.size());
      CAPTURE(split);
      const Message beginning(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(split));
      const Request request = DecodeRequest(beginning);
      CHECK(request.decoded == Decoded::kIncomplete);
      CHECK(request.size == 0);
      CHECK(request.name.empty());
    }
  }
}

struct BadRequest {
  Message bytes;
  RequestFault fault;
  std::size_t reported_at;  // the number of bytes after which the fault is reported
};

const BadRequest kBadRequests[] = {
    // An unknown command is reported once the request is complete, so that closing leaves nothing of it unread.
    {{5, 0, 0, 1, 127, 0, 0, 1, 0, 80}, RequestFault::kCommand, 10},
    {{5, 4, 0, 1, 127, 0, 0, 1, 0, 80}, RequestFault::kCommand, 10},
    {{5, 0xff, 0, 3, 1, 'a', 0, 80}, RequestFault::kCommand, 8},
    {{5, 9, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80}, RequestFault::kCommand, 22},
    // An unknown address type is reported at once, since the length of the request is unknown.
    {{5, 1, 0, 0, 1, 2, 3}, RequestFault::kAddressType, 4},
    {{5, 1, 0, 2, 1, 2, 3}, RequestFault::kAddressType, 4},
    {{5, 1, 0, 5}, RequestFault::kAddressType, 4},
    {{5, 1, 0, 0xff}, RequestFault::kAddressType, 4},
    {{5, 9, 0, 9}, RequestFault::kAddressType, 4},
    {{5, 1, 0, 3, 0, 0, 80}, RequestFault::kEmptyName, 5},
};

TEST_CASE("socks5: the fault of a bad request is reported at the documented byte, and no sooner") {
  for (const BadRequest& row : kBadRequests) {
    for (std::size_t split = 0; split <= row.bytes.size(); ++split) {
      CAPTURE(static_cast<int>(row.bytes[1]));
      CAPTURE(static_cast<int>(row.bytes[3]));
      CAPTURE(split);
      const Message beginning(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(split));
      const Request request = DecodeRequest(beginning);
      CHECK(request.decoded == (split < row.reported_at ? Decoded::kIncomplete : Decoded::kMalformed));
      CHECK(request.fault == (split < row.reported_at ? RequestFault::kNone : row.fault));
    }
  }
}

TEST_CASE("socks5: a request of another version is not SOCKS5, from its first byte") {
  const Message bad[] = {{0}, {4}, {4, 1, 0, 1, 127, 0, 0, 1, 0, 80}, {1, 1, 'u', 1, 'p'}, {0xff}};
  for (const Message& bytes : bad) {
    const Request request = DecodeRequest(bytes);
    CHECK(request.decoded == Decoded::kNotSocks5);
    CHECK(request.size == 0);
  }
}

TEST_CASE("socks5: the longest messages have the lengths in limits.h") {
  CHECK(kGoodGreetings[8].bytes.size() == kGreetingBytesMax);
  CHECK(kGoodCredentials[std::size(kGoodCredentials) - 1].bytes.size() == kCredentialsBytesMax);
  CHECK(kGoodRequests[std::size(kGoodRequests) - 1].bytes.size() == kRequestBytesMax);
}

TEST_CASE("socks5: a method choice is two bytes") {
  const auto bytes = [](Method method) { return AsMessage(EncodeChoice(method)); };
  CHECK(bytes(Method::kNone) == Message{5, 0});
  CHECK(bytes(Method::kPassword) == Message{5, 2});
  CHECK(bytes(Method::kUnacceptable) == Message{5, 0xff});
}

TEST_CASE("socks5: a reply has the address in the form of its family") {
  const struct {
    Outcome outcome;
    std::string_view bound;
    Message bytes;
  } rows[] = {
      {Outcome::kSucceeded, "127.0.0.1:1080", {5, 0, 0, 1, 127, 0, 0, 1, 0x04, 0x38}},
      {Outcome::kSucceeded, "[::1]:443", {5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x01, 0xbb}},
      {Outcome::kSucceeded, "[::ffff:10.0.0.1]:65535", {5, 0, 0, 1, 10, 0, 0, 1, 0xff, 0xff}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bound);
    std::array<std::uint8_t, kReplyBytesMax> buffer;
    CHECK(AsMessage(EncodeReply(row.outcome, Endpoint::Parse(row.bound).value(), buffer)) == row.bytes);
  }
}

TEST_CASE("socks5: a refusal is ten bytes without an address") {
  std::array<std::uint8_t, kReplyBytesMax> buffer;
  CHECK(AsMessage(EncodeReply(Outcome::kDenied, Unbound(), buffer)) == Message{5, 2, 0, 1, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("socks5: every outcome has its REP") {
  const struct {
    Outcome outcome;
    std::uint8_t rep;
  } rows[] = {
      {Outcome::kSucceeded, 0},
      {Outcome::kGeneralFailure, 1},
      {Outcome::kMalformed, 1},
      {Outcome::kOverLimit, 1},
      {Outcome::kDenied, 2},
      {Outcome::kNetworkUnreachable, 3},
      {Outcome::kHostUnreachable, 4},
      {Outcome::kNameNotFound, 4},
      {Outcome::kRefused, 5},
      {Outcome::kTimedOut, 6},
      {Outcome::kCommandUnsupported, 7},
      {Outcome::kAddressTypeUnsupported, 8},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.outcome));
    CHECK(Rep(row.outcome) == row.rep);
  }
}

TEST_CASE("socks5: the header of a datagram is decoded, and the data begins after it") {
  const struct {
    Message bytes;
    std::size_t size;
    std::string_view address;
    std::string_view name;
    std::uint16_t port;
  } rows[] = {
      {{0, 0, 0, 1, 127, 0, 0, 1, 0, 53}, 10, "127.0.0.1", "", 53},
      {{0, 0, 0, 1, 127, 0, 0, 1, 0, 53, 'x', 'y'}, 10, "127.0.0.1", "", 53},
      {{0xff, 1, 0, 1, 127, 0, 0, 1, 0, 53}, 10, "127.0.0.1", "", 53},  // RSV is ignored
      {{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 'z'}, 22, "::1", "", 256},
      {{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1, 0, 1}, 22, "10.0.0.1", "", 1},
      {{0, 0, 0, 3, 1, 'a', 0, 53, 'x'}, 8, "", "a", 53},
      {{0, 0, 0, 3, 1, 0, 0, 53}, 8, "", std::string_view("\0", 1), 53},  // names are checked elsewhere
  };
  for (const auto& row : rows) {
    CAPTURE(row.size);
    const UdpHeader header = DecodeUdpHeader(row.bytes);
    CHECK(header.fault == UdpFault::kNone);
    CHECK(header.size == row.size);
    CHECK(header.name == row.name);
    if (row.name.empty()) CHECK(header.address == IpAddress::Parse(row.address).value());
    CHECK(header.port == row.port);
    // A truncated header is malformed.
    for (std::size_t cut = 0; cut < row.size; ++cut) {
      CHECK(DecodeUdpHeader(std::span(row.bytes).first(cut)).fault == UdpFault::kMalformed);
    }
    Message fragment = row.bytes;
    fragment[2] = 0x81;
    CHECK(DecodeUdpHeader(fragment).fault == UdpFault::kFragment);
  }
  CHECK(DecodeUdpHeader(Filled({0, 0, 0, 3, 255}, 257, 'n')).name.size() == 255);
}

TEST_CASE("socks5: a datagram with an invalid header is malformed") {
  const Message bad[] = {
      {},
      {0, 0, 0, 0, 127, 0, 0, 1, 0, 53},    // ATYP 0
      {0, 0, 0, 2, 127, 0, 0, 1, 0, 53},    // ATYP 2
      {0, 0, 0, 5, 127, 0, 0, 1, 0, 53},    // ATYP 5
      {0, 0, 0, 3, 0, 0, 53},               // an empty name
      {0, 0, 0, 1, 127, 0, 0, 1, 0, 0},     // port 0
      {0, 0, 1, 1, 127, 0, 0, 1, 0, 0},     // the same in a fragment
      Filled({0, 0, 0, 3, 255}, 256, 'n'),  // truncated in the port
  };
  for (const Message& bytes : bad) {
    CAPTURE(bytes.size());
    const UdpHeader header = DecodeUdpHeader(bytes);
    CHECK(header.fault == UdpFault::kMalformed);
    CHECK(header.size == 0);
  }
}

TEST_CASE("socks5: the header of a datagram is written to the end of its headroom, and decodes to the same endpoint") {
  for (const std::string_view text : {"127.0.0.1:53", "[2001:db8::1]:65535", "[::ffff:10.0.0.1]:1"}) {
    CAPTURE(text);
    const Endpoint from = Endpoint::Parse(text).value();
    std::array<std::uint8_t, kUdpHeaderBytesMax> buffer;
    buffer.fill(0xee);
    const auto written = EncodeUdpHeader(from, buffer);
    CHECK(written.size() == UdpHeaderBytes(from.ip));
    CHECK(written.data() + written.size() == buffer.data() + buffer.size());
    CHECK(std::ranges::count(std::span(buffer).first(buffer.size() - written.size()), 0xee) ==
          static_cast<std::ptrdiff_t>(buffer.size() - written.size()));
    const UdpHeader header = DecodeUdpHeader(written);
    CHECK(header.fault == UdpFault::kNone);
    CHECK(Endpoint{header.address, header.port} == from);
    CHECK(header.size == written.size());
  }
}

}  // namespace
}  // namespace penstock::socks5
