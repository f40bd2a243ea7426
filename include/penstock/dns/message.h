// DNS messages (RFC 1035 section 4), with libresolv: encodes a query for addresses, decodes the answer to it.
// Pure functions over bytes and plain values; any thread.
// Invariant: only an answer with the query's ID and question is used, and of it only the records that the CNAME chain
// from the question leads to. One exception: a refusal (REFUSED, NOTIMP, FORMERR) is believed by its ID alone, because
// some servers send it without the question, and a forged one yields no address.
// Does not: use sockets, retry, read records other than A, AAAA, CNAME and SOA. No EDNS (RFC 6891): address answers
// rarely exceed 512 bytes, longer ones come over TCP, and some middleboxes drop EDNS.
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

// A name in canonical form, for comparing: lower case (RFC 4343: ASCII only), without the final dot.
class NameText {
 public:
  // `name` passed IsHostName.
  explicit NameText(std::string_view name);

  // NAME.SUFFIX; empty if that is too long for a name.
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

// The query has size 0 if `name` cannot be encoded. That includes every name with a backslash: libresolv reads it as an
// escape (RFC 1035 section 5.1) and would query another name than the client sent.
DnsQuery EncodeQuery(std::string_view name, DnsType type, std::uint16_t id);

struct DnsAnswer {
  enum class Kind : std::uint8_t {
    kForeign,    // not an answer to this query, or malformed: keep waiting
    kTruncated,  // TC: retry over TCP (RFC 7766 section 5)
    kAddresses,
    kNoName,     // NXDOMAIN
    kNoAddress,  // the name exists, but has no address of this type
    kFailure,    // SERVFAIL, REFUSED and others, or a CNAME loop: try another server
  };
  Kind kind = Kind::kForeign;
  // How long it may be cached; set for kAddresses, kNoName and kNoAddress. Bounded by kNameTtlMax and kNoNameTtlMax.
  std::chrono::seconds ttl{0};
  std::array<IpAddress, kAddressesPerName> addresses;  // kAddresses: the first of the answer
  std::size_t count = 0;

  std::span<const IpAddress> list() const { return std::span(addresses).first(count); }
};

// Decodes `message`, any bytes from the network, as the answer to `query`.
DnsAnswer DecodeAnswer(std::span<const std::uint8_t> message, const DnsQuery& query);

}  // namespace penstock
