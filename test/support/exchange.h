// Streams of pseudo-random bytes from peer to peer through a gateway, many at once, in chunks of random sizes.
// Owned by a test; one thread.
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
  // Sends `bytes` bytes from one peer to the other, at most `chunk_max` with one send or receive. The peers must
  // outlive the stream and must not be moved.
  Stream(const Peer& from, const Peer& to, std::size_t bytes, std::size_t chunk_max = 64 * 1024);

  // Sends and receives without waiting; true if any byte moved. Throws if a received byte differs from the one that was
  // sent.
  bool Move();
  bool Send();
  bool Receive();

  // Shortens the stream to `more` bytes behind what has been sent; it does not get longer.
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
  std::string chunk_;  // what is left of the current chunk
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

// Runs the streams until all are done. Throws if no byte moves for kTestTimeout.
void Exchange(std::span<Stream> streams);
void Exchange(Stream stream);

// Sends `bytes` bytes in each direction at the same time.
void ExchangeBothWays(const TestGateway::Session& session, std::size_t bytes, std::size_t chunk_max = 64 * 1024);

// Sends `count` small messages, each answered before the next.
void PingPong(const TestGateway::Session& session, int count);

}  // namespace penstock::test
