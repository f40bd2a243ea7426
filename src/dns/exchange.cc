#include "penstock/dns/exchange.h"

#include <array>
#include <span>
#include <utility>

#include "penstock/base/bytes.h"
#include "penstock/base/limits.h"
#include "penstock/os/socket.h"

namespace penstock {
namespace {

// RFC 1035 section 4.2.1 allows 512 bytes without EDNS; some servers send more.
constexpr std::size_t kDatagramBytesMax = 4096;

constexpr std::size_t kLengthBytes = 2;

}  // namespace

Fault DnsExchange::Begin(const Endpoint& server, std::string_view name, DnsType type, std::uint16_t id) {
  server_ = server;
  query_ = EncodeQuery(name, type, id);
  if (query_.size == 0) return Fault::kOther;
  Connecting connecting = ConnectUdp(server);
  if (connecting.fault != Fault::kNone) return connecting.fault;
  socket_ = std::move(connecting.socket);
  const IoResult sent = Send(socket_.get(), query_.message());
  if (sent.status == IoStatus::kFault) return sent.fault;
  // Register after sending, so that the first edge is the answer.
  return poller_.AddReader(socket_.get(), cookie_) ? Fault::kNone : Fault::kExhausted;
}

DnsExchange::Progress DnsExchange::OnEvent() {
  if (!stream_) return ReceiveDatagrams();
  const Progress sent = SendOnStream();
  return sent == Progress::kWaiting && to_send_.empty() ? ReceiveOnStream() : sent;
}

DnsExchange::Progress DnsExchange::ReceiveDatagrams() {
  std::array<std::uint8_t, kDatagramBytesMax> room;
  while (foreign_ < kForeignAnswersMax) {
    const IoResult got = Receive(socket_.get(), room);
    switch (got.status) {
      case IoStatus::kAgain:
        return Progress::kWaiting;
      case IoStatus::kFault:  // an ICMP error, usually "port unreachable"
        return Progress::kBroken;
      case IoStatus::kDone:
      case IoStatus::kEnd:  // an empty datagram: UDP has no end
        break;
    }
    const Progress progress = OnMessage(std::span(room).first(got.bytes));
    if (progress != Progress::kWaiting) return progress;
    ++foreign_;
  }
  return BeginStream();  // somebody guesses IDs; a TCP connection cannot be guessed (RFC 5452 section 9.3)
}

DnsExchange::Progress DnsExchange::OnMessage(std::span<const std::uint8_t> message) {
  answer_ = DecodeAnswer(message, query_);
  switch (answer_.kind) {
    case DnsAnswer::Kind::kForeign:
      return Progress::kWaiting;
    case DnsAnswer::Kind::kTruncated:
      return stream_ ? Progress::kBroken : BeginStream();
    case DnsAnswer::Kind::kAddresses:
    case DnsAnswer::Kind::kNoName:
    case DnsAnswer::Kind::kNoAddress:
    case DnsAnswer::Kind::kFailure:
      return Progress::kAnswered;
  }
  return Progress::kBroken;
}

DnsExchange::Progress DnsExchange::BeginStream() {
  const auto failed = [](Fault fault) { return fault == Fault::kExhausted ? Progress::kExhausted : Progress::kBroken; };
  socket_.Close();
  Connecting connecting = Connect(server_);
  if (connecting.fault != Fault::kNone) return failed(connecting.fault);
  socket_ = std::move(connecting.socket);
  stream_ = true;
  const auto message = query_.message();
  to_send_ = {static_cast<std::uint8_t>(message.size() >> 8), static_cast<std::uint8_t>(message.size())};
  to_send_.insert(to_send_.end(), message.begin(), message.end());
  received_.assign(kLengthBytes, 0);
  return poller_.Add(socket_.get(), cookie_) ? Progress::kWaiting : Progress::kExhausted;
}

// Until the connection is established, send returns "again"; an edge reports when it is.
DnsExchange::Progress DnsExchange::SendOnStream() {
  while (!to_send_.empty()) {
    const IoResult sent = Send(socket_.get(), to_send_);
    if (sent.status == IoStatus::kAgain) return Progress::kWaiting;
    if (sent.status != IoStatus::kDone) return Progress::kBroken;
    to_send_.erase(to_send_.begin(), to_send_.begin() + static_cast<std::ptrdiff_t>(sent.bytes));
  }
  return Progress::kWaiting;
}

DnsExchange::Progress DnsExchange::ReceiveOnStream() {
  for (;;) {
    const IoResult got = Receive(socket_.get(), std::span(received_).subspan(filled_));
    if (got.status == IoStatus::kAgain) return Progress::kWaiting;
    if (got.status != IoStatus::kDone) return Progress::kBroken;
    filled_ += got.bytes;
    if (filled_ < received_.size()) continue;
    if (received_.size() == kLengthBytes) {
      const std::size_t length = ByteReader(received_).U16();
      if (length == 0) return Progress::kBroken;
      received_.resize(kLengthBytes + length);
      continue;
    }
    const Progress progress = OnMessage(std::span(received_).subspan(kLengthBytes));
    return progress == Progress::kWaiting ? Progress::kBroken : progress;  // a stream carries one answer only
  }
}

}  // namespace penstock
