#include "target.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <thread>
#include <vector>

#include "datagrams.h"

namespace load {
namespace {

// Serves the connections of one listener. Never freed: it ends with the process.
class Target {
 public:
  Target(int listener, Stats* stats) : listener_(listener), stats_(stats), buffer_(kBulkSize, kSource) {
    Watch(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void Run() {
    Events events;
    for (;;) {
      const size_t count = WaitEvents(epoll_, events, -1);
      for (size_t i = 0; i < count; ++i) {
        auto* const connection = static_cast<Connection*>(events[i].data.ptr);
        if (connection == nullptr) {
          Accept();
        } else if (!Serve(*connection, events[i].events)) {
          ::close(connection->fd);
          delete connection;
        }
      }
    }
  }

 private:
  struct Connection {
    int fd;
    char role = 0;  // 0 until the first byte has come
    uint64_t stop_at_start = 0;
    uint64_t sink = 0;  // its number, if it is one
  };

  void Accept() const {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      Watch(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, new Connection{fd});
    }
  }

  // False: the connection is over.
  bool Serve(Connection& connection, uint32_t events) {
    if (connection.role == kSource) return Produce(connection);
    if (connection.role == kDuplex && (events & EPOLLOUT) && !Produce(connection)) return false;
    if (events == EPOLLOUT) return true;
    // One recv per event and level-triggered epoll: the connections of a thread get equal turns.
    const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    if (connection.role == 0) Begin(connection, buffer_[0]);
    switch (connection.role) {
      case kEcho:
        // The client waits for each answer, so the send buffer always has room for it.
        return ::send(connection.fd, buffer_.data(), Size(got), MSG_NOSIGNAL) == got;
      case kOnce:
        ::send(connection.fd, buffer_.data(), Size(got), MSG_NOSIGNAL);
        return false;
      case kSink:
      case kDuplex:
        stats_->sunk.fetch_add(Size(got), std::memory_order_relaxed);
        stats_->sunk_by[connection.sink % kBulkMax].fetch_add(Size(got), std::memory_order_relaxed);
        return true;
      case kSource:
        return true;
      default:
        return false;
    }
  }

  void Begin(Connection& connection, char role) {
    connection.role = role;
    if (role == kSink || role == kDuplex) connection.sink = stats_->sinks.fetch_add(1);
    if (role == kSource || role == kDuplex) {
      connection.stop_at_start = stats_->stop.load();
      Watch(epoll_, EPOLL_CTL_MOD, connection.fd, role == kDuplex ? EPOLLIN | EPOLLOUT : EPOLLOUT, &connection);
    }
  }

  bool Produce(const Connection& connection) {
    // Ending the stream after a sent byte (rather than cutting it) lets the client drain everything that the gateway
    // relayed, so that CPU time per byte divides by all bytes.
    if (stats_->stop.load(std::memory_order_relaxed) != connection.stop_at_start) return false;
    const ssize_t sent = ::send(connection.fd, buffer_.data(), buffer_.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    stats_->sourced.fetch_add(Size(sent), std::memory_order_relaxed);
    return true;
  }

  int listener_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  Stats* stats_;
  std::vector<char> buffer_;  // received into; sent by sources, whatever it holds
};

}  // namespace

int RunTarget(const Options& options) {
  Address address = ParseAddress(options.Text("listen"));
  Stats* const stats = MapStats(options.Text("stats"), true);
  std::vector<std::thread> pool;
  for (size_t i = 0; i < options.Count("threads", 1); ++i) {
    const int listener = ListenAt(address);
    address = LocalAddress(listener);  // the kernel chose the port of the first listener; the others share it
    pool.emplace_back([listener, stats] { Target(listener, stats).Run(); });
    const int datagrams = DatagramSocket();
    if (::bind(datagrams, Raw(address), sizeof address) != 0) DieErrno("bind");
    pool.emplace_back([datagrams, stats] { ServeDatagrams(datagrams, stats); });
  }
  std::printf("port=%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  for (std::thread& thread : pool) thread.join();
  return 0;
}

}  // namespace load
