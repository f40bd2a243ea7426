// Many streams of seeded bytes at once, from peer to peer through a gateway, in chunks of random sizes, by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "test/support/bytes.h"
#include "test/support/gateway.h"
#include "test/support/peer.h"

namespace penstock::test {

class Stream {
 public:
  // `bytes` from one peer to the other; no single send or receive has more than `chunk_max`. The peers stay where they
  // are until the stream is done.
  Stream(const Peer& from, const Peer& to, std::size_t bytes, std::size_t chunk_max = 64 * 1024);

  // Sends and receives what goes without waiting; true when that was anything. Throws when a byte is not the one that
  // was sent.
  bool Move();
  bool Send();
  bool Receive();

  // Ends the stream `more` bytes behind what has been sent, or at its end if that comes first.
  void EndAfter(std::size_t more);

  bool sent_all() const { return sent_ == bytes_; }
  bool done() const { return received_ == bytes_; }
  std::size_t sent() const { return sent_; }
  std::size_t received() const { return received_; }

 private:
  const Peer* from_;
  const Peer* to_;
  std::size_t bytes_;
  std::size_t chunk_max_;
  std::uint64_t seed_;
  std::uint64_t random_;
  Pattern to_send_;
  Pattern to_receive_;
  std::string chunk_;  // the rest of it is still to be sent
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

// Until all are done. Throws when nothing moves for kPatience.
void Exchange(std::span<Stream> streams);
void Exchange(Stream stream);

// `bytes` each way at the same time.
void ExchangeBothWays(const TestGateway::Session& session, std::size_t bytes, std::size_t chunk_max = 64 * 1024);

// `count` small messages, each answered before the next one.
void PingPong(const TestGateway::Session& session, int count);

}  // namespace penstock::test
