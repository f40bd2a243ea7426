// Scripted peers: the clients and targets of a test, over real sockets.
// A peer belongs to one thread at a time. Everything that waits does so for kPatience at most, and whatever does not
// come as the script says is a std::runtime_error that tells what came instead.
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

// Of this host, beyond loopback and its link; a client that comes from one is a remote client. Cases that need one are
// skipped where there is none.
std::vector<IpAddress> OutsideAddresses();
std::optional<IpAddress> OutsideAddress(bool v4);

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

  // From an address of this host; its port may be 0.
  static Peer FromTo(const Endpoint& from, const Endpoint& to);

  // In two steps, for when no descriptor will be left.
  static Peer Unconnected(const Endpoint& like, Buffers buffers);
  void Connect(const Endpoint& to);

  Endpoint local() const;
  Endpoint remote() const;
  int fd() const { return socket_.get(); }

  void Send(std::string_view bytes) const;
  void SendUrgent(char byte) const;
  // As much as goes at once without waiting; returns how much. 0 also when the connection is broken.
  std::size_t SendSome(std::string_view bytes) const;

  std::string Receive(std::size_t count) const;  // exactly
  // What is there, `room` at most, without waiting; empty when nothing is.
  std::string ReceiveSome(std::size_t room) const;
  std::string ReceiveToEnd() const;    // the other side finished in order
  std::string ReceiveToReset() const;  // it did not
  std::string ReceiveToClose() const;  // either

  // True when nothing happens for this long: no byte, no end, no reset.
  [[nodiscard]] bool Silent(milliseconds how_long) const;
  // Waits until the other side's kernel has all that was sent.
  void WaitUntilTaken() const;

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
  bool SomebodyWaits() const;

 private:
  Fd socket_;
  Endpoint at_;
};

// A target that neither accepts nor refuses until Open() is called: the backlog of its listener is full.
class SilentTarget {
 public:
  explicit SilentTarget(const Endpoint& at = kLoopback);

  const Endpoint& at() const { return listener_.at(); }
  // Makes room for one; it comes in when its kernel tries again (about a second).
  void Open();
  Peer Accept() const { return listener_.Accept(); }

 private:
  TargetListener listener_;
  Peer filler_;
};

// An address on which nobody listens, and where nobody will while this exists.
class ClosedPort {
 public:
  explicit ClosedPort(const Endpoint& at = kLoopback);
  const Endpoint& at() const { return at_; }

 private:
  Fd socket_;
  Endpoint at_;
};

// A `First` and a `Second` of the above at two addresses, with one port. The kernel picks it for the first one; when
// somebody else has it at the second address, it picks again.
template <class First, class Second>
struct OnOnePort {
  OnOnePort(std::string_view first_ip, std::string_view second_ip) {
    for (int tries = 1; second == nullptr; ++tries) {
      first = std::make_unique<First>(Endpoint{*IpAddress::Parse(first_ip), 0});
      try {
        second = std::make_unique<Second>(Endpoint{*IpAddress::Parse(second_ip), first->at().port});
      } catch (const std::runtime_error&) {
        if (tries == 20) throw;
      }
    }
  }

  std::uint16_t port() const { return first->at().port; }

  std::unique_ptr<First> first;
  std::unique_ptr<Second> second;
};

// `count` ports in a row that are free on 127.0.0.1, for TCP and UDP. The kernel gives them to nobody who does not ask
// for them by number (ip_local_port_range, ip(7)), so they stay free, most likely.
PortRange FreePorts(int count);

}  // namespace penstock::test
