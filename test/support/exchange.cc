#include "test/support/exchange.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace penstock::test {
namespace {

// The streams of one run differ; runs with the same seed have the same streams.
std::uint64_t NextSeed() {
  static std::atomic<std::uint64_t> number{0};
  std::uint64_t state = RunSeed() + number.fetch_add(1);
  return NextRandom(state);
}

}  // namespace

Stream::Stream(const Peer& from, const Peer& to, std::size_t bytes, std::size_t chunk_max)
    : from_(&from),
      to_(&to),
      bytes_(bytes),
      chunk_max_(chunk_max),
      seed_(NextSeed()),
      random_(seed_ + 1),
      to_send_(seed_),
      to_receive_(seed_) {}

bool Stream::Move() {
  const bool sent = Send();
  return Receive() || sent;
}

bool Stream::Send() {
  if (sent_all()) return false;
  if (chunk_.empty()) {
    chunk_ = to_send_.Next(std::min(1 + NextRandom(random_) % chunk_max_, bytes_ - sent_));
  }
  const std::size_t taken = from_->SendSome(chunk_);
  chunk_.erase(0, taken);
  sent_ += taken;
  return taken > 0;
}

bool Stream::Receive() {
  if (done()) return false;
  const std::string received = to_->ReceiveSome(std::min(1 + NextRandom(random_) % chunk_max_, bytes_ - received_));
  if (received != to_receive_.Next(received.size())) {
    throw std::runtime_error("other bytes than were sent between " + std::to_string(received_) + " and " +
                             std::to_string(received_ + received.size()) + " of " + std::to_string(bytes_) +
                             "; PENSTOCK_TEST_SEED=" + std::to_string(RunSeed()));
  }
  received_ += received.size();
  return !received.empty();
}

void Stream::EndAfter(std::size_t more) { bytes_ = std::min(bytes_, sent_ + chunk_.size() + more); }

void Exchange(std::span<Stream> streams) {
  auto deadline = std::chrono::steady_clock::now() + kTestTimeout;
  for (;;) {
    bool moved = false;
    bool done = true;
    for (Stream& stream : streams) {
      moved = stream.Move() || moved;
      done = done && stream.done();
    }
    if (done) return;
    const auto now = std::chrono::steady_clock::now();
    if (moved) {
      deadline = now + kTestTimeout;
      continue;
    }
    for (const Stream& stream : streams) {
      if (stream.done() || now < deadline) continue;
      throw std::runtime_error("a stream stands still: " + std::to_string(stream.sent()) + " bytes sent, " +
                               std::to_string(stream.received()) +
                               " received; PENSTOCK_TEST_SEED=" + std::to_string(RunSeed()));
    }
    ::poll(nullptr, 0, 1);
  }
}

void Exchange(Stream stream) { Exchange({&stream, 1}); }

void ExchangeBothWays(const TestGateway::Session& session, std::size_t bytes, std::size_t chunk_max) {
  Stream both[] = {{session.client, session.target, bytes, chunk_max},
                   {session.target, session.client, bytes, chunk_max}};
  Exchange(both);
}

void PingPong(const TestGateway::Session& session, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string ping = "ping " + std::to_string(i);
    const std::string pong = "pong " + std::to_string(i);
    session.client.Send(ping);
    if (session.target.Receive(ping.size()) != ping) throw std::runtime_error("not the ping " + std::to_string(i));
    session.target.Send(pong);
    if (session.client.Receive(pong.size()) != pong) throw std::runtime_error("not the pong " + std::to_string(i));
  }
}

}  // namespace penstock::test
