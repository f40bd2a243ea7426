#include "penstock/admin/connection.h"

#include <algorithm>
#include <span>
#include <utility>

#include "penstock/admin/http.h"
#include "penstock/os/io.h"
#include "penstock/os/socket.h"

namespace penstock {

Connection::Connection(Handle handle, std::uint8_t tag, Fd socket, Entrance entrance, const Tools& tools)
    : handle_(handle), socket_(std::move(socket)), entrance_(entrance), deadline_(Cookie{tag, handle}) {
  tools.deadlines.waiting.Arm(deadline_, tools.clock.now());
}

void Connection::Raise(const Events& events) {
  readable_ |= events.readable;
  writable_ |= events.writable;
}

Connection::Next Connection::Advance(const Tools& tools) {
  for (int answers = 0; answers < kAdminRequestsPerTurn;) {
    const bool answering = state_ == State::kAnswering;
    Step step = Step::kWait;
    switch (state_) {
      case State::kReading:
        step = StepRead(tools);
        break;
      case State::kAnswering:
        step = StepSend(tools);
        break;
      case State::kLingering:
        step = StepLinger();
        break;
    }
    if (step == Step::kWait) return Next::kWait;
    if (step == Step::kRelease) return Next::kRelease;
    if (answering && state_ != State::kAnswering) ++answers;
  }
  return Next::kReady;
}

Connection::Next Connection::OnDeadline(const Tools& tools) {
  if (state_ == State::kReading && input_bytes_ > 0) {
    Answer(ErrorResponse(408), false, false, tools);
    return Advance(tools);
  }
  Abandon();
  return Next::kRelease;
}

void Connection::Abandon() {
  if (state_ == State::kAnswering) AbortOnClose(fd());
}

Connection::Step Connection::StepRead(const Tools& tools) {
  Request request;
  const std::string_view input(reinterpret_cast<const char*>(input_.data()), input_bytes_);
  const ParseResult parsed = ParseRequest(input, &request);
  switch (parsed.status) {
    case ParseResult::Status::kBad:
      Answer(ErrorResponse(parsed.error), false, false, tools);
      return Step::kAgain;
    case ParseResult::Status::kComplete:
      Answer(tools.site.Answer(request, entrance_), request.method == Method::kHead, request.keep_alive, tools);
      Consume(parsed.bytes);
      return Step::kAgain;
    case ParseResult::Status::kIncomplete:
      break;
  }
  if (!readable_) return Step::kWait;
  const IoResult received = Receive(fd(), std::span(input_).subspan(input_bytes_));
  readable_ = received.status != IoStatus::kAgain;
  if (received.status == IoStatus::kAgain) return Step::kWait;
  if (received.status != IoStatus::kDone) return Step::kRelease;
  if (input_bytes_ == 0) tools.deadlines.waiting.Arm(deadline_, tools.clock.now());
  input_bytes_ += received.bytes;
  return Step::kAgain;
}

void Connection::Answer(const Response& response, bool head_only, bool keep_alive, const Tools& tools) {
  output_ = ResponseBytes(response, head_only, keep_alive);
  sent_ = 0;
  keep_alive_ = keep_alive;
  state_ = State::kAnswering;
  tools.deadlines.answering.Arm(deadline_, tools.clock.now());
}

Connection::Step Connection::StepSend(const Tools& tools) {
  if (!writable_) return Step::kWait;
  const std::span<const std::uint8_t> all(reinterpret_cast<const std::uint8_t*>(output_.data()), output_.size());
  const IoResult sent = Send(fd(), all.subspan(sent_));
  writable_ = sent.status != IoStatus::kAgain;
  if (sent.status == IoStatus::kAgain) return Step::kWait;
  if (sent.status != IoStatus::kDone) return Step::kRelease;
  sent_ += sent.bytes;
  if (sent_ < output_.size()) {
    tools.deadlines.answering.Arm(deadline_, tools.clock.now());
    return Step::kAgain;
  }
  output_ = {};  // it may have been large
  if (keep_alive_) {
    state_ = State::kReading;
    tools.deadlines.waiting.Arm(deadline_, tools.clock.now());
    return Step::kAgain;
  }
  ShutdownSend(fd());
  state_ = State::kLingering;
  tools.deadlines.lingering.Arm(deadline_, tools.clock.now());
  return Step::kAgain;
}

Connection::Step Connection::StepLinger() {
  if (!readable_) return Step::kWait;
  const IoResult received = Receive(fd(), input_);
  readable_ = received.status != IoStatus::kAgain;
  if (received.status == IoStatus::kAgain) return Step::kWait;
  dropped_ += received.bytes;
  return received.status == IoStatus::kDone && dropped_ <= kLingerBytesMax ? Step::kAgain : Step::kRelease;
}

// Drops the first `bytes` of the input, and leaves no copy behind: they may hold the token.
void Connection::Consume(std::size_t bytes) {
  const auto all = std::span(input_).first(input_bytes_);
  std::ranges::copy(all.subspan(bytes), all.begin());
  input_bytes_ -= bytes;
  Wipe(all.subspan(input_bytes_));
}

}  // namespace penstock
