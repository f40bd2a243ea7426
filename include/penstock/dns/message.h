// DNS messages (RFC 1035 section 4): making a query for addresses, and reading what comes back, with libresolv.
// Pure functions over bytes and plain values, any thread.
// Invariant: nothing is taken from a message that does not answer exactly the query it is held against: same ID, same
// question; and from one that does, only records which the CNAME chain from the question leads to. The one exception
// gives nothing away: that the server will not answer is believed by the ID alone, for some say so without the
// question. Deliberately not here: sockets, retries, and any record but A, AAAA, CNAME and SOA. No EDNS (RFC 6891):
// the answers asked for here rarely pass 512 bytes, those that do come over TCP, and there is one thing less for a
// middlebox to drop.
//
//   message    ID | QR, OPCODE, AA, TC, RD, RA, RCODE | 4 counts | question | answers | authority | additional
//   question   QNAME | QTYPE | QCLASS=IN
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"

namespace penstock {

// A name in the form in which names are compared: lower case (RFC 4343: ASCII only), without the final dot.
class NameText {
 public:
  // `name` passed IsHostName.
  explicit NameText(std::string_view name);

  // name.suffix. Empty when that is too long for a name.
  NameText(std::string_view name, std::string_view suffix);

  std::string_view view() const { return {text_.data(), size_}; }

 private:
  void Append(std::string_view text);

  std::size_t size_ = 0;
  std::array<char, kNameBytesMax> text_;
};

enum class DnsType : std::uint16_t {
  kA = 1,      // RFC 1035 section 3.2.2
  kAaaa = 28,  // RFC 3596 section 2.1
};

inline constexpr std::size_t kDnsHeaderBytes = 12;
inline constexpr std::size_t kDnsQueryBytesMax = kDnsHeaderBytes + 255 + 2 + 2;  // RFC 1035 section 2.3.4

struct DnsQuery {
  std::array<std::uint8_t, kDnsQueryBytesMax> bytes;
  std::size_t size = 0;

  std::span<const std::uint8_t> message() const { return std::span(bytes).first(size); }
};

// Empty when `name` cannot be asked for. That includes every name with a backslash: libresolv would read an escape
// (RFC 1035 section 5.1), and so ask for another name than the client wrote.
DnsQuery EncodeQuery(std::string_view name, DnsType type, std::uint16_t id);

struct DnsAnswer {
  enum class Kind : std::uint8_t {
    kForeign,    // no answer to this query, or malformed: whoever waits goes on waiting
    kTruncated,  // TC: ask again over TCP (RFC 7766 section 5)
    kAddresses,
    kNoName,     // NXDOMAIN
    kNoAddress,  // the name exists, but has no address of this type
    kFailure,    // SERVFAIL, REFUSED and kin, or a CNAME chain without an end: another server may know better
  };
  Kind kind = Kind::kForeign;
  // How long it may be remembered: kAddresses, kNoName, kNoAddress. Bounded by kNameTtlMax and kNoNameTtlMax.
  std::chrono::seconds ttl{0};
  std::array<IpAddress, kAddressesPerName> addresses;  // kAddresses: the first ones of the answer
  std::size_t count = 0;

  std::span<const IpAddress> list() const { return std::span(addresses).first(count); }
};

DnsAnswer DecodeAnswer(std::span<const std::uint8_t> message, const DnsQuery& query);

}  // namespace penstock
