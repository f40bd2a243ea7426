#include "penstock/ctl/client.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "penstock/os/io.h"
#include "penstock/os/socket.h"
#include "penstock/os/unix_socket.h"

namespace penstock {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kLocalhost = "localhost:";

std::string_view Describe(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "no error";
    case Fault::kRefused:
      return "connection refused; is a gateway running with --admin there?";
    case Fault::kReset:
      return "the connection was reset";
    case Fault::kNetworkUnreachable:
      return "the network is unreachable";
    case Fault::kHostUnreachable:
      return "the host is unreachable";
    case Fault::kTimedOut:
      return "the connection timed out";
    case Fault::kDenied:
      return "a firewall of this host denies it";
    case Fault::kNoFamily:
      return "this host has no address of that family";
    case Fault::kExhausted:
      return "the system is out of descriptors or memory";
    case Fault::kOther:
      return "the connection failed";
  }
  return "";
}

}  // namespace

std::optional<AdminAddress> AdminAddress::Parse(std::string_view text) {
  AdminAddress address;
  if (text.starts_with(kUnix)) {
    address.path = text.substr(kUnix.size());
    return address.path.empty() ? std::nullopt : std::optional(address);
  }
  if (text.starts_with(kHttp)) {
    text.remove_prefix(kHttp.size());
    if (text.ends_with('/')) text.remove_suffix(1);
  }
  const bool local = text.starts_with(kLocalhost);
  const auto at =
      Endpoint::Parse(local ? "127.0.0.1:" + std::string(text.substr(kLocalhost.size())) : std::string(text));
  if (!at || at->port == 0) return std::nullopt;
  address.at = *at;
  return address;
}

std::string AdminAddress::ToString() const {
  return path.empty() ? std::string(kHttp) + at.ToString() : std::string(kUnix) + path;
}

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

AdminClient::AdminClient(AdminAddress address, Secret token) : address_(std::move(address)), token_(std::move(token)) {}

std::optional<Answer> AdminClient::Ask(std::string_view method, std::string_view target) {
  Poller poller;
  Progress progress = Begin(method, target, poller, Cookie());
  while (progress == Progress::kWaiting) {
    poller.Wait(std::max(deadline_ - SteadyNow(), TimePoint::duration::zero()));
    progress = Step();
  }
  socket_ = Fd();  // it is in a poller that ends
  return progress == Progress::kAnswered ? std::optional(std::move(answer_)) : std::nullopt;
}

AdminClient::Progress AdminClient::Begin(std::string_view method, std::string_view target, Poller& poller,
                                         Cookie cookie) {
  request_ = std::string(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ");
  request_ += address_.path.empty() ? address_.at.ToString() : "localhost";
  if (!token_.empty()) request_.append("\r\nAuthorization: Bearer ").append(token_.Reveal());
  if (method != "GET") request_ += "\r\nContent-Length: 0";
  request_ += "\r\n\r\n";
  may_repeat_ = method == "GET";
  poller_ = &poller;
  cookie_ = cookie;
  sent_ = 0;
  received_.clear();
  error_.clear();
  deadline_ = SteadyNow() + kCtlTimeout;
  return socket_.valid() ? Exchange() : Open();
}

AdminClient::Progress AdminClient::Step() {
  if (SteadyNow() >= deadline_) return Fail("no answer within " + std::to_string(kCtlTimeout.count()) + " s");
  return connecting_ ? Connect() : Exchange();
}

AdminClient::Progress AdminClient::Open() {
  reused_ = false;
  if (address_.path.empty()) {
    Connecting opened = penstock::Connect(address_.at);
    if (opened.fault != Fault::kNone) return Fail(std::string(Describe(opened.fault)));
    socket_ = std::move(opened.socket);
    connecting_ = true;
  } else {
    std::string why;
    socket_ = ConnectUnix(address_.path, &why);
    if (!socket_.valid()) return Fail(why);
  }
  if (!poller_->Add(socket_.get(), cookie_)) return Fail("the system has no memory for the connection");
  return connecting_ ? Progress::kWaiting : Exchange();
}

// An event: the connection is there, or has failed.
AdminClient::Progress AdminClient::Connect() {
  const Fault fault = ConnectFault(socket_.get());
  if (fault != Fault::kNone) return Fail(std::string(Describe(fault)));
  connecting_ = false;
  return Exchange();
}

// Sends and receives until the kernel has nothing more.
AdminClient::Progress AdminClient::Exchange() {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(request_.data());
  while (sent_ < request_.size()) {
    const IoResult result = Send(socket_.get(), std::span(bytes + sent_, request_.size() - sent_));
    if (result.status == IoStatus::kAgain) return Progress::kWaiting;
    if (result.status != IoStatus::kDone) break;  // an answer may have come before
    sent_ += result.bytes;
  }
  std::array<std::uint8_t, 65536> room;
  for (;;) {
    const IoResult result = Receive(socket_.get(), room);
    if (result.status == IoStatus::kAgain) return Progress::kWaiting;
    if (result.status != IoStatus::kDone) {
      // The gateway has closed an idle connection: the request goes through another one.
      if (!reused_ || !may_repeat_ || !received_.empty()) {
        return Fail(result.status == IoStatus::kEnd ? "the connection ended without an answer"
                                                    : std::string(Describe(result.fault)));
      }
      sent_ = 0;
      return Open();
    }
    received_.append(reinterpret_cast<const char*>(room.data()), result.bytes);
    switch (ParseAnswer(received_, &answer_)) {
      case AnswerStatus::kIncomplete:
        break;
      case AnswerStatus::kBad:
        return Fail("what answers is not the admin interface of a gateway");
      case AnswerStatus::kComplete:
        reused_ = true;
        if (!answer_.keep_alive) socket_ = Fd();
        return Progress::kAnswered;
    }
  }
}

AdminClient::Progress AdminClient::Fail(const std::string& why) {
  socket_ = Fd();
  connecting_ = false;
  error_ = address_.ToString() + ": " + why;
  return Progress::kFailed;
}

}  // namespace penstock
