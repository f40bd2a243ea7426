#include "penstock/dns/message.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>

#include "penstock/base/bytes.h"
#include "penstock/base/text.h"

namespace penstock {
namespace {

static_assert(static_cast<int>(DnsType::kA) == ns_t_a && static_cast<int>(DnsType::kAaaa) == ns_t_aaaa);

// A name as libresolv writes it out of a message.
using ExpandedName = std::array<char, NS_MAXDNAME>;

// Of bytes, or of characters.
constexpr auto kSameLetter = [](auto a, auto b) {
  return LowerCase(static_cast<char>(a)) == LowerCase(static_cast<char>(b));
};

// For texts that libresolv wrote, which writes a name in one way only (besides case).
bool SameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), kSameLetter);
}

// RFC 1035 section 4.1.1.
constexpr std::uint16_t kFlagQr = 0x8000;
constexpr std::uint16_t kFlagTc = 0x0200;
constexpr int OpcodeOf(std::uint16_t flags) { return flags >> 11 & 0xf; }
constexpr int RcodeOf(std::uint16_t flags) { return flags & 0xf; }

// RFC 2181 section 8: a TTL with the highest bit set is to be read as zero.
std::chrono::seconds TtlOf(std::uint32_t ttl) { return std::chrono::seconds(ttl > 0x7fffffff ? 0 : ttl); }

// What comes before the question of a message that answers `asked`, by its ID.
struct AnswerHead {
  std::uint16_t flags;
  std::uint16_t questions;
};

std::optional<AnswerHead> HeadOfAnswer(std::span<const std::uint8_t> message, std::span<const std::uint8_t> asked) {
  if (asked.empty() || message.size() < kDnsHeaderBytes) return std::nullopt;
  ByteReader reader(message);
  const std::uint16_t id = reader.U16();
  const AnswerHead head{reader.U16(), reader.U16()};
  if (id != ByteReader(asked).U16()) return std::nullopt;
  if ((head.flags & kFlagQr) == 0 || OpcodeOf(head.flags) != ns_o_query) return std::nullopt;
  return head;
}

// Names are compared as bytes without regard to case: a question has nothing before it that its name could be
// compressed with, and no byte besides letters is changed by folding (lengths of labels are below 64, type and class
// below 'A').
bool RepeatsQuestion(std::span<const std::uint8_t> message, std::span<const std::uint8_t> asked) {
  if (message.size() < asked.size()) return false;
  const auto question = asked.subspan(kDnsHeaderBytes);
  return std::equal(question.begin(), question.end(), message.begin() + kDnsHeaderBytes, kSameLetter);
}

// The codes with which a server may leave the question out, because it did not read or would not serve it.
bool RefusesToAnswer(int rcode) {
  return rcode == ns_r_formerr || rcode == ns_r_servfail || rcode == ns_r_notimpl || rcode == ns_r_refused;
}

bool Expand(const ns_msg& parsed, const std::uint8_t* at, ExpandedName& name) {
  return ::dn_expand(ns_msg_base(parsed), ns_msg_end(parsed), at, name.data(), static_cast<int>(name.size())) >= 0;
}

// Calls `visit(const ns_rr&)` for the records of a section, until it returns false. Returns false when a record is
// malformed or `visit` said so.
template <class Visit>
bool ForEachRecord(ns_msg& parsed, ns_sect section, Visit visit) {
  const int count = std::min<int>(ns_msg_count(parsed, section), kRecordsMax);
  for (int index = 0; index < count; ++index) {
    ns_rr record;
    if (::ns_parserr(&parsed, section, index, &record) != 0) return false;
    if (!visit(record)) return false;
  }
  return true;
}

bool IsAbout(const ns_rr& record, int type, const ExpandedName& name) {
  return ns_rr_type(record) == type && ns_rr_class(record) == ns_c_in && SameName(record.name, name.data());
}

enum class Chain : std::uint8_t { kWhole, kMalformed, kEndless };

// Follows the aliases from `name` on, which becomes the last one, and lowers `ttl` to theirs. Servers send a chain in
// its order, but need not: the section is read again for as long as it leads further.
Chain FollowAliases(ns_msg& parsed, ExpandedName& name, std::chrono::seconds& ttl) {
  std::size_t aliases = 0;
  for (std::size_t before = 1; before != aliases && aliases <= kAliasesMax;) {
    before = aliases;
    const bool good = ForEachRecord(parsed, ns_s_an, [&](const ns_rr& record) {
      if (!IsAbout(record, ns_t_cname, name)) return true;
      ttl = std::min(ttl, TtlOf(ns_rr_ttl(record)));
      return ++aliases > kAliasesMax || Expand(parsed, ns_rr_rdata(record), name);
    });
    if (!good) return Chain::kMalformed;
  }
  return aliases > kAliasesMax ? Chain::kEndless : Chain::kWhole;
}

// The addresses of `name`; false when one of them is malformed.
bool TakeAddresses(ns_msg& parsed, DnsType type, const ExpandedName& name, DnsAnswer& answer) {
  return ForEachRecord(parsed, ns_s_an, [&](const ns_rr& record) {
    if (!IsAbout(record, static_cast<int>(type), name)) return true;
    const std::span rdata(ns_rr_rdata(record), ns_rr_rdlen(record));
    if (rdata.size() != (type == DnsType::kA ? 4 : 16)) return false;
    answer.ttl = std::min(answer.ttl, TtlOf(ns_rr_ttl(record)));
    if (answer.count == answer.addresses.size()) return true;
    answer.addresses[answer.count++] =
        type == DnsType::kA ? IpAddress::FromV4(rdata.first<4>()) : IpAddress::FromV6(rdata.first<16>());
    return true;
  });
}

// For how long a name without addresses may be believed in: the lesser of the SOA's own TTL and its MINIMUM field (RFC
// 2308 section 5). Zero without an SOA: such an answer is not to be remembered.
std::chrono::seconds NegativeTtl(ns_msg& parsed) {
  std::chrono::seconds ttl{0};
  ForEachRecord(parsed, ns_s_ns, [&](const ns_rr& record) {
    if (ns_rr_type(record) != ns_t_soa || ns_rr_class(record) != ns_c_in) return true;
    // MNAME, RNAME, then SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM (RFC 1035 section 3.3.13).
    const std::uint8_t* at = ns_rr_rdata(record);
    const std::uint8_t* const end = at + ns_rr_rdlen(record);
    for (int names = 0; names < 2; ++names) {
      const int bytes = ::dn_skipname(at, end);
      if (bytes < 0) return false;
      at += bytes;
    }
    if (end - at != 5 * 4) return false;
    const auto minimum = static_cast<std::uint32_t>(::ns_get32(at + 4 * 4));
    ttl = std::min(TtlOf(ns_rr_ttl(record)), TtlOf(minimum));
    return false;
  });
  return ttl;
}

// What a whole message says that answers the query and carries no error.
DnsAnswer DecodeRecords(ns_msg& parsed, int rcode) {
  ExpandedName name;
  ns_rr question;
  if (::ns_parserr(&parsed, ns_s_qd, 0, &question) != 0) return {};
  std::memcpy(name.data(), question.name, std::min(name.size(), sizeof question.name));
  DnsAnswer answer;
  answer.ttl = kNameTtlMax;
  switch (FollowAliases(parsed, name, answer.ttl)) {
    case Chain::kWhole:
      break;
    case Chain::kMalformed:
      return {};
    case Chain::kEndless:
      answer.kind = DnsAnswer::Kind::kFailure;
      return answer;
  }
  if (!TakeAddresses(parsed, static_cast<DnsType>(ns_rr_type(question)), name, answer)) return {};
  if (rcode == ns_r_noerror && answer.count > 0) {
    answer.kind = DnsAnswer::Kind::kAddresses;
    return answer;
  }
  // NXDOMAIN is about the end of the chain (RFC 2308 section 2.1).
  answer.count = 0;
  answer.kind = rcode == ns_r_noerror ? DnsAnswer::Kind::kNoAddress : DnsAnswer::Kind::kNoName;
  answer.ttl = std::min({answer.ttl, NegativeTtl(parsed), kNoNameTtlMax});
  return answer;
}

}  // namespace

NameText::NameText(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  assert(name.size() <= text_.size());
  Append(name);
}

NameText::NameText(std::string_view name, std::string_view suffix) {
  if (name.size() + 1 + suffix.size() > text_.size()) return;
  Append(name);
  Append(".");
  Append(suffix);
}

void NameText::Append(std::string_view text) {
  for (const char c : text) text_[size_++] = LowerCase(c);
}

DnsQuery EncodeQuery(std::string_view name, DnsType type, std::uint16_t id) {
  DnsQuery query;
  std::array<char, kNameBytesMax + 2> terminated;
  if (name.size() >= terminated.size() || name.find('\\') != std::string_view::npos) return query;
  terminated[name.copy(terminated.data(), name.size())] = '\0';
  // Not res_ninit(3), which would read resolv.conf: making a query takes nothing from the state but its options.
  struct __res_state state {};
  state.options = RES_RECURSE;
  const int size = ::res_nmkquery(&state, ns_o_query, terminated.data(), ns_c_in, static_cast<int>(type), nullptr, 0,
                                  nullptr, query.bytes.data(), static_cast<int>(query.bytes.size()));
  if (size <= static_cast<int>(kDnsHeaderBytes)) return query;
  query.size = static_cast<std::size_t>(size);
  // libresolv's own ID is taken from the clock; an ID must not be guessed (RFC 5452 section 4.3).
  ByteWriter(query.bytes).U16(id);
  return query;
}

DnsAnswer DecodeAnswer(std::span<const std::uint8_t> message, const DnsQuery& query) {
  DnsAnswer answer;
  const auto head = HeadOfAnswer(message, query.message());
  if (!head) return answer;
  const int rcode = RcodeOf(head->flags);
  if (head->questions == 0 && RefusesToAnswer(rcode)) {
    answer.kind = DnsAnswer::Kind::kFailure;
    return answer;
  }
  if (head->questions != 1 || !RepeatsQuestion(message, query.message())) return answer;
  // Before the records are looked at: a server may cut a message anywhere.
  if ((head->flags & kFlagTc) != 0) {
    answer.kind = DnsAnswer::Kind::kTruncated;
    return answer;
  }
  if (rcode != ns_r_noerror && rcode != ns_r_nxdomain) {
    answer.kind = DnsAnswer::Kind::kFailure;
    return answer;
  }
  ns_msg parsed;
  if (message.size() > NS_MAXMSG || ::ns_initparse(message.data(), static_cast<int>(message.size()), &parsed) != 0) {
    return answer;
  }
  return DecodeRecords(parsed, rcode);
}

}  // namespace penstock
