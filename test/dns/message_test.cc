#include "penstock/dns/message.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_answer.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::uint8_t>;
using Kind = DnsAnswer::Kind;
using test::Strings;
using test::Texts;

constexpr std::uint16_t kId = 0x1234;
constexpr std::uint16_t kTypeA = 1;
constexpr std::uint16_t kTypeCname = 5;
constexpr std::uint16_t kTypeSoa = 6;
constexpr std::uint16_t kTypeAaaa = 28;

// Builds an answer to a query, record by record.
class Message {
 public:
  explicit Message(const DnsQuery& query, std::uint16_t flags = 0x8180)
      : bytes(query.message().begin(), query.message().end()) {
    Set16(2, flags);
  }

  static Bytes Name(std::string_view name) {
    Bytes wire;
    while (!name.empty()) {
      const std::string_view label = name.substr(0, name.find('.'));
      wire.push_back(static_cast<std::uint8_t>(label.size()));
      wire.insert(wire.end(), label.begin(), label.end());
      name.remove_prefix(std::min(name.size(), label.size() + 1));
    }
    wire.push_back(0);
    return wire;
  }

  // `section`: 0 answer, 1 authority. A `name` of "@" is a pointer to the question.
  Message& Record(std::size_t section, std::string_view name, std::uint16_t type, std::uint32_t ttl, const Bytes& rdata,
                  std::uint16_t dns_class = 1) {
    Put(name == "@" ? Bytes{0xc0, 0x0c} : Name(name));
    Put16(type);
    Put16(dns_class);
    Put16(static_cast<std::uint16_t>(ttl >> 16));
    Put16(static_cast<std::uint16_t>(ttl));
    Put16(static_cast<std::uint16_t>(rdata.size()));
    Put(rdata);
    ++bytes[6 + 2 * section + 1];
    return *this;
  }

  Message& A(std::string_view name, std::string_view address, std::uint32_t ttl = 300) {
    return Record(0, name, kTypeA, ttl, AddressBytes(address));
  }
  Message& Aaaa(std::string_view name, std::string_view address, std::uint32_t ttl = 300) {
    return Record(0, name, kTypeAaaa, ttl, AddressBytes(address));
  }
  Message& Cname(std::string_view name, std::string_view target, std::uint32_t ttl = 300) {
    return Record(0, name, kTypeCname, ttl, Name(target));
  }
  Message& Soa(std::uint32_t ttl, std::uint32_t minimum) {
    Bytes rdata = Name("ns.example");
    for (const std::uint8_t byte : Name("root.example")) rdata.push_back(byte);
    rdata.resize(rdata.size() + 16);
    for (int shift = 24; shift >= 0; shift -= 8) rdata.push_back(static_cast<std::uint8_t>(minimum >> shift));
    return Record(1, "example", kTypeSoa, ttl, rdata);
  }

  void Set16(std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
  }

  Bytes bytes;

 private:
  static Bytes AddressBytes(std::string_view text) {
    const IpAddress address = IpAddress::Parse(text).value();
    return {address.bytes().begin(), address.bytes().end()};
  }
  void Put(const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  void Put16(std::uint16_t value) { Put({static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)}); }
};

const DnsQuery kQueryA = EncodeQuery("www.example", DnsType::kA, kId);
const DnsQuery kQueryAaaa = EncodeQuery("www.example", DnsType::kAaaa, kId);

// Decodes from a heap block of exactly its size, so that the address sanitizer reports a read past it.
DnsAnswer Decode(const Bytes& message, const DnsQuery& query) {
  const Bytes exact(message.begin(), message.end());
  return DecodeAnswer(exact, query);
}

// Answers for the tests of truncation and mutation.
std::vector<std::pair<DnsQuery, Bytes>> GoodMessages() {
  return {
      {kQueryA, Message(kQueryA).A("@", "192.0.2.1").A("www.example", "192.0.2.2").bytes},
      {kQueryAaaa, Message(kQueryAaaa).Aaaa("@", "2001:db8::1").bytes},
      {kQueryA,
       Message(kQueryA).Cname("@", "a.example").Cname("a.example", "b.example").A("b.example", "192.0.2.3").bytes},
      {kQueryA, Message(kQueryA, 0x8183).Soa(60, 30).bytes},
      {kQueryAaaa, Message(kQueryAaaa).Cname("@", "a.example").Soa(60, 30).bytes},
  };
}

}  // namespace

TEST_CASE("a name is compared in lower case and without its final dot") {
  CHECK(NameText("WWW.Example.").view() == "www.example");
  CHECK(NameText("a", "b.C").view() == "a.b.c");
  const std::string longest(kNameBytesMax - 2, 'x');
  CHECK(NameText(longest, "y").view().size() == kNameBytesMax);
  CHECK(NameText(longest, "yy").view().empty());
}

TEST_CASE("a query has a header, and one question") {
  const Bytes expected = {0x12, 0x34, 0x01, 0x00, 0,   1,   0,   0,   0,   0, 0, 0,  3, 'w', 'w',
                          'w',  7,    'e',  'x',  'a', 'm', 'p', 'l', 'e', 0, 0, 28, 0, 1};
  const auto message = kQueryAaaa.message();
  CHECK(Bytes(message.begin(), message.end()) == expected);
}

TEST_CASE("a query holds the longest name, and no longer one") {
  const std::string label(63, 'a');
  const std::string longest = label + '.' + label + '.' + label + '.' + std::string(61, 'b');
  REQUIRE(longest.size() == kNameBytesMax);
  const DnsQuery query = EncodeQuery(longest, DnsType::kA, kId);
  CHECK(query.size == kDnsQueryBytesMax);
  CHECK(Texts(Decode(Message(query).A("@", "192.0.2.1").bytes, query)) == Strings{"192.0.2.1"});
  CHECK(EncodeQuery(longest + "b", DnsType::kA, kId).size == 0);
  CHECK(EncodeQuery(std::string(300, 'a'), DnsType::kA, kId).size == 0);
  CHECK(EncodeQuery(std::string(64, 'a'), DnsType::kA, kId).size == 0);
}

TEST_CASE("a name with a backslash is not encoded, for it would be an escape") {
  for (const char* name : {"\\", "a\\.b", "\\000.example", "\\[x1.example", "example\\"}) {
    CAPTURE(name);
    CHECK(EncodeQuery(name, DnsType::kA, kId).size == 0);
  }
}

TEST_CASE("printable names are encoded as they are") {
  for (const char* name : {"_sip._tcp.example", "a\"b.example", "$(x).example", "@", "a;b", "*.example"}) {
    CAPTURE(name);
    const DnsQuery query = EncodeQuery(name, DnsType::kA, kId);
    REQUIRE(query.size > 0);
    const Bytes wire = Message::Name(name);
    CHECK(Bytes(query.bytes.begin() + 12, query.bytes.begin() + 12 + static_cast<long>(wire.size())) == wire);
    CHECK(Decode(Message(query).A("@", "192.0.2.1").bytes, query).count == 1);
    CHECK(Decode(Message(query).Cname(name, "b").A("b", "192.0.2.1").bytes, query).count == 1);
  }
}

TEST_CASE("an answer has the lowest TTL of its records") {
  const DnsAnswer answer = Decode(Message(kQueryA).A("@", "192.0.2.1", 60).A("@", "192.0.2.2", 30).bytes, kQueryA);
  CHECK(answer.kind == Kind::kAddresses);
  CHECK(Texts(answer) == Strings{"192.0.2.1", "192.0.2.2"});
  CHECK(answer.ttl == 30s);
  CHECK(Decode(Message(kQueryA).A("@", "192.0.2.1", 1'000'000).bytes, kQueryA).ttl == kNameTtlMax);
  CHECK(Decode(Message(kQueryA).A("@", "192.0.2.1", 0x80000000).bytes, kQueryA).ttl == 0s);
  CHECK(Decode(Message(kQueryAaaa).Aaaa("@", "2001:db8::1", 7).bytes, kQueryAaaa).ttl == 7s);
}

TEST_CASE("names are compared case-insensitively") {
  Message message(kQueryA);
  for (std::size_t at = 12; at < 25; ++at) {
    if (message.bytes[at] >= 'a') message.bytes[at] ^= 0x20;
  }
  message.Cname("wWw.eXample", "END.example").A("end.EXAMPLE", "192.0.2.1");
  CHECK(Texts(Decode(message.bytes, kQueryA)) == Strings{"192.0.2.1"});
}

TEST_CASE("only records at the end of the CNAME chain are used") {
  SUBCASE("in order") {
    const DnsAnswer answer = Decode(Message(kQueryA)
                                        .Cname("@", "a.example", 20)
                                        .Cname("a.example", "b.example", 10)
                                        .A("b.example", "192.0.2.1", 30)
                                        .bytes,
                                    kQueryA);
    CHECK(Texts(answer) == Strings{"192.0.2.1"});
    CHECK(answer.ttl == 10s);
  }
  SUBCASE("in any order") {
    const DnsAnswer answer = Decode(Message(kQueryA)
                                        .A("c.example", "192.0.2.1")
                                        .Cname("b.example", "c.example")
                                        .Cname("a.example", "b.example")
                                        .Cname("@", "a.example")
                                        .bytes,
                                    kQueryA);
    CHECK(Texts(answer) == Strings{"192.0.2.1"});
  }
  SUBCASE("records of other names, types and classes are ignored") {
    const DnsAnswer answer = Decode(Message(kQueryA)
                                        .A("evil.example", "203.0.113.1")
                                        .Cname("@", "a.example")
                                        .A("@", "203.0.113.2")
                                        .Aaaa("a.example", "2001:db8::1")
                                        .Record(0, "a.example", kTypeA, 300, {203, 0, 113, 3}, 3)
                                        .A("a.example", "192.0.2.1")
                                        .bytes,
                                    kQueryA);
    CHECK(Texts(answer) == Strings{"192.0.2.1"});
  }
  SUBCASE("the authority section is ignored") {
    CHECK(Decode(Message(kQueryA).Record(1, "@", kTypeA, 300, {203, 0, 113, 1}).bytes, kQueryA).kind ==
          Kind::kNoAddress);
  }
  SUBCASE("a loop is a failure") {
    const Message circle = Message(kQueryA).Cname("@", "a.example").Cname("a.example", "www.example");
    CHECK(Decode(circle.bytes, kQueryA).kind == Kind::kFailure);
  }
  SUBCASE("the length of a chain is bounded") {
    for (const std::size_t aliases : {kAliasesMax, kAliasesMax + 1}) {
      Message chain(kQueryA);
      std::string name = "@";
      for (std::size_t alias = 1; alias <= aliases; ++alias) {
        const std::string target = 'c' + std::to_string(alias) + ".example";
        chain.Cname(name, target);
        name = target;
      }
      chain.A(name, "192.0.2.1");
      CHECK(Decode(chain.bytes, kQueryA).kind == (aliases == kAliasesMax ? Kind::kAddresses : Kind::kFailure));
    }
  }
}

TEST_CASE("addresses beyond the limit are left out") {
  Message message(kQueryA);
  for (int last = 1; last <= 100; ++last) message.A("@", "192.0.2." + std::to_string(last));
  const DnsAnswer answer = Decode(message.bytes, kQueryA);
  CHECK(answer.count == kAddressesPerName);
}

TEST_CASE("NXDOMAIN and no data are told apart, and both expire by RFC 2308") {
  const auto negative = [](std::uint16_t flags, std::uint32_t ttl, std::uint32_t minimum) {
    return Decode(Message(kQueryA, flags).Soa(ttl, minimum).bytes, kQueryA);
  };
  CHECK(negative(0x8183, 60, 30).kind == Kind::kNoName);
  CHECK(negative(0x8180, 60, 30).kind == Kind::kNoAddress);
  CHECK(negative(0x8183, 60, 30).ttl == 30s);
  CHECK(negative(0x8183, 20, 30).ttl == 20s);
  CHECK(negative(0x8180, 20, 30).ttl == 20s);
  CHECK(negative(0x8183, 999'999, 999'999).ttl == kNoNameTtlMax);
  CHECK(Decode(Message(kQueryA, 0x8183).bytes, kQueryA).ttl == 0s);
  // The TTL of the alias bounds that of its missing target.
  const Message alias = Message(kQueryA, 0x8183).Cname("@", "a.example", 5).Soa(60, 60);
  CHECK(Decode(alias.bytes, kQueryA).kind == Kind::kNoName);
  CHECK(Decode(alias.bytes, kQueryA).ttl == 5s);
  // A truncated SOA is ignored.
  CHECK(Decode(Message(kQueryA, 0x8183).Record(1, "example", kTypeSoa, 60, {0, 0, 1, 2}).bytes, kQueryA).ttl == 0s);
}

TEST_CASE("other RCODEs are failures of the server") {
  for (const int rcode : {1, 2, 4, 5, 9, 15}) {
    CAPTURE(rcode);
    CHECK(Decode(Message(kQueryA, static_cast<std::uint16_t>(0x8180 | rcode)).bytes, kQueryA).kind == Kind::kFailure);
  }
}

TEST_CASE("a refusal may omit the question, and nothing else may") {
  for (int rcode = 0; rcode < 16; ++rcode) {
    CAPTURE(rcode);
    Message header(kQueryA, static_cast<std::uint16_t>(0x8180 | rcode));
    header.bytes.resize(12);
    header.Set16(4, 0);
    const bool refusal = rcode == 1 || rcode == 2 || rcode == 4 || rcode == 5;
    CHECK(Decode(header.bytes, kQueryA).kind == (refusal ? Kind::kFailure : Kind::kForeign));
    header.Set16(4, 1);  // one question, which is not there
    CHECK(Decode(header.bytes, kQueryA).kind == Kind::kForeign);
    header.Set16(4, 0);
    header.Set16(0, kId + 1);
    CHECK(Decode(header.bytes, kQueryA).kind == Kind::kForeign);
    header.Set16(0, kId);
    header.Set16(2, static_cast<std::uint16_t>(0x0180 | rcode));  // a query
    CHECK(Decode(header.bytes, kQueryA).kind == Kind::kForeign);
  }
}

TEST_CASE("TC is recognised wherever the message was cut after its question") {
  const Bytes whole = Message(kQueryA, 0x8380).A("@", "192.0.2.1").A("@", "192.0.2.2").bytes;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    CAPTURE(size);
    const Bytes cut(whole.begin(), whole.begin() + static_cast<long>(size));
    CHECK(Decode(cut, kQueryA).kind == (size < kQueryA.size ? Kind::kForeign : Kind::kTruncated));
  }
}

TEST_CASE("a message that does not answer the query is foreign") {
  const Message good = Message(kQueryA).A("@", "192.0.2.1");
  REQUIRE(Decode(good.bytes, kQueryA).kind == Kind::kAddresses);
  const auto foreign = [&](auto change) {
    Message message = good;
    change(message);
    return Decode(message.bytes, kQueryA).kind == Kind::kForeign;
  };
  CHECK(foreign([](Message& message) { message.Set16(0, kId + 1); }));
  CHECK(foreign([](Message& message) { message.Set16(2, 0x0180); }));  // a query
  CHECK(foreign([](Message& message) { message.Set16(2, 0xa980); }));  // another OPCODE
  CHECK(foreign([](Message& message) { message.Set16(4, 0); }));
  CHECK(foreign([](Message& message) { message.Set16(4, 2); }));
  CHECK(foreign([](Message& message) { message.Set16(25, kTypeAaaa); }));  // QTYPE
  CHECK(foreign([](Message& message) { message.Set16(27, 3); }));          // QCLASS
  CHECK(foreign([](Message& message) { message.bytes.push_back(0); }));
  CHECK(Decode(Message(kQueryAaaa).A("@", "192.0.2.1").bytes, kQueryA).kind == Kind::kForeign);
  CHECK(Decode(good.bytes, EncodeQuery("wwx.example", DnsType::kA, kId)).kind == Kind::kForeign);
  CHECK(Decode(good.bytes, EncodeQuery("www.example.example", DnsType::kA, kId)).kind == Kind::kForeign);
  CHECK(Decode(good.bytes, EncodeQuery("example", DnsType::kA, kId)).kind == Kind::kForeign);
  CHECK(Decode(good.bytes, DnsQuery{}).kind == Kind::kForeign);
  CHECK(Decode({}, kQueryA).kind == Kind::kForeign);
}

TEST_CASE("an address of the wrong size makes a message malformed") {
  CHECK(Decode(Message(kQueryA).Record(0, "@", kTypeA, 300, {192, 0, 2}).bytes, kQueryA).kind == Kind::kForeign);
  CHECK(Decode(Message(kQueryA).Record(0, "@", kTypeA, 300, Bytes(16)).bytes, kQueryA).kind == Kind::kForeign);
  CHECK(Decode(Message(kQueryAaaa).Record(0, "@", kTypeAaaa, 300, Bytes(4)).bytes, kQueryAaaa).kind == Kind::kForeign);
}

TEST_CASE("a message truncated anywhere is foreign") {
  for (const auto& [query, whole] : GoodMessages()) {
    REQUIRE(Decode(whole, query).kind != Kind::kForeign);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      REQUIRE(Decode({whole.begin(), whole.begin() + static_cast<long>(size)}, query).kind == Kind::kForeign);
    }
  }
}

TEST_CASE("no change of one byte yields addresses for another question") {
  const auto letter = [](std::uint8_t byte) { return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'; };
  for (const auto& [query, whole] : GoodMessages()) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      Bytes changed = whole;
      for (int flip = 1; flip < 256; ++flip) {
        changed[at] = static_cast<std::uint8_t>(whole[at] ^ flip);
        const DnsAnswer answer = Decode(changed, query);
        const bool about_question = at < 2 || at == 4 || at == 5 || (at >= kDnsHeaderBytes && at < query.size);
        const bool case_only = at >= kDnsHeaderBytes && flip == 0x20 && letter(whole[at]);
        if (about_question && !case_only) {
          CAPTURE(at);
          CAPTURE(flip);
          REQUIRE(answer.kind == Kind::kForeign);
        }
        REQUIRE((answer.count == 0) == (answer.kind != Kind::kAddresses));
        REQUIRE(answer.ttl <= kNameTtlMax);
      }
    }
  }
}

TEST_CASE("compression pointers that form a loop are rejected") {
  Message message(kQueryA);
  const std::size_t at = message.bytes.size();
  message.A("@", "192.0.2.1");
  message.Set16(at, static_cast<std::uint16_t>(0xc000 | at));  // the owner points at itself
  CHECK(Decode(message.bytes, kQueryA).kind == Kind::kForeign);
  message.Set16(at, 0xffff);
  CHECK(Decode(message.bytes, kQueryA).kind == Kind::kForeign);
}

TEST_CASE("a message of maximal size is decoded in bounded time") {
  Message message(kQueryA);
  std::uint16_t records = 0;
  while (message.bytes.size() < 65'000) {
    message.Cname("x" + std::to_string(records) + ".example", "www.example");
    ++records;
  }
  message.Set16(6, records);
  CHECK(Decode(message.bytes, kQueryA).kind == Kind::kNoAddress);
}

}  // namespace penstock
