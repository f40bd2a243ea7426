#include "test/support/dns_server.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>

#include "penstock/base/bytes.h"
#include "penstock/base/limits.h"
#include "test/support/wait.h"

namespace penstock::test {
namespace {

using Bytes = DnsServer::Bytes;

constexpr std::uint16_t kQr = 0x8000;
constexpr std::uint16_t kTc = 0x0200;
constexpr std::uint16_t kRdRa = 0x0180;
constexpr std::uint16_t kServFail = 2;
constexpr std::uint16_t kNxDomain = 3;
constexpr std::uint16_t kRefusedCode = 5;
constexpr std::uint16_t kCname = 5;
constexpr std::uint16_t kSoa = 6;

std::string Lower(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

void Require(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::abort();
}

Fd Bound(int type, Endpoint& at) {
  Fd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  Require(socket.valid(), "socket");
  sockaddr_storage address;
  socklen_t size = at.ToSockaddr(&address);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return Fd();
  Require(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  at = Endpoint::FromSockaddr(address);
  return socket;
}

void Put16(Bytes& bytes, std::size_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value >> 8));
  bytes.push_back(static_cast<std::uint8_t>(value));
}

void Put32(Bytes& bytes, std::chrono::seconds value) {
  Put16(bytes, static_cast<std::size_t>(value.count()) >> 16 & 0xffff);
  Put16(bytes, static_cast<std::size_t>(value.count()) & 0xffff);
}

void PutName(Bytes& bytes, std::string_view name) {
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    bytes.push_back(static_cast<std::uint8_t>(label.size()));
    bytes.insert(bytes.end(), label.begin(), label.end());
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  bytes.push_back(0);
}

void PutRecord(Bytes& bytes, std::string_view name, std::uint16_t type, std::chrono::seconds ttl, const Bytes& rdata) {
  PutName(bytes, name);
  Put16(bytes, type);
  Put16(bytes, 1);  // IN
  Put32(bytes, ttl);
  Put16(bytes, rdata.size());
  bytes.insert(bytes.end(), rdata.begin(), rdata.end());
}

void Set16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

bool ReceiveAll(int stream, Bytes& room) {
  std::size_t filled = 0;
  while (filled < room.size()) {
    const ssize_t got = ::recv(stream, room.data() + filled, room.size() - filled, 0);
    if (got <= 0) return false;
    filled += static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

DnsServer::DnsServer() {
  // The UDP port may be in use for TCP; then another one is tried.
  do {
    endpoint_ = *Endpoint::Parse("127.0.0.1:0");
    datagrams_ = Bound(SOCK_DGRAM, endpoint_);
    Require(datagrams_.valid(), "bind");
    listener_ = Bound(SOCK_STREAM, endpoint_);
  } while (!listener_.valid());
  Require(::listen(listener_.get(), 64) == 0, "listen");
  Endpoint other = *Endpoint::Parse("127.0.0.1:0");
  other_source_ = Bound(SOCK_DGRAM, other);
  int ends[2];
  Require(::pipe(ends) == 0, "pipe");
  stop_read_ = Fd(ends[0]);
  stop_write_ = Fd(ends[1]);
  thread_ = std::thread([this] { Serve(); });
}

DnsServer::~DnsServer() {
  stop_write_.Close();
  thread_.join();
}

std::string DnsServer::ResolvConf(std::string_view options, const std::vector<Endpoint>& more) const {
  std::string text = "nameserver " + endpoint_.ToString() + '\n';
  for (const Endpoint& server : more) text += "nameserver " + server.ToString() + '\n';
  if (!options.empty()) text.append("options ").append(options).append("\n");
  return text;
}

void DnsServer::Add(std::string_view name, std::string_view address, std::chrono::seconds ttl) {
  const std::scoped_lock lock(mutex_);
  records_[Lower(name)].addresses.emplace_back(IpAddress::Parse(address).value(), ttl);
}

void DnsServer::Alias(std::string_view name, std::string_view target, std::chrono::seconds ttl) {
  const std::scoped_lock lock(mutex_);
  records_[Lower(name)].alias = Lower(target);
  records_[Lower(name)].alias_ttl = ttl;
}

void DnsServer::Remove(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  records_.erase(Lower(name));
}

void DnsServer::SetSoa(std::chrono::seconds ttl, std::chrono::seconds minimum) {
  const std::scoped_lock lock(mutex_);
  soa_ttl_ = ttl;
  soa_minimum_ = minimum;
}

void DnsServer::Behave(std::string_view name, Behaviour behaviour) {
  const std::scoped_lock lock(mutex_);
  by_name_[Lower(name)] = behaviour;
}

void DnsServer::Behave(std::string_view name, DnsType type, Behaviour behaviour) {
  const std::scoped_lock lock(mutex_);
  by_name_and_type_[{Lower(name), static_cast<std::uint16_t>(type)}] = behaviour;
}

void DnsServer::BehaveAlways(Behaviour behaviour) {
  const std::scoped_lock lock(mutex_);
  always_ = behaviour;
}

void DnsServer::Release(std::string_view name) {
  const std::string lower = Lower(name);
  std::vector<Question> released;
  {
    const std::scoped_lock lock(mutex_);
    std::erase_if(by_name_, [&](const auto& entry) { return entry.first == lower; });
    std::erase_if(by_name_and_type_, [&](const auto& entry) { return entry.first.first == lower; });
    const auto first =
        std::stable_partition(held_.begin(), held_.end(), [&](const Question& held) { return held.name != lower; });
    released.assign(std::make_move_iterator(first), std::make_move_iterator(held_.end()));
    held_.erase(first, held_.end());
  }
  for (const Question& question : released) SendTo(datagrams_.get(), question.from, Answer(question, true));
}

int DnsServer::Queries(std::string_view name, DnsType type) const {
  const std::scoped_lock lock(mutex_);
  const auto found = queries_.find({Lower(name), static_cast<std::uint16_t>(type)});
  return found != queries_.end() ? found->second : 0;
}

int DnsServer::Queries() const {
  const std::scoped_lock lock(mutex_);
  int sum = 0;
  for (const auto& [key, count] : queries_) sum += count;
  return sum;
}

bool DnsServer::AwaitQueries(std::string_view name, DnsType type, int count) const {
  const Key key{Lower(name), static_cast<std::uint16_t>(type)};
  std::unique_lock lock(mutex_);
  return queried_.wait_for(lock, kTestTimeout, [&] {
    const auto found = queries_.find(key);
    return found != queries_.end() && found->second >= count;
  });
}

bool DnsServer::AwaitRead() const {
  return WaitUntil([this] {
    int unread = 0;
    return ::ioctl(datagrams_.get(), FIONREAD, &unread) == 0 && unread == 0;
  });
}

void DnsServer::Serve() {
  for (;;) {
    pollfd watched[] = {{stop_read_.get(), POLLIN, 0}, {datagrams_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    if (::poll(watched, std::size(watched), -1) < 0) continue;
    if (watched[0].revents != 0) return;
    if (watched[1].revents != 0) ServeDatagram();
    if (watched[2].revents != 0) ServeStream();
  }
}

void DnsServer::ServeDatagram() {
  Bytes query(512);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const ssize_t got = ::recvfrom(datagrams_.get(), query.data(), query.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&address), &size);
  if (got <= 0) return;
  query.resize(static_cast<std::size_t>(got));
  Question question;
  if (!ParseQuestion(std::move(query), question)) return;
  question.from = Endpoint::FromSockaddr(address);
  AnswerDatagram(question, Count(question));
}

// Serves one query of one connection. The server blocks meanwhile, 2 s at most.
void DnsServer::ServeStream() {
  const Fd stream(::accept(listener_.get(), nullptr, nullptr));
  if (!stream.valid()) return;
  const timeval timeout{2, 0};
  ::setsockopt(stream.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  Bytes query(2);
  if (!ReceiveAll(stream.get(), query)) return;
  query.resize(ByteReader(query).U16());
  Question question;
  if (ReceiveAll(stream.get(), query) && ParseQuestion(std::move(query), question)) {
    AnswerStream(stream.get(), question);
  }
}

void DnsServer::AnswerStream(int stream, const Question& question) {
  const Behaviour behaviour = Count(question);
  const Bytes answer = Answer(question, behaviour != Behaviour::kNoSoa);
  Bytes framed;
  Put16(framed, answer.size());
  framed.insert(framed.end(), answer.begin(), answer.end());
  const std::size_t half = framed.size() / 2;
  // The length field is split, and so is the message, as TCP may do at any time.
  const std::size_t pieces[] = {1, half - 1, behaviour == Behaviour::kBreakStream ? 0 : framed.size() - half};
  std::size_t sent = 0;
  for (const std::size_t piece : pieces) {
    ::send(stream, framed.data() + sent, piece, MSG_NOSIGNAL);
    sent += piece;
  }
}

bool DnsServer::ParseQuestion(Bytes query, Question& question) {
  ByteReader reader(query);
  reader.Take(kDnsHeaderBytes);
  for (std::uint8_t length = reader.U8(); length != 0 && reader.ok(); length = reader.U8()) {
    const auto label = reader.Take(length);
    if (!question.name.empty()) question.name += '.';
    question.name.append(label.begin(), label.end());
  }
  question.name = Lower(question.name);
  question.type = reader.U16();
  reader.U16();
  const bool whole = reader.ok();
  question.query = std::move(query);
  return whole;
}

// Counts a query and returns its behaviour.
DnsServer::Behaviour DnsServer::Count(const Question& question) {
  const std::scoped_lock lock(mutex_);
  const Key key{question.name, question.type};
  ++queries_[key];
  queried_.notify_all();
  Behaviour behaviour = always_;
  if (const auto found = by_name_.find(question.name); found != by_name_.end()) behaviour = found->second;
  if (const auto found = by_name_and_type_.find(key); found != by_name_and_type_.end()) behaviour = found->second;
  if (behaviour == Behaviour::kHold) held_.push_back(question);
  return behaviour;
}

void DnsServer::AnswerDatagram(const Question& question, Behaviour behaviour) {
  const int socket = datagrams_.get();
  switch (behaviour) {
    case Behaviour::kSilent:
    case Behaviour::kHold:
      return;
    case Behaviour::kServerFailure:
      return SendTo(socket, question.from, Bare(question, kServFail));
    case Behaviour::kRefused:
      return SendTo(socket, question.from, Bare(question, kRefusedCode));
    case Behaviour::kRefusedBare: {
      Bytes header = Bare(question, kRefusedCode);
      header.resize(kDnsHeaderBytes);
      Set16(header, 4, 0);
      return SendTo(socket, question.from, header);
    }
    case Behaviour::kTruncated:
    case Behaviour::kBreakStream:
      return SendTo(socket, question.from, Bare(question, kTc));
    case Behaviour::kForgeries:
      return SendForged(question, behaviour);
    case Behaviour::kWrongId:
    case Behaviour::kWrongQuestion:
    case Behaviour::kOtherSource:
    case Behaviour::kGarbage:
      SendForged(question, behaviour);
      break;
    case Behaviour::kAnswer:
    case Behaviour::kNoSoa:
      break;
  }
  const Bytes answer = Answer(question, behaviour != Behaviour::kNoSoa);
  // RFC 1035 section 4.2.1.
  SendTo(socket, question.from, answer.size() <= 512 ? answer : Bare(question, kTc));
}

void DnsServer::SendForged(const Question& question, Behaviour behaviour) {
  Bytes forged = Forged(question);
  const int socket = behaviour == Behaviour::kOtherSource ? other_source_.get() : datagrams_.get();
  if (behaviour == Behaviour::kWrongId) forged[1] ^= 1;
  if (behaviour == Behaviour::kWrongQuestion) forged[kDnsHeaderBytes + 1] ^= 1;
  if (behaviour == Behaviour::kGarbage) {
    SendTo(socket, question.from, Bytes(100, 0xa5));
    SendTo(socket, question.from, {});
    forged.resize(forged.size() - 1);
  }
  const int times = behaviour == Behaviour::kForgeries ? kForeignAnswersMax : 1;
  for (int sent = 0; sent < times; ++sent) {
    if (behaviour == Behaviour::kForgeries) ++forged[1];  // never the right ID
    SendTo(socket, question.from, forged);
  }
}

Bytes DnsServer::Bare(const Question& question, std::uint16_t flags) {
  Bytes message = question.query;
  Set16(message, 2, kQr | kRdRa | flags);
  return message;
}

Bytes DnsServer::Forged(const Question& question) {
  Bytes message = Bare(question, 0);
  Set16(message, 6, 1);
  const auto address = IpAddress::Parse(kForgedAddress).value();
  PutRecord(message, question.name, static_cast<std::uint16_t>(DnsType::kA), std::chrono::seconds(300),
            {address.bytes().begin(), address.bytes().end()});
  return message;
}

Bytes DnsServer::Answer(const Question& question, bool soa) const {
  const std::scoped_lock lock(mutex_);
  Bytes message = Bare(question, 0);
  std::size_t answers = 0;
  std::string name = question.name;
  auto found = records_.find(name);
  for (; found != records_.end() && !found->second.alias.empty() && answers < 64; ++answers) {
    Bytes target;
    PutName(target, found->second.alias);
    PutRecord(message, name, kCname, found->second.alias_ttl, target);
    name = found->second.alias;
    found = records_.find(name);
  }
  bool any = false;
  const bool v4 = question.type == static_cast<std::uint16_t>(DnsType::kA);
  for (const auto& [address, ttl] :
       found != records_.end() ? found->second.addresses : decltype(Records::addresses){}) {
    if (address.is_v4() != v4) continue;
    PutRecord(message, name, question.type, ttl, {address.bytes().begin(), address.bytes().end()});
    ++answers;
    any = true;
  }
  Set16(message, 6, answers);
  if (found == records_.end()) Set16(message, 2, kQr | kRdRa | kNxDomain);
  if (any || !soa) return message;
  Bytes rdata;
  PutName(rdata, "ns.test");
  PutName(rdata, "root.test");
  for (int field = 0; field < 4; ++field) Put32(rdata, std::chrono::seconds(1));
  Put32(rdata, soa_minimum_);
  PutRecord(message, "", kSoa, soa_ttl_, rdata);
  Set16(message, 8, 1);
  return message;
}

void DnsServer::SendTo(int socket, const Endpoint& to, std::span<const std::uint8_t> bytes) const {
  sockaddr_storage address;
  const socklen_t size = to.ToSockaddr(&address);
  ::sendto(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace penstock::test
