// Contents of resolv.conf and of the hosts file: the same text is parsed as both.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "penstock/base/endpoint.h"
#include "penstock/dns/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const penstock::ResolvConf conf = penstock::ParseResolvConf(text);
  if (conf.servers.empty() || conf.servers.size() > penstock::kNameServersMax) std::abort();
  if (conf.search.size() > penstock::kSearchMax || conf.attempts < 1 || conf.timeout.count() < 1) std::abort();
  for (const std::string& domain : conf.search) {
    if (!penstock::IsHostName(domain)) std::abort();
  }

  const penstock::Hosts hosts(text);
  for (const char* name : {"", "localhost", "www", "www.example", "zzz"}) {
    const auto answer = hosts.Find(name);
    if (answer && (answer->count == 0 || answer->status != penstock::NameStatus::kFound)) std::abort();
  }
  return 0;
}
