#include "penstock/session/dialer.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "penstock/os/socket.h"

namespace penstock {
namespace {

int Weight(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return 0;
    case Fault::kTimedOut:
      return 1;
    case Fault::kReset:
    case Fault::kNetworkUnreachable:
    case Fault::kHostUnreachable:
    case Fault::kDenied:
    case Fault::kNoFamily:
    case Fault::kExhausted:
    case Fault::kOther:
      return 2;
    case Fault::kRefused:
      return 3;
  }
  return 0;
}

}  // namespace

Fault MoreInformative(Fault earlier, Fault latest) { return Weight(earlier) > Weight(latest) ? earlier : latest; }

void Dialer::Begin(std::span<const IpAddress> addresses, std::uint16_t port, const DialTools& tools,
                   std::span<const Source* const> sources) {
  assert(status_ == Status::kIdle && !addresses.empty());
  assert(sources.empty() || sources.size() == addresses.size());
  port_ = port;
  Interleave(addresses, sources);
  status_ = Status::kConnecting;
  StartNext(tools);
  CheckInvariants();
}

void Dialer::OnEvent(std::size_t attempt, const Events& events, const DialTools& tools) {
  if (status_ != Status::kConnecting || attempt >= started_ || !attempts_[attempt].valid()) return;
  if (!events.writable) return;
  // A writable socket without ERR or HUP is connected; only with one of them can SO_ERROR be set (connect(2)). A target
  // that accepted, sent and reset before this edge was read was connected, too: the relay delivers its bytes and then
  // its reset.
  const Fault fault = events.broken ? ConnectFault(attempts_[attempt].get()) : Fault::kNone;
  if (fault != Fault::kNone && fault != Fault::kReset) {
    EndAttempt(attempt, tools);
    NoteFault(fault);
    StartNext(tools);
  } else {
    winner_ = attempt;
    events_ = events;
    status_ = Status::kConnected;
    Fd won = std::move(attempts_[winner_]);
    Stop(tools);
    attempts_[winner_] = std::move(won);
  }
  CheckInvariants();
}

void Dialer::OnDelay(const DialTools& tools) {
  if (status_ == Status::kConnecting) StartNext(tools);
  CheckInvariants();
}

void Dialer::Stop(const DialTools& tools) {
  delay_.Disarm();
  for (std::size_t attempt = 0; attempt < started_; ++attempt) {
    if (attempts_[attempt].valid()) EndAttempt(attempt, tools);
  }
}

void Dialer::Interleave(std::span<const IpAddress> addresses, std::span<const Source* const> sources) {
  const bool first_is_v4 = addresses.front().is_v4();
  std::size_t next[2] = {0, 0};  // the position in the family of the first address, and in the other
  const auto take = [&](std::size_t family) {
    std::size_t& at = next[family];
    while (at < addresses.size() && (addresses[at].is_v4() == first_is_v4) != (family == 0)) ++at;
    if (at == addresses.size() || count_ == addresses_.size()) return;
    if (!sources.empty()) sources_[count_] = sources[at];
    addresses_[count_++] = addresses[at++];
  };
  while (count_ < std::min(addresses.size(), addresses_.size())) {
    take(0);
    take(1);
  }
}

// Starts the next attempt that does not fail at once. If there is none and none is under way, the dialer has failed.
void Dialer::StartNext(const DialTools& tools) {
  delay_.Disarm();
  while (started_ < count_ && under_way_ < kAttemptsAtOnce) {
    const bool may_start = under_way_ == 0 || tools.further_attempts.MayTake(tools.share);
    if (may_start && !StartAttempt(started_++, tools)) continue;
    if (started_ < count_) tools.attempt_delays.Arm(delay_, tools.clock.now());
    return;
  }
  if (under_way_ == 0) status_ = Status::kFailed;
}

bool Dialer::StartAttempt(std::size_t attempt, const DialTools& tools) {
  Connecting connecting = Connect({addresses_[attempt], port_}, sources_[attempt]);
  if (connecting.fault != Fault::kNone) {
    NoteFault(connecting.fault);
    return false;
  }
  const auto tag = static_cast<std::uint8_t>(first_attempt_tag_ + attempt);
  if (!tools.poller.Add(connecting.socket.get(), {tag, owner_})) {
    NoteFault(Fault::kExhausted);
    return false;
  }
  attempts_[attempt] = std::move(connecting.socket);
  if (under_way_++ > 0) tools.further_attempts.Take(tools.share);
  return true;
}

void Dialer::EndAttempt(std::size_t attempt, const DialTools& tools) {
  attempts_[attempt].Close();
  if (--under_way_ > 0) tools.further_attempts.Return(tools.share);
}

void Dialer::NoteFault(Fault fault) { fault_ = MoreInformative(fault_, fault); }

void Dialer::CheckInvariants() const {
  assert(started_ <= count_ && under_way_ <= kAttemptsAtOnce);
  assert(status_ != Status::kConnecting ||
         std::ranges::count_if(attempts_, &Fd::valid) == static_cast<long>(under_way_));
  assert(status_ != Status::kConnected || under_way_ == 1);
  assert(status_ != Status::kFailed || (under_way_ == 0 && fault_ != Fault::kNone));
  assert(!delay_.armed() || (status_ == Status::kConnecting && started_ < count_));
  // Something will wake the session: an attempt under way, and the delay if another one may start beside it.
  assert(status_ != Status::kConnecting || under_way_ > 0);
  assert(status_ != Status::kConnecting || started_ == count_ || under_way_ == kAttemptsAtOnce || delay_.armed());
}

}  // namespace penstock
