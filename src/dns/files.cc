#include "penstock/dns/files.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "penstock/base/text.h"
#include "penstock/dns/cache.h"
#include "penstock/dns/message.h"

namespace penstock {
namespace {

constexpr std::uint16_t kDnsPort = 53;

// The limits of resolv.conf(5): RES_MAXRETRANS, RES_MAXRETRY, RES_MAXNDOTS.
constexpr std::size_t kTimeoutMax = 30;
constexpr std::size_t kAttemptsMax = 5;
constexpr std::size_t kNdotsMax = 15;

bool IsComment(std::string_view word) { return word.starts_with('#') || word.starts_with(';'); }

std::optional<Endpoint> ParseServer(std::string_view word) {
  if (const auto with_port = Endpoint::Parse(word)) return with_port;
  if (const auto ip = IpAddress::Parse(word)) return Endpoint{*ip, kDnsPort};
  return Endpoint::Parse('[' + std::string(word) + "]:" + std::to_string(kDnsPort));  // fe80::1%eth0
}

void ParseSearch(std::string_view words, std::size_t domains_max, std::vector<std::string>& search) {
  search.clear();
  for (std::string_view word = TakeWord(words); !word.empty() && !IsComment(word); word = TakeWord(words)) {
    // "." stands for the name as it is, which is tried anyway.
    if (search.size() < domains_max && IsHostName(word)) search.emplace_back(NameText(word).view());
  }
}

// The number in "timeout:3"; like glibc, a number above `max` counts as `max`.
std::optional<std::size_t> OptionNumber(std::string_view option, std::string_view key, std::size_t max) {
  if (!option.starts_with(key)) return std::nullopt;
  std::size_t number = 0;
  const std::string_view digits = option.substr(key.size());
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (end == digits.data()) return std::nullopt;
  return error == std::errc{} ? std::min(number, max) : max;
}

void ParseOptions(std::string_view words, ResolvConf& conf) {
  for (std::string_view word = TakeWord(words); !word.empty() && !IsComment(word); word = TakeWord(words)) {
    if (word == "rotate") conf.rotate = true;
    if (const auto ndots = OptionNumber(word, "ndots:", kNdotsMax)) conf.ndots = *ndots;
    if (const auto timeout = OptionNumber(word, "timeout:", kTimeoutMax)) {
      conf.timeout = std::chrono::seconds(std::max<std::size_t>(*timeout, 1));
    }
    if (const auto attempts = OptionNumber(word, "attempts:", kAttemptsMax)) {
      conf.attempts = static_cast<int>(std::max<std::size_t>(*attempts, 1));
    }
  }
}

}  // namespace

ResolvConf ParseResolvConf(std::string_view text) {
  ResolvConf conf;
  while (!text.empty()) {
    std::string_view line = TakeLine(text);
    const std::string_view keyword = TakeWord(line);
    if (keyword == "nameserver") {
      const auto server = ParseServer(TakeWord(line));
      if (server && conf.servers.size() < kNameServersMax) conf.servers.push_back(*server);
    } else if (keyword == "search") {
      ParseSearch(line, kSearchMax, conf.search);
    } else if (keyword == "domain") {
      ParseSearch(line, 1, conf.search);
    } else if (keyword == "options") {
      ParseOptions(line, conf);
    }
  }
  if (conf.servers.empty()) conf.servers.push_back({*IpAddress::Parse("127.0.0.1"), kDnsPort});
  return conf;
}

Hosts::Hosts(std::string text) : text_(std::move(text)) {
  std::string_view rest = text_;
  while (!rest.empty()) AddLine(TakeLine(rest));
  std::ranges::stable_sort(entries_, {}, [this](const Entry& entry) { return NameOf(entry); });
  entries_.shrink_to_fit();
}

void Hosts::AddLine(std::string_view line) {
  line = line.substr(0, line.find('#'));
  // hosts(5) has no scopes: "fe80::1%lo0", found on other systems, is skipped.
  const auto address = IpAddress::Parse(TakeWord(line));
  if (!address) return;
  for (std::string_view word = TakeWord(line); !word.empty(); word = TakeWord(line)) {
    if (!IsHostName(word)) continue;
    const NameText name(word);
    const auto offset = static_cast<std::size_t>(word.data() - text_.data());
    text_.replace(offset, name.view().size(), name.view());  // lower case; the same size, so `line` stays valid
    entries_.push_back({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(name.view().size()), *address});
  }
}

std::string_view Hosts::NameOf(const Entry& entry) const {
  return std::string_view(text_).substr(entry.offset, entry.bytes);
}

std::optional<NameAnswer> Hosts::Find(std::string_view name) const {
  const auto before = [this](const Entry& entry, std::string_view sought) { return NameOf(entry) < sought; };
  auto entry = std::lower_bound(entries_.begin(), entries_.end(), name, before);
  if (entry == entries_.end() || NameOf(*entry) != name) return std::nullopt;
  FamilyAnswer ipv6{NameStatus::kFound, {}};
  FamilyAnswer ipv4{NameStatus::kFound, {}};
  for (; entry != entries_.end() && NameOf(*entry) == name; ++entry) {
    auto& addresses = entry->address.is_v4() ? ipv4.addresses : ipv6.addresses;
    if (addresses.size() == kAddressesPerName) continue;
    if (std::ranges::find(addresses, entry->address) == addresses.end()) addresses.push_back(entry->address);
  }
  return Combine(&ipv6, &ipv4);
}

NameFiles::NameFiles(std::string resolv_conf, std::string hosts_file)
    : resolv_conf_file_{std::move(resolv_conf)}, hosts_file_{std::move(hosts_file)}, text_(NameFilesText()) {
  Refresh();
}

void NameFiles::Refresh() {
  auto conf = ReadChanged(resolv_conf_file_, kResolvConfBytesMax);
  auto hosts = ReadChanged(hosts_file_, kHostsBytesMax);
  if (!conf && !hosts) return;
  NameFilesText next = *text_.Take();
  if (conf) next.resolv_conf = ParseResolvConf(*conf);
  if (hosts) next.hosts = Hosts(std::move(*hosts));
  text_.Put(std::move(next));
}

void NameFiles::Run() {
  while (!stop_.WaitFor(kNameFilesInterval)) Refresh();
}

// The file's text if it has changed since the last call and can be read.
std::optional<std::string> NameFiles::ReadChanged(Watched& file, std::size_t bytes_max) {
  const FileStamp stamp = StampOf(file.path);
  if (stamp == file.stamp) return std::nullopt;
  bool missing = false;
  auto text = ReadFile(file.path, bytes_max, nullptr, &missing);
  if (missing) text.emplace();
  if (text) file.stamp = stamp;
  return text;
}

}  // namespace penstock
