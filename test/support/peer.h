// Scripted peers: the clients and targets of a test, over real sockets.
// A peer belongs to one thread at a time. Every wait ends after kTestTimeout at most. A function that does not receive
// what the test expects throws a std::runtime_error that says what was received.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/os/fd.h"
#include "test/support/wait.h"

namespace penstock::test {

inline const Endpoint kLoopback = *Endpoint::Parse("127.0.0.1:0");
inline const Endpoint kLoopback6 = *Endpoint::Parse("[::1]:0");

// The addresses of this host that are neither loopback nor link-local; a client with such an address is a remote
// client. Tests that need one are skipped if there is none.
std::vector<IpAddress> OutsideAddresses();
std::optional<IpAddress> OutsideAddress(bool v4);

// Throws a std::runtime_error that says what failed, and errno.
[[noreturn]] void FailErrno(const std::string& what);

class Peer {
 public:
  Peer() = default;
  explicit Peer(Fd connected);

  // Buffer sizes for setsockopt(2); 0 leaves the kernel's own, which grow.
  struct Buffers {
    int receive = 0;
    int send = 0;
  };
  static Peer To(const Endpoint& to, Buffers buffers);
  static Peer To(const Endpoint& to) { return To(to, {}); }

  // Connects from an address of this host; its port may be 0.
  static Peer FromTo(const Endpoint& from, const Endpoint& to);

  // The two steps of To(), for a test that uses up the descriptors in between.
  static Peer Unconnected(const Endpoint& like, Buffers buffers);
  void Connect(const Endpoint& to);

  Endpoint local() const;
  Endpoint remote() const;
  int fd() const { return socket_.get(); }

  void Send(std::string_view bytes) const;
  void SendUrgent(char byte) const;
  // Sends without waiting; returns the number of bytes sent, 0 also if the connection is broken.
  std::size_t SendSome(std::string_view bytes) const;

  std::string Receive(std::size_t count) const;  // exactly
  // Receives at most `room` bytes without waiting; empty if there are none.
  std::string ReceiveSome(std::size_t room) const;
  std::string ReceiveToEnd() const;    // expects an orderly end
  std::string ReceiveToReset() const;  // expects a reset
  std::string ReceiveToClose() const;  // accepts both

  // True if nothing is received for this long: no byte, no end, no reset.
  [[nodiscard]] bool Silent(milliseconds how_long) const;
  void WaitUntilReadable() const;  // for a byte, an end or a reset
  // Waits until the other side's kernel has acknowledged all that was sent.
  void WaitUntilAcknowledged() const;

  void HalfClose() const;
  void Abort();  // with a reset
  void Close() { socket_.Close(); }

 private:
  enum class Ending { kOpen, kEnd, kReset };
  Ending ReceiveMore(std::string& into, std::size_t room) const;
  std::string ReceiveAll(Ending& ending) const;

  Fd socket_;
};

class TargetListener {
 public:
  explicit TargetListener(const Endpoint& at = kLoopback, int backlog = 1024);

  const Endpoint& at() const { return at_; }
  Peer Accept() const;
  bool HasPendingConnection() const;

 private:
  Fd socket_;
  Endpoint at_;
};

// A target that neither accepts nor refuses until Open() is called: the backlog of its listener is full.
class SilentTarget {
 public:
  explicit SilentTarget(const Endpoint& at = kLoopback);

  const Endpoint& at() const { return listener_.at(); }
  // Makes room for one connection, which is established when its kernel sends the SYN again, after about a second.
  void Open();
  Peer Accept() const { return listener_.Accept(); }

 private:
  TargetListener listener_;
  Peer filler_;
};

// An address without a listener; no other program can listen there while it exists.
class ClosedPort {
 public:
  explicit ClosedPort(const Endpoint& at = kLoopback);
  const Endpoint& at() const { return at_; }

 private:
  Fd socket_;
  Endpoint at_;
};

// A `First` and a `Second` of the above at two addresses with the same port. The kernel picks the port for the first;
// if it is in use at the second address, the kernel picks another.
template <class First, class Second>
struct OnOnePort {
  OnOnePort(std::string_view first_ip, std::string_view second_ip) {
    for (int attempts = 1; second == nullptr; ++attempts) {
      first = std::make_unique<First>(Endpoint{*IpAddress::Parse(first_ip), 0});
      try {
        second = std::make_unique<Second>(Endpoint{*IpAddress::Parse(second_ip), first->at().port});
      } catch (const std::runtime_error&) {
        if (attempts == 20) throw;
      }
    }
  }

  std::uint16_t port() const { return first->at().port; }

  std::unique_ptr<First> first;
  std::unique_ptr<Second> second;
};

// A range of `count` ports that are free on 127.0.0.1 for TCP and UDP. They lie outside ip_local_port_range (ip(7)), so
// the kernel does not assign them to others, and they most likely stay free.
PortRange FreePorts(int count);

}  // namespace penstock::test
