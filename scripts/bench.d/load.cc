// Load generator of scripts/bench: one program that is both the target behind a gateway and the clients in front of it.
//
//   load target   --listen ADDR:PORT --stats FILE [--threads N]      the server; prints port=N
//   load ready    --via ADDR:PORT                                    exit status 0: something accepts there
//   load connect  --target ADDR:PORT [options]                       new tunnels per second
//   load pingpong --target ADDR:PORT [options]                       round trips of one 64-byte message per tunnel
//   load upload   --target ADDR:PORT --stats FILE [options]          bulk, bytes counted by the target
//   load download --target ADDR:PORT --stats FILE [options]          bulk, bytes counted by the client
//   load idle     --target ADDR:PORT [options]                       holds tunnels open until stdin ends
//   load stuck    --target ADDR:PORT [options]                       downloads that nobody reads, until stdin ends
//   load quiet    --target ADDR:PORT --stats FILE [options]          round trips of one tunnel beside bulk downloads
//   load udp-echo --target ADDR:PORT [options]                       round trips of datagrams through associations
//   load udp-flood --target ADDR:PORT --stats FILE [options]    one way, counted by the target
//
// Options of the clients: --via ADDR:PORT (the gateway; without it the target is contacted directly), --no-socks (the
// gateway is a plain forwarder), --conns N, --threads N, --seconds S, --targets N (spread over N consecutive target
// addresses), --sources N (spread over N source addresses 127.0.1.1 and up), --login NAME:PASSWORD (RFC 1929). For
// upload and download: --cut (end without waiting for what is under way: behind a limit that can be minutes).
// For udp-*: --size BYTES of data, --window N datagrams under way per association. IPv4 only.
//
// A client prints one line of key=value pairs. Every connection that goes wrong is counted in errors=. Bulk modes print
// lowest= and highest=, too: the rates of the slowest and of the fastest tunnel; quiet prints p50=, p99= and max= in
// ms.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kMessageSize = 64;
constexpr size_t kBulkSize = 256 * 1024;
constexpr size_t kBulkMax = 1024;     // bulk tunnels at a time
constexpr int kMaxErrors = 1000;      // a gateway that refuses everything must not make a client spin
constexpr size_t kMaxOpening = 64;    // handshakes under way per thread; some peers listen with a backlog of 100
constexpr milliseconds kWarmUp{200};  // left out of the rates: threads start, TCP windows grow
constexpr milliseconds kOpenDeadline{15'000};   // for all kept tunnels together
constexpr milliseconds kDrainDeadline{10'000};  // for what is under way when the measurement ends

// The first byte a client sends tells the target what to do with the connection, so that one target serves all rows.
constexpr char kEcho = 'e';
constexpr char kSink = 's';
constexpr char kSource = 'd';

// Target and client share a mapped file. Counting at the receiving end without sending the count through the gateway
// works with every peer (many cannot half-close) and across network namespaces.
struct Stats {
  std::atomic<uint64_t> sunk;                           // bytes received by all sink connections so far
  std::atomic<uint64_t> sinks;                          // sink connections so far
  std::array<std::atomic<uint64_t>, kBulkMax> sunk_by;  // bytes received by number n, n + kBulkMax, ...
  std::atomic<uint64_t> datagrams;                      // datagrams that were not to be echoed
  std::atomic<uint64_t> stop;                           // a source ends its stream when this changes
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "load: %s\n", what.c_str());
  std::exit(2);
}

[[noreturn]] void DieErrno(const std::string& what) { Die(what + ": " + std::strerror(errno)); }

double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// ---------------------------------------------------------------- options and addresses

class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 2; i < argc; ++i) {
      const std::string_view arg = argv[i];
      if (!arg.starts_with("--")) Die("unexpected argument " + std::string(arg));
      const bool has_value = i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--");
      values_[std::string(arg.substr(2))] = has_value ? argv[++i] : "";
    }
  }

  bool Has(const std::string& name) const { return values_.contains(name); }

  std::string Text(const std::string& name) const {
    const auto it = values_.find(name);
    if (it == values_.end() || it->second.empty()) Die("--" + name + " VALUE is needed");
    return it->second;
  }

  double Number(const std::string& name, double fallback) const {
    return Has(name) ? std::strtod(Text(name).c_str(), nullptr) : fallback;
  }

 private:
  std::map<std::string, std::string> values_;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  int Family() const { return storage.ss_family; }
  sockaddr* Raw() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* Raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr_in& V4() { return reinterpret_cast<sockaddr_in&>(storage); }
  sockaddr_in6& V6() { return reinterpret_cast<sockaddr_in6&>(storage); }
  const sockaddr_in& V4() const { return reinterpret_cast<const sockaddr_in&>(storage); }
  const sockaddr_in6& V6() const { return reinterpret_cast<const sockaddr_in6&>(storage); }
};

// "127.0.0.1:80" or "[::1]:80"; numeric only.
Address ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) Die("no port in address " + text);
  const uint16_t port = htons(static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
  std::string host = text.substr(0, colon);
  Address address;
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    address.V6().sin6_family = AF_INET6;
    address.V6().sin6_port = port;
    address.size = sizeof(sockaddr_in6);
    if (inet_pton(AF_INET6, host.c_str(), &address.V6().sin6_addr) != 1) Die("bad address " + text);
  } else {
    address.V4().sin_family = AF_INET;
    address.V4().sin_port = port;
    address.size = sizeof(sockaddr_in);
    if (inet_pton(AF_INET, host.c_str(), &address.V4().sin_addr) != 1) Die("bad address " + text);
  }
  return address;
}

// One pair of addresses has only as many ports as the ephemeral range, and a closed connection keeps its port for a
// minute (TIME_WAIT). Short connections are therefore spread over consecutive addresses.
Address Advance(Address address, uint32_t steps) {
  if (address.Family() == AF_INET) {
    in_addr& host = address.V4().sin_addr;
    host.s_addr = htonl(ntohl(host.s_addr) + steps);
  } else {
    address.V6().sin6_addr.s6_addr[15] += static_cast<uint8_t>(steps);
  }
  return address;
}

Stats* MapStats(const std::string& path, bool create) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (fd < 0) DieErrno(path);
  if (create && ftruncate(fd, sizeof(Stats)) != 0) DieErrno(path);
  void* map = mmap(nullptr, sizeof(Stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) DieErrno("mmap");
  close(fd);
  return static_cast<Stats*>(map);  // a new file is zeroes, which is the initial value of all counters
}

void Watch(int epoll, int operation, int fd, uint32_t events, void* data) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  if (epoll_ctl(epoll, operation, fd, &event) != 0) DieErrno("epoll_ctl");
}

using Events = std::array<epoll_event, 256>;

size_t WaitEvents(int epoll, Events& events, int timeout_ms) {
  return static_cast<size_t>(
      std::max(0, epoll_wait(epoll, events.data(), static_cast<int>(events.size()), timeout_ms)));
}

// The result of a successful recv or send.
size_t Size(ssize_t bytes) { return static_cast<size_t>(bytes); }

// ---------------------------------------------------------------- the target

class Target {
 public:
  Target(int listener, Stats* stats) : listener_(listener), stats_(stats), buffer_(kBulkSize, kSource) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    Watch(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void Run() {
    Events events;
    for (;;) {
      const size_t count = WaitEvents(epoll_, events, -1);
      for (size_t i = 0; i < count; ++i) {
        auto* peer = static_cast<Peer*>(events[i].data.ptr);
        if (peer == nullptr) {
          Accept();
        } else if (!Serve(*peer)) {
          close(peer->fd);
          delete peer;
        }
      }
    }
  }

 private:
  struct Peer {
    int fd;
    char role = 0;  // 0 until the first byte has come
    uint64_t stop_at_start = 0;
    uint64_t sink = 0;  // its number, if it is one
  };

  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      Watch(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, new Peer{fd});
    }
  }

  // False: the connection is over.
  bool Serve(Peer& peer) {
    if (peer.role == kSource) return Feed(peer);
    // One recv per event and level-triggered epoll: the connections of a thread get equal turns.
    const ssize_t got = recv(peer.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    if (peer.role == 0) {
      peer.role = buffer_[0];
      if (peer.role == kSource) {
        peer.stop_at_start = stats_->stop.load();
        Watch(epoll_, EPOLL_CTL_MOD, peer.fd, EPOLLOUT, &peer);
      }
      if (peer.role == kSink) peer.sink = stats_->sinks.fetch_add(1);
    }
    switch (peer.role) {
      case kEcho:
        // The client waits for each answer, so the send buffer always has room for it.
        return send(peer.fd, buffer_.data(), Size(got), MSG_NOSIGNAL) == got;
      case kSink:
        stats_->sunk.fetch_add(Size(got), std::memory_order_relaxed);
        stats_->sunk_by[peer.sink % kBulkMax].fetch_add(Size(got), std::memory_order_relaxed);
        return true;
      case kSource:
        return true;
      default:
        return false;
    }
  }

  bool Feed(const Peer& peer) {
    // Ending the stream after a sent byte (rather than cutting it) lets the client drain everything the gateway
    // relayed, so that CPU time per byte divides by all bytes.
    if (stats_->stop.load(std::memory_order_relaxed) != peer.stop_at_start) return false;
    return send(peer.fd, buffer_.data(), buffer_.size(), MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
  }

  int listener_;
  int epoll_;
  Stats* stats_;
  std::vector<char> buffer_;
};

// ---------------------------------------------------------------- datagrams

constexpr size_t kBatch = 64;
constexpr size_t kDatagramMax = 60'000;

// Datagrams that are received with one system call. The kernel may have joined several into one message (UDP_GRO).
class DatagramReader {
 public:
  struct Datagram {
    const char* bytes;
    size_t size;
    const sockaddr_storage* from;
  };

  DatagramReader() : room_(kBatch * kMessageMax) {}

  // What is there, taken apart; at most kBatch messages.
  const std::vector<Datagram>& Receive(int fd) {
    for (size_t i = 0; i < kBatch; ++i) {
      pieces_[i] = {&room_[i * kMessageMax], kMessageMax};
      messages_[i].msg_hdr = {&names_[i], sizeof names_[i], &pieces_[i], 1, &controls_[i], sizeof controls_[i], 0};
    }
    datagrams_.clear();
    const int got = recvmmsg(fd, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (size_t i = 0; got > 0 && i < Size(got); ++i) {
      const size_t size = messages_[i].msg_len;
      const size_t segment = SegmentSize(messages_[i].msg_hdr, size);
      const char* const bytes = &room_[i * kMessageMax];
      for (size_t at = 0; at < size; at += segment) {
        datagrams_.push_back({bytes + at, std::min(segment, size - at), &names_[i]});
      }
    }
    return datagrams_;
  }

 private:
  static constexpr size_t kMessageMax = 65'536;

  static size_t SegmentSize(msghdr& message, size_t size) {
    const cmsghdr* const control = CMSG_FIRSTHDR(&message);
    if (control == nullptr || control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) return size;
    int segment = 0;
    std::memcpy(&segment, CMSG_DATA(control), sizeof segment);
    return static_cast<size_t>(segment);
  }

  std::vector<char> room_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> pieces_{};
  std::array<sockaddr_storage, kBatch> names_;
  std::array<std::array<char, 64>, kBatch> controls_;
  std::vector<Datagram> datagrams_;
};

// Datagrams that are sent with one system call, one by one: what a gateway makes of them is its own affair.
class DatagramWriter {
 public:
  void Add(const char* bytes, size_t size, const sockaddr_storage* to) {
    pieces_[count_] = {const_cast<char*>(bytes), size};
    messages_[count_].msg_hdr = {const_cast<sockaddr_storage*>(to),
                                 to != nullptr ? socklen_t{sizeof(sockaddr_in)} : 0,
                                 &pieces_[count_],
                                 1,
                                 nullptr,
                                 0,
                                 0};
    ++count_;
  }
  bool full() const { return count_ == kBatch; }

  // Returns how many went.
  size_t Send(int fd) {
    const int sent = sendmmsg(fd, messages_.data(), static_cast<unsigned>(count_), MSG_NOSIGNAL);
    count_ = 0;
    return sent > 0 ? Size(sent) : 0;
  }

 private:
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> pieces_{};
  size_t count_ = 0;
};

int UdpSocket(int family) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) DieErrno("socket");
  const int on = 1;
  const int room = 4 << 20;  // as much as the system allows
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);  // as QUIC libraries do
  return fd;
}

// The target of datagrams: echoes those that begin with kEcho and counts the others.
[[noreturn]] void ServeDatagrams(int fd, Stats* stats) {
  DatagramReader reader;
  auto writer = std::make_unique<DatagramWriter>();
  for (;;) {
    pollfd waiting{fd, POLLIN, 0};
    poll(&waiting, 1, -1);
    const auto& datagrams = reader.Receive(fd);
    uint64_t sunk = 0;
    for (const auto& datagram : datagrams) {
      if (datagram.bytes[0] != kEcho) {
        ++sunk;
        continue;
      }
      if (writer->full()) writer->Send(fd);
      writer->Add(datagram.bytes, datagram.size, datagram.from);
    }
    writer->Send(fd);
    stats->datagrams.fetch_add(sunk, std::memory_order_relaxed);
  }
}

int Listen(const Address& address) {
  const int fd = socket(address.Family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  if (bind(fd, address.Raw(), address.size) != 0) DieErrno("bind");
  if (listen(fd, 4096) != 0) DieErrno("listen");
  return fd;
}

int RunTarget(const Options& options) {
  Address address = ParseAddress(options.Text("listen"));
  Stats* stats = MapStats(options.Text("stats"), true);
  const int threads = static_cast<int>(options.Number("threads", 1));
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i) {
    const int listener = Listen(address);
    // The kernel chose the port of the first listener; the others share it.
    if (getsockname(listener, address.Raw(), &address.size) != 0) DieErrno("getsockname");
    pool.emplace_back([listener, stats] { Target(listener, stats).Run(); });
    const int datagrams = UdpSocket(address.Family());
    if (bind(datagrams, address.Raw(), address.size) != 0) DieErrno("bind");
    pool.emplace_back([datagrams, stats] { ServeDatagrams(datagrams, stats); });
  }
  const uint16_t port = address.Family() == AF_INET ? address.V4().sin_port : address.V6().sin6_port;
  std::printf("port=%d\n", ntohs(port));
  std::fflush(stdout);
  for (std::thread& thread : pool) thread.join();
  return 0;
}

// ---------------------------------------------------------------- the clients

enum class Mode { kConnect, kPingpong, kUpload, kDownload, kIdle, kStuck };

// kRun: load; kStop: start nothing new, finish what is under way; kClose: close all that is still open.
enum class Phase { kRun, kStop, kClose };

struct Plan {
  Mode mode;
  bool socks;
  std::vector<Address> targets;
  std::vector<Address> gateway;  // empty: contact the targets directly
  uint32_t sources;
  size_t conns;
  std::string login;  // the message of RFC 1929; empty: no login
};

// What all client threads share.
struct Board {
  std::atomic<Phase> phase{Phase::kRun};
  std::atomic<uint64_t> up{0};                                // tunnels whose handshake is complete (kept ones)
  std::atomic<uint64_t> done{0};                              // connections or round trips completed
  std::atomic<uint64_t> bytes{0};                             // bytes sent (upload) or received (download)
  std::array<std::atomic<uint64_t>, kBulkMax> received_by{};  // of these, by each tunnel (download)
  std::atomic<uint64_t> errors{0};
  std::mutex mutex;
  std::string first_error;  // guarded by mutex

  void Fail(const std::string& what) {
    ++errors;
    const std::lock_guard lock(mutex);
    if (first_error.empty()) first_error = what;
  }
};

class Client {
 public:
  Client(const Plan& plan, Board& board, size_t first, size_t count)
      : plan_(plan), board_(board), buffer_(kBulkSize, kSink), tunnels_(count), serial_(first) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    message_.fill(plan.mode == Mode::kDownload || plan.mode == Mode::kStuck ? kSource : kEcho);
  }

  void Run() {
    Events events;
    Clock::time_point deadline = Clock::time_point::max();
    for (;;) {
      const Phase phase = board_.phase.load();
      if (phase == Phase::kRun) {
        OpenMore();
      } else if (deadline == Clock::time_point::max()) {
        deadline = Clock::now() + kDrainDeadline + milliseconds(1000);
      }
      if (phase == Phase::kClose) CloseAll();
      if (phase != Phase::kRun && open_ == 0) return;
      if (Clock::now() > deadline) {
        for (Tunnel& tunnel : tunnels_) {
          if (tunnel.fd >= 0) Fail(tunnel, "unfinished at the end");
        }
        return;
      }
      const size_t count = WaitEvents(epoll_, events, 5);
      for (size_t i = 0; i < count; ++i) Step(*static_cast<Tunnel*>(events[i].data.ptr), events[i].events);
    }
  }

 private:
  enum class State { kClosed, kConnecting, kGreeting, kLogin, kRequest, kFirstEcho, kUp };

  struct Tunnel {
    int fd = -1;
    State state = State::kClosed;
    size_t have = 0;  // bytes in `in`
    std::array<uint8_t, kMessageSize> in;
    const Address* target = nullptr;
    size_t serial = 0;
    bool failed = false;  // a kept tunnel that broke isn't opened again
  };

  void OpenMore() {
    for (size_t i = next_; i < tunnels_.size() && opening_ < kMaxOpening; ++i) {
      if (tunnels_[i].fd < 0 && !tunnels_[i].failed) Open(tunnels_[i]);
      next_ = i + 1;
    }
  }

  void Open(Tunnel& tunnel) {
    const size_t serial = tunnel.serial = serial_++;
    tunnel.target = &plan_.targets[serial % plan_.targets.size()];
    const Address& to = plan_.gateway.empty() ? *tunnel.target : plan_.gateway[0];
    tunnel.fd = socket(to.Family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tunnel.fd < 0) DieErrno("socket");
    tunnel.state = State::kConnecting;
    tunnel.have = 0;
    ++open_;
    ++opening_;
    const int on = 1;
    setsockopt(tunnel.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (plan_.sources > 0) {
      // The port is left to connect(), which may share it between connections to different destinations.
      setsockopt(tunnel.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
      const Address source = Advance(ParseAddress("127.0.1.1:0"), static_cast<uint32_t>(serial) % plan_.sources);
      if (bind(tunnel.fd, source.Raw(), source.size) != 0) DieErrno("bind");
    }
    if (connect(tunnel.fd, to.Raw(), to.size) != 0 && errno != EINPROGRESS) return Fail(tunnel, "connect");
    // Edge-triggered for both directions: the handshake needs a single epoll_ctl.
    Watch(epoll_, EPOLL_CTL_ADD, tunnel.fd, EPOLLIN | EPOLLOUT | EPOLLET, &tunnel);
  }

  void Close(Tunnel& tunnel) {
    if (tunnel.state != State::kUp) --opening_;
    close(tunnel.fd);
    tunnel.fd = -1;
    tunnel.state = State::kClosed;
    --open_;
  }

  void CloseAll() {
    for (Tunnel& tunnel : tunnels_) {
      if (tunnel.fd >= 0) Close(tunnel);
    }
  }

  void Fail(Tunnel& tunnel, const std::string& what) {
    board_.Fail(what + (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
    Close(tunnel);
    tunnel.failed = true;
    Reopen(tunnel);
  }

  // Short connections follow one another in the same slot.
  void Reopen(Tunnel& tunnel) {
    if (plan_.mode != Mode::kConnect || board_.phase.load() != Phase::kRun || board_.errors > kMaxErrors) return;
    // A refused connection is not retried from here, or refusals would recurse; the loop does it.
    if (tunnel.failed) {
      tunnel.failed = false;
      next_ = 0;
    } else {
      Open(tunnel);
    }
  }

  void Send(Tunnel& tunnel, const void* data, size_t size, State next) {
    tunnel.state = next;
    tunnel.have = 0;
    errno = 0;
    if (send(tunnel.fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) Fail(tunnel, "send");
  }

  // Reads until `want` bytes are there. A short read took all there was, so epoll will report the rest.
  bool Receive(Tunnel& tunnel, size_t want, const char* what) {
    errno = 0;
    const ssize_t got = recv(tunnel.fd, tunnel.in.data() + tunnel.have, want - tunnel.have, 0);
    if (got <= 0) {
      if (got < 0 && errno == EAGAIN) return false;
      Fail(tunnel, got == 0 ? std::string("closed by the gateway, ") + what : what);
      return false;
    }
    tunnel.have += Size(got);
    return tunnel.have == want;
  }

  void Step(Tunnel& tunnel, uint32_t events) {
    switch (tunnel.state) {
      case State::kClosed:
        return;
      case State::kConnecting:
        if (events & (EPOLLERR | EPOLLHUP)) {
          int error = 0;
          socklen_t size = sizeof error;
          getsockopt(tunnel.fd, SOL_SOCKET, SO_ERROR, &error, &size);
          errno = error;
          return Fail(tunnel, "connect");
        }
        if (!(events & EPOLLOUT)) return;
        if (!plan_.socks) return Established(tunnel);
        return Send(tunnel, plan_.login.empty() ? "\x05\x01\x00" : "\x05\x01\x02", 3, State::kGreeting);
      case State::kGreeting:
        if (!(events & EPOLLIN) || !Receive(tunnel, 2, "greeting")) return;
        if (tunnel.in[0] != 5 || tunnel.in[1] != (plan_.login.empty() ? 0 : 2)) {
          return Fail(tunnel, "SOCKS method refused");
        }
        if (plan_.login.empty()) return SendRequest(tunnel);
        return Send(tunnel, plan_.login.data(), plan_.login.size(), State::kLogin);
      case State::kLogin:
        if (!(events & EPOLLIN) || !Receive(tunnel, 2, "login")) return;
        if (tunnel.in[1] != 0) return Fail(tunnel, "login refused");
        return SendRequest(tunnel);
      case State::kRequest:
        if (events & EPOLLIN) ReadReply(tunnel);
        return;
      case State::kFirstEcho:
        if ((events & EPOLLIN) && Receive(tunnel, kMessageSize, "first message")) FirstEcho(tunnel);
        return;
      case State::kUp:
        return Relay(tunnel, events);
    }
  }

  void SendRequest(Tunnel& tunnel) {
    std::array<uint8_t, 22> request{5, 1, 0};
    size_t size;
    if (tunnel.target->Family() == AF_INET) {
      request[3] = 1;
      std::memcpy(&request[4], &tunnel.target->V4().sin_addr, 4);
      std::memcpy(&request[8], &tunnel.target->V4().sin_port, 2);
      size = 10;
    } else {
      request[3] = 4;
      std::memcpy(&request[4], &tunnel.target->V6().sin6_addr, 16);
      std::memcpy(&request[20], &tunnel.target->V6().sin6_port, 2);
      size = 22;
    }
    Send(tunnel, request.data(), size, State::kRequest);
  }

  // The target says nothing before the client does, so reading as much as comes cannot eat tunnel data.
  void ReadReply(Tunnel& tunnel) {
    errno = 0;
    const ssize_t got = recv(tunnel.fd, tunnel.in.data() + tunnel.have, tunnel.in.size() - tunnel.have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return Fail(tunnel, "reply");
    tunnel.have += Size(got);
    if (tunnel.have >= 2 && tunnel.in[1] != 0) {
      return Fail(tunnel, "CONNECT refused with " + std::to_string(tunnel.in[1]));
    }
    if (tunnel.have < 4) return;
    const size_t want = tunnel.in[3] == 4 ? 22 : 10;
    if (tunnel.have < want) return;
    if (tunnel.have > want || tunnel.in[0] != 5) return Fail(tunnel, "malformed reply");
    Established(tunnel);
  }

  void Established(Tunnel& tunnel) {
    switch (plan_.mode) {
      case Mode::kUpload:
        Up(tunnel);
        Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, EPOLLOUT, &tunnel);
        return;
      case Mode::kDownload:
        Send(tunnel, message_.data(), message_.size(), State::kUp);
        if (tunnel.fd < 0) return;
        Up(tunnel);
        // Level-triggered for bulk: a bounded amount per event gives all tunnels equal turns.
        Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, EPOLLIN, &tunnel);
        return;
      case Mode::kStuck:
        Send(tunnel, message_.data(), message_.size(), State::kUp);
        if (tunnel.fd < 0) return;
        Up(tunnel);
        Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, 0, &tunnel);
        return;
      default:
        // A round trip proves that the way to the target is open; also idle tunnels have carried something once.
        Send(tunnel, message_.data(), message_.size(), State::kFirstEcho);
    }
  }

  void Up(Tunnel& tunnel) {
    tunnel.state = State::kUp;
    --opening_;
    ++board_.up;
  }

  void FirstEcho(Tunnel& tunnel) {
    if (plan_.mode == Mode::kConnect) {
      ++board_.done;
      Close(tunnel);
      return Reopen(tunnel);
    }
    Up(tunnel);
    if (plan_.mode == Mode::kPingpong) Ping(tunnel);
  }

  void Ping(Tunnel& tunnel) {
    if (board_.phase.load(std::memory_order_relaxed) != Phase::kRun) return Close(tunnel);
    Send(tunnel, message_.data(), message_.size(), State::kUp);
  }

  void Relay(Tunnel& tunnel, uint32_t events) {
    errno = 0;
    switch (plan_.mode) {
      case Mode::kPingpong:
        if (!(events & EPOLLIN) || !Receive(tunnel, kMessageSize, "message")) return;
        board_.done.fetch_add(1, std::memory_order_relaxed);
        return Ping(tunnel);
      case Mode::kUpload: {
        if (events & (EPOLLERR | EPOLLHUP)) return Fail(tunnel, "upload cut");
        if (board_.phase.load(std::memory_order_relaxed) != Phase::kRun) {
          return Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, 0, &tunnel);  // stay open while the gateway drains
        }
        const ssize_t sent = send(tunnel.fd, buffer_.data(), buffer_.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return Fail(tunnel, "upload");
        if (sent > 0) board_.bytes.fetch_add(Size(sent), std::memory_order_relaxed);
        return;
      }
      case Mode::kDownload: {
        const ssize_t got = recv(tunnel.fd, buffer_.data(), buffer_.size(), 0);
        if (got > 0) {
          board_.bytes.fetch_add(Size(got), std::memory_order_relaxed);
          board_.received_by[tunnel.serial % kBulkMax].fetch_add(Size(got), std::memory_order_relaxed);
        }
        if (got > 0 || (got < 0 && errno == EAGAIN)) return;
        if (got == 0 && board_.phase.load() != Phase::kRun) return Close(tunnel);  // as asked of the source
        return Fail(tunnel, "download cut");
      }
      case Mode::kIdle:
        if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) Fail(tunnel, "idle tunnel cut");
        return;
      case Mode::kStuck:
        return Fail(tunnel, "stuck tunnel cut");
      case Mode::kConnect:
        return;
    }
  }

  const Plan& plan_;
  Board& board_;
  std::vector<char> buffer_;
  std::array<char, kMessageSize> message_;
  std::vector<Tunnel> tunnels_;
  size_t serial_;       // number of connections opened; picks source and target addresses
  size_t next_ = 0;     // first slot that may still have to be opened
  size_t open_ = 0;     // slots with a socket
  size_t opening_ = 0;  // of these, in their handshake
  int epoll_;
};

// Polls `done` until it holds; false: the deadline came first.
template <typename Condition>
bool WaitFor(milliseconds deadline, Condition done) {
  const Clock::time_point end = Clock::now() + deadline;
  while (!done()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// RFC 1929, section 2: VER, ULEN, UNAME, PLEN, PASSWD.
std::string LoginMessage(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon > 255 || text.size() - colon > 256) Die("--login NAME:PASSWORD is needed");
  const std::string name = text.substr(0, colon);
  const std::string password = text.substr(colon + 1);
  return '\x01' + std::string(1, static_cast<char>(name.size())) + name +
         std::string(1, static_cast<char>(password.size())) + password;
}

Plan MakePlan(Mode mode, const Options& options) {
  Plan plan{};
  plan.mode = mode;
  plan.socks = options.Has("via") && !options.Has("no-socks");
  if (options.Has("via")) plan.gateway.push_back(ParseAddress(options.Text("via")));
  const auto targets = static_cast<uint32_t>(options.Number("targets", 1));
  for (uint32_t i = 0; i < targets; ++i) plan.targets.push_back(Advance(ParseAddress(options.Text("target")), i));
  plan.sources = static_cast<uint32_t>(options.Number("sources", 0));
  plan.conns = static_cast<size_t>(options.Number("conns", 64));
  if (options.Has("login")) plan.login = LoginMessage(options.Text("login"));
  return plan;
}

void AwaitEndOfStdin() {
  std::array<char, 256> ignored;
  while (read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {
  }
}

int RunClient(Mode mode, const Options& options) {
  const Plan plan = MakePlan(mode, options);
  const bool bulk = mode == Mode::kUpload || mode == Mode::kDownload;
  const bool kept = mode == Mode::kIdle || mode == Mode::kStuck;  // until stdin ends
  const bool cut = options.Has("cut");
  if (bulk && plan.conns > kBulkMax) Die("--conns is too large");
  Stats* stats = bulk ? MapStats(options.Text("stats"), false) : nullptr;
  const auto duration = std::chrono::duration<double>(options.Number("seconds", 2));
  const size_t threads = std::clamp<size_t>(static_cast<size_t>(options.Number("threads", 1)), 1, plan.conns);

  Board board;
  const uint64_t sunk_before = bulk ? stats->sunk.load() : 0;
  const uint64_t sinks_before = bulk ? stats->sinks.load() : 0;
  // The quantity whose growth is the rate, always taken at the receiving end.
  const auto count = [&]() -> uint64_t {
    if (mode == Mode::kUpload) return stats->sunk.load() - sunk_before;
    return mode == Mode::kDownload ? board.bytes.load() : board.done.load();
  };
  // The same for each tunnel of a bulk mode. Which is which does not matter.
  const auto count_each = [&] {
    std::vector<uint64_t> each(bulk ? plan.conns : 0);
    for (size_t i = 0; i < each.size(); ++i) {
      each[i] =
          mode == Mode::kUpload ? stats->sunk_by[(sinks_before + i) % kBulkMax].load() : board.received_by[i].load();
    }
    return each;
  };

  std::vector<std::thread> pool;
  for (size_t i = 0; i < threads; ++i) {
    const size_t first = plan.conns * i / threads;
    const size_t end = plan.conns * (i + 1) / threads;
    pool.emplace_back([&plan, &board, first, end] { Client(plan, board, first, end - first).Run(); });
  }
  if (mode != Mode::kConnect &&
      !WaitFor(kOpenDeadline, [&] { return board.up + board.errors >= plan.conns || board.errors > kMaxErrors; })) {
    board.Fail("only " + std::to_string(board.up) + " of " + std::to_string(plan.conns) + " tunnels came up in time");
  }

  uint64_t counted = 0;
  std::vector<uint64_t> each;
  Clock::duration elapsed{1};
  if (kept) {
    std::printf("open=%lu errors=%lu\n", static_cast<unsigned long>(board.up.load()),
                static_cast<unsigned long>(board.errors.load()));
    std::fflush(stdout);
    AwaitEndOfStdin();
    board.phase = Phase::kClose;
  } else if (board.errors == 0) {
    // Behind a limit it takes a while until each tunnel has had its first turn.
    const auto all_move = [&] { return std::ranges::none_of(count_each(), [](uint64_t bytes) { return bytes == 0; }); };
    if (!WaitFor(kOpenDeadline, [&] { return all_move() || board.errors > 0; })) board.Fail("a tunnel carries nothing");
    std::this_thread::sleep_for(kWarmUp);
    const uint64_t begin = count();
    const std::vector<uint64_t> each_begin = count_each();
    const Clock::time_point start = Clock::now();
    std::this_thread::sleep_for(duration);
    counted = count() - begin;
    each = count_each();
    elapsed = Clock::now() - start;
    for (size_t i = 0; i < each.size(); ++i) each[i] -= each_begin[i];
  }

  if (!kept) board.phase = cut ? Phase::kClose : Phase::kStop;
  if (mode == Mode::kDownload) ++stats->stop;
  if (mode == Mode::kUpload && !cut) {
    // All that was sent has to arrive: it proves that nothing was lost, and CPU per byte needs the final number.
    // The client may still be in a last send() when it learns of the stop; both counters then settle together.
    const auto settled = [&] {
      const uint64_t sent = board.bytes.load();
      return count() == sent && (std::this_thread::sleep_for(milliseconds(20)), board.bytes.load() == sent);
    };
    if (board.errors == 0 && !WaitFor(kDrainDeadline, settled)) {
      board.Fail("sent " + std::to_string(board.bytes) + " bytes but the target received " + std::to_string(count()));
    }
    board.phase = Phase::kClose;
  }
  for (std::thread& thread : pool) thread.join();

  std::printf("count=%lu seconds=%.6f rate=%.3f ", static_cast<unsigned long>(counted), Seconds(elapsed),
              static_cast<double>(counted) / Seconds(elapsed));
  if (!each.empty()) {
    const auto [lowest, highest] = std::minmax_element(each.begin(), each.end());
    std::printf("lowest=%.3f highest=%.3f ", static_cast<double>(*lowest) / Seconds(elapsed),
                static_cast<double>(*highest) / Seconds(elapsed));
  }
  std::printf("total=%lu errors=%lu first_error=%s\n", static_cast<unsigned long>(count()),
              static_cast<unsigned long>(board.errors.load()), board.first_error.c_str());
  return 0;
}

// ---------------------------------------------------------------- one quiet tunnel beside bulk

// A tunnel of a thread of its own, which waits.
int OpenTunnel(const Plan& plan) {
  const Address& to = plan.gateway.empty() ? plan.targets[0] : plan.gateway[0];
  const int fd = socket(to.Family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, to.Raw(), to.size) != 0) DieErrno("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!plan.socks) return fd;
  std::array<uint8_t, 13> hello{5, 1, 0, 5, 1, 0, 1};
  std::memcpy(&hello[7], &plan.targets[0].V4().sin_addr, 4);
  std::memcpy(&hello[11], &plan.targets[0].V4().sin_port, 2);
  if (send(fd, hello.data(), hello.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(hello.size())) DieErrno("send");
  std::array<uint8_t, 12> answer;
  if (recv(fd, answer.data(), answer.size(), MSG_WAITALL) != static_cast<ssize_t>(answer.size()) || answer[3] != 0) {
    Die("the quiet tunnel was refused");
  }
  return fd;
}

// In milliseconds, one each.
std::vector<double> RoundTrips(int fd, Clock::duration duration) {
  std::vector<double> times;
  std::array<char, kMessageSize> message;
  message.fill(kEcho);
  const Clock::time_point end = Clock::now() + duration;
  for (Clock::time_point start = Clock::now(); start < end; start = Clock::now()) {
    if (send(fd, message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size()) ||
        recv(fd, message.data(), message.size(), MSG_WAITALL) != static_cast<ssize_t>(message.size())) {
      Die("the quiet tunnel was cut");
    }
    times.push_back(1000 * Seconds(Clock::now() - start));
    std::this_thread::sleep_for(milliseconds(1));  // a quiet one
  }
  return times;
}

// Answers one connection, in a thread of its own: the target of the bulk tunnels would make the quiet one wait.
void EchoOne(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  std::array<char, kMessageSize> message;
  while (recv(fd, message.data(), message.size(), MSG_WAITALL) == static_cast<ssize_t>(message.size())) {
    if (send(fd, message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size())) break;
  }
  close(fd);
}

int RunQuiet(const Options& options) {
  const Plan plan = MakePlan(Mode::kDownload, options);
  Plan quiet_plan = plan;
  quiet_plan.targets = {ParseAddress("127.0.0.1:0")};
  const int listener = Listen(quiet_plan.targets[0]);
  fcntl(listener, F_SETFL, 0);
  if (getsockname(listener, quiet_plan.targets[0].Raw(), &quiet_plan.targets[0].size) != 0) DieErrno("getsockname");
  std::thread echo([listener] { EchoOne(listener); });
  Stats* const stats = MapStats(options.Text("stats"), false);
  Board board;
  std::thread bulk([&] { Client(plan, board, 0, plan.conns).Run(); });
  if (!WaitFor(kOpenDeadline, [&] { return board.up + board.errors >= plan.conns; })) board.Fail("not all came up");
  const int quiet = OpenTunnel(quiet_plan);
  std::this_thread::sleep_for(kWarmUp);
  const auto duration = std::chrono::duration<double>(options.Number("seconds", 2));
  const uint64_t before = board.bytes;
  std::vector<double> times = RoundTrips(quiet, std::chrono::duration_cast<Clock::duration>(duration));
  const double rate = static_cast<double>(board.bytes - before) / duration.count();
  close(quiet);
  board.phase = Phase::kStop;
  ++stats->stop;
  bulk.join();
  echo.join();
  std::ranges::sort(times);
  const auto at = [&](double part) { return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))]; };
  std::printf("count=%zu rate=%.3f p50=%.3f p99=%.3f max=%.3f total=%zu errors=%lu first_error=%s\n", times.size(),
              rate, at(0.5), at(0.99), times.back(), times.size(), static_cast<unsigned long>(board.errors.load()),
              board.first_error.c_str());
  return 0;
}

// ---------------------------------------------------------------- clients of UDP associations

struct UdpPlan {
  bool flood;
  Address target;
  std::vector<Address> gateway;  // empty: contact the target directly
  size_t window;
  std::vector<char> datagram;  // SOCKS header, unless direct, and data
};

struct UdpAssociation {
  int control = -1;
  int fd = -1;         // connected to `bound`
  Address bound{};     // BND of the reply; the target when there is no gateway
  size_t missing = 0;  // sent, and not answered yet
  Clock::time_point heard{};
};

void ReceiveAll(int fd, uint8_t* bytes, size_t size) {
  if (recv(fd, bytes, size, MSG_WAITALL) != static_cast<ssize_t>(size)) Die("UDP ASSOCIATE: no reply");
}

UdpAssociation Associate(const UdpPlan& plan) {
  const Address& gateway = plan.gateway.front();
  UdpAssociation made;
  made.control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(made.control, gateway.Raw(), gateway.size) != 0) DieErrno("connect");
  std::array<uint8_t, 10> bytes{};
  if (send(made.control, "\x05\x01\x00", 3, MSG_NOSIGNAL) != 3) DieErrno("send");
  ReceiveAll(made.control, bytes.data(), 2);
  if (send(made.control, "\x05\x03\x00\x01\0\0\0\0\0\0", 10, MSG_NOSIGNAL) != 10) DieErrno("send");
  ReceiveAll(made.control, bytes.data(), 10);
  if (bytes[1] != 0 || bytes[3] != 1) Die("UDP ASSOCIATE refused with " + std::to_string(bytes[1]));
  made.bound = gateway;
  std::memcpy(&made.bound.V4().sin_addr, &bytes[4], 4);
  std::memcpy(&made.bound.V4().sin_port, &bytes[8], 2);
  return made;
}

// An association, or nothing but a socket when there is no gateway.
UdpAssociation OpenPath(const UdpPlan& plan) {
  UdpAssociation path = plan.gateway.empty() ? UdpAssociation{.bound = plan.target} : Associate(plan);
  path.fd = UdpSocket(AF_INET);
  if (connect(path.fd, path.bound.Raw(), path.bound.size) != 0) DieErrno("connect");
  path.heard = Clock::now();
  return path;
}

struct UdpBoard {
  std::atomic<bool> running{true};
  std::atomic<uint64_t> done{0};  // round trips
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> lost{0};
};

constexpr milliseconds kLostAfter{300};

void SendBurst(const UdpPlan& plan, UdpAssociation& association, DatagramWriter& out, size_t count, UdpBoard& board) {
  while (count > 0) {
    for (size_t i = 0; i < std::min(count, kBatch); ++i) out.Add(plan.datagram.data(), plan.datagram.size(), nullptr);
    const size_t sent = out.Send(association.fd);
    if (sent == 0) return;
    count -= sent;
    association.missing += sent;
    board.sent.fetch_add(sent, std::memory_order_relaxed);
  }
}

void FloodDatagrams(const UdpPlan& plan, UdpBoard& board, std::vector<UdpAssociation>& associations) {
  auto out = std::make_unique<DatagramWriter>();
  while (board.running.load(std::memory_order_relaxed)) {
    for (UdpAssociation& association : associations) SendBurst(plan, association, *out, kBatch, board);
  }
}

void EchoDatagrams(const UdpPlan& plan, UdpBoard& board, std::vector<UdpAssociation>& associations) {
  DatagramReader in;
  auto out = std::make_unique<DatagramWriter>();
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (UdpAssociation& association : associations) {
    Watch(epoll, EPOLL_CTL_ADD, association.fd, EPOLLIN, &association);
    SendBurst(plan, association, *out, plan.window, board);
  }
  Events events;
  Clock::time_point look = Clock::now() + kLostAfter;
  for (;;) {
    const bool running = board.running.load(std::memory_order_relaxed);
    const size_t count = WaitEvents(epoll, events, 50);
    const Clock::time_point now = Clock::now();
    for (size_t i = 0; i < count; ++i) {
      auto& association = *static_cast<UdpAssociation*>(events[i].data.ptr);
      const auto& answers = in.Receive(association.fd);
      const size_t got = answers.size();
      for (const auto& answer : answers) {
        if (answer.size != plan.datagram.size()) Die("an answer of another length");
      }
      association.missing -= std::min(got, association.missing);
      association.heard = now;
      board.done.fetch_add(got, std::memory_order_relaxed);
      if (running) SendBurst(plan, association, *out, got, board);
    }
    if (now < look) continue;
    look = now + kLostAfter;
    bool quiet = true;
    for (UdpAssociation& association : associations) {
      if (association.missing == 0) continue;
      if (now - association.heard < kLostAfter) {
        quiet = false;
        continue;
      }
      board.lost.fetch_add(association.missing);
      association.missing = 0;
      if (running) SendBurst(plan, association, *out, plan.window, board);
    }
    if (!running && quiet) return;
  }
}

int RunUdpClient(bool flood, const Options& options) {
  UdpPlan plan{};
  plan.flood = flood;
  plan.target = ParseAddress(options.Text("target"));
  if (options.Has("via")) plan.gateway.push_back(ParseAddress(options.Text("via")));
  plan.window = static_cast<size_t>(options.Number("window", 32));
  const auto size = static_cast<size_t>(options.Number("size", 64));
  if (!plan.gateway.empty()) {
    plan.datagram = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    std::memcpy(&plan.datagram[4], &plan.target.V4().sin_addr, 4);
    std::memcpy(&plan.datagram[8], &plan.target.V4().sin_port, 2);
  }
  plan.datagram.resize(plan.datagram.size() + std::max<size_t>(size, 1), flood ? kSink : kEcho);
  if (plan.datagram.size() > kDatagramMax) Die("--size is too large");
  const auto conns = static_cast<size_t>(options.Number("conns", 1));
  const size_t threads = std::clamp<size_t>(static_cast<size_t>(options.Number("threads", 1)), 1, conns);
  Stats* stats = flood ? MapStats(options.Text("stats"), false) : nullptr;

  UdpBoard board;
  const uint64_t before = flood ? stats->datagrams.load() : 0;
  const auto count = [&] { return flood ? stats->datagrams.load() - before : board.done.load(); };
  std::vector<std::vector<UdpAssociation>> of_thread(threads);
  for (size_t i = 0; i < conns; ++i) of_thread[i % threads].push_back(OpenPath(plan));
  std::vector<std::thread> pool;
  for (auto& associations : of_thread) {
    pool.emplace_back(
        [&] { flood ? FloodDatagrams(plan, board, associations) : EchoDatagrams(plan, board, associations); });
  }
  std::this_thread::sleep_for(kWarmUp);
  const uint64_t begin = count();
  const Clock::time_point start = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.Number("seconds", 2)));
  const uint64_t counted = count() - begin;
  const Clock::duration elapsed = Clock::now() - start;
  board.running = false;
  for (std::thread& thread : pool) thread.join();
  if (flood) {
    // What is still on its way arrives: the count has not changed for a while.
    uint64_t last = 0;
    do {
      last = count();
      std::this_thread::sleep_for(milliseconds(100));
    } while (count() != last);
    board.lost = board.sent - std::min<uint64_t>(count(), board.sent);
  }
  std::printf("count=%lu seconds=%.6f rate=%.3f total=%lu errors=0 sent=%lu lost=%lu first_error=\n",
              static_cast<unsigned long>(counted), Seconds(elapsed), static_cast<double>(counted) / Seconds(elapsed),
              static_cast<unsigned long>(count()), static_cast<unsigned long>(board.sent.load()),
              static_cast<unsigned long>(board.lost.load()));
  return 0;
}

// Whether something accepts connections at --via. Done here and not in the orchestrator because this program can be
// started inside a network namespace.
int RunReady(const Options& options) {
  const Address to = ParseAddress(options.Text("via"));
  const int fd = socket(to.Family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return 1;
  if (connect(fd, to.Raw(), to.size) == 0) return 0;
  pollfd waiting{fd, POLLOUT, 0};
  if (errno != EINPROGRESS || poll(&waiting, 1, 1000) != 1) return 1;
  return (waiting.revents & (POLLERR | POLLHUP)) != 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  const std::string mode = argc > 1 ? argv[1] : "";
  const Options options(argc, argv);
  if (mode == "target") return RunTarget(options);
  if (mode == "ready") return RunReady(options);
  if (mode == "connect") return RunClient(Mode::kConnect, options);
  if (mode == "pingpong") return RunClient(Mode::kPingpong, options);
  if (mode == "upload") return RunClient(Mode::kUpload, options);
  if (mode == "download") return RunClient(Mode::kDownload, options);
  if (mode == "idle") return RunClient(Mode::kIdle, options);
  if (mode == "stuck") return RunClient(Mode::kStuck, options);
  if (mode == "quiet") return RunQuiet(options);
  if (mode == "udp-echo") return RunUdpClient(false, options);
  if (mode == "udp-flood") return RunUdpClient(true, options);
  Die("usage: load target|ready|connect|pingpong|upload|download|idle|stuck|quiet|udp-echo|udp-flood [options]; see "
      "load.cc");
}
