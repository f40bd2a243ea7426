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
      case State::kStreaming:
      case State::kLingering:
        step = StepDrop();
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
  if (state_ == State::kStreaming) return NextEvent(tools);
  Abandon();
  return Next::kRelease;
}

// A client whose kernel does not have the last event yet gets the next one later: the newest then, and not those in
// between.
Connection::Next Connection::NextEvent(const Tools& tools) {
  if (UnsentBytes(fd()) > 0) {
    if (tools.clock.now() - streamed_ < tools.deadlines.answering.duration()) {
      tools.deadlines.streaming.Arm(deadline_, SteadyNow());
      return Next::kWait;
    }
    Abandon();
    return Next::kRelease;
  }
  output_ = events_->Newest();
  sent_ = 0;
  state_ = State::kAnswering;
  tools.deadlines.answering.Arm(deadline_, tools.clock.now());
  return Advance(tools);
}

void Connection::Abandon() {
  if (state_ == State::kAnswering || state_ == State::kStreaming) AbortOnClose(fd());
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

void Connection::Answer(Response response, bool head_only, bool keep_alive, const Tools& tools) {
  const bool streams = response.events != nullptr && !head_only;
  keep_alive_ = keep_alive && !streams;
  output_ = ResponseBytes(response, head_only, keep_alive_);
  if (streams) output_ += response.events->Newest();
  if (streams) events_ = std::move(response.events);
  sent_ = 0;
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
  if (events_ != nullptr) {
    state_ = State::kStreaming;
    streamed_ = SteadyNow();  // not the time of the turn: making the event may have taken long
    tools.deadlines.streaming.Arm(deadline_, streamed_);
    return Step::kAgain;
  }
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

Connection::Step Connection::StepDrop() {
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
