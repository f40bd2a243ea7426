// Messages of a name server. The first byte chooses the type of the query; the rest is the message.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "penstock/dns/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using penstock::DnsAnswer;
  if (size == 0) return 0;
  const auto type = data[0] % 2 == 0 ? penstock::DnsType::kA : penstock::DnsType::kAaaa;
  const penstock::DnsQuery query = penstock::EncodeQuery("www.example", type, 0x1234);
  const std::span message(data + 1, size - 1);
  const DnsAnswer answer = penstock::DecodeAnswer(message, query);

  const bool found = answer.kind == DnsAnswer::Kind::kAddresses;
  if (found != (answer.count > 0) || answer.count > penstock::kAddressesPerName) std::abort();
  if (answer.ttl.count() < 0 || answer.ttl > penstock::kNameTtlMax) std::abort();
  const bool has_id = message.size() >= penstock::kDnsHeaderBytes && message[0] == 0x12 && message[1] == 0x34;
  const bool may_answer = has_id && message.size() >= query.size;
  const bool may_refuse = has_id && answer.kind == DnsAnswer::Kind::kFailure;  // REFUSED may lack the question
  if (!may_answer && !may_refuse && answer.kind != DnsAnswer::Kind::kForeign) std::abort();
  return 0;
}
