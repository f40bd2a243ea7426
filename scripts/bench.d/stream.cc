#include "stream.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace load {
namespace {

constexpr int kMaxErrors = 1000;    // a gateway that refuses everything must not make a client spin
constexpr size_t kMaxOpening = 64;  // handshakes under way per thread; some peers listen with a backlog of 100

// kRun: load; kStop: start nothing new, finish what is under way; kClose: close all that is still open.
enum class Phase { kRun, kStop, kClose };

struct Plan {
  Mode mode;
  bool socks;
  std::vector<Address> targets;
  Address peer;  // the gateway; the first target if there is none
  bool direct;
  uint32_t sources;
  size_t conns;
  std::string login;  // the message of RFC 1929; empty: no login

  bool sends_bulk() const { return mode == Mode::kUpload || mode == Mode::kBoth; }
  bool receives_bulk() const { return mode == Mode::kDownload || mode == Mode::kBoth; }
  bool bulk() const { return sends_bulk() || receives_bulk(); }
};

// The first byte of every message and of bulk.
char RoleOfTarget(Mode mode) {
  switch (mode) {
    case Mode::kConnect:
    case Mode::kPingpong:
    case Mode::kIdle:
      return kEcho;
    case Mode::kUpload:
      return kSink;
    case Mode::kDownload:
    case Mode::kStuck:
      return kSource;
    case Mode::kBoth:
      return kDuplex;
  }
  return kEcho;
}

// RFC 1929, section 2: VER, ULEN, UNAME, PLEN, PASSWD.
std::string LoginMessage(const std::string& text) {
  const size_t colon = text.find(':');
  // Each has at most 255 bytes; without a colon, npos is more.
  if (colon > 255 || text.size() - colon > 256) Die("--login NAME:PASSWORD is needed");
  const std::string name = text.substr(0, colon);
  const std::string password = text.substr(colon + 1);
  return '\x01' + std::string(1, static_cast<char>(name.size())) + name +
         std::string(1, static_cast<char>(password.size())) + password;
}

Plan MakePlan(Mode mode, const Options& options) {
  Plan plan{};
  plan.mode = mode;
  plan.direct = !options.Has("via");
  plan.socks = !plan.direct && !options.Has("no-socks");
  for (uint32_t i = 0; i < options.Count("targets", 1); ++i) {
    plan.targets.push_back(Advance(ParseAddress(options.Text("target")), i));
  }
  plan.peer = plan.direct ? plan.targets[0] : ParseAddress(options.Text("via"));
  plan.sources = static_cast<uint32_t>(options.Count("sources", 0));
  plan.conns = options.Count("conns", 64);
  if (plan.conns > kBulkMax && plan.bulk()) Die("--conns is too large");
  if (options.Has("login")) plan.login = LoginMessage(options.Text("login"));
  return plan;
}

// RFC 1928, section 4: a CONNECT to an IPv4 address.
std::array<uint8_t, 10> ConnectRequest(const Address& target) {
  std::array<uint8_t, 10> request{5, 1, 0, 1};
  std::memcpy(&request[4], &target.sin_addr, 4);
  std::memcpy(&request[8], &target.sin_port, 2);
  return request;
}

// What all client threads share.
struct Board {
  std::atomic<Phase> phase{Phase::kRun};
  std::atomic<uint64_t> up{0};                                // tunnels whose handshake is complete (kept ones)
  std::atomic<uint64_t> done{0};                              // connections or round trips completed
  std::atomic<uint64_t> sent{0};                              // bytes of bulk
  std::atomic<uint64_t> received{0};                          // the same
  std::array<std::atomic<uint64_t>, kBulkMax> received_by{};  // of these, by each tunnel
  std::atomic<uint64_t> errors{0};
  std::mutex mutex;
  std::string first_error;  // guarded by mutex

  void Fail(const std::string& what) {
    ++errors;
    const std::lock_guard lock(mutex);
    if (first_error.empty()) first_error = what;
  }
};

// The tunnels of one thread.
class Client {
 public:
  Client(const Plan& plan, Board& board, size_t first, size_t count)
      : plan_(plan),
        board_(board),
        bulk_(kBulkSize, RoleOfTarget(plan.mode)),
        buffer_(kBulkSize),
        tunnels_(count),
        serial_(first) {
    message_.fill(RoleOfTarget(plan.mode));
  }

  void Run() {
    Events events;
    Clock::time_point deadline = Clock::time_point::max();
    for (;;) {
      const Phase phase = board_.phase.load();
      if (phase == Phase::kRun) {
        OpenMore();
      } else if (deadline == Clock::time_point::max()) {
        deadline = Clock::now() + kDrainTimeout + milliseconds(1000);
      }
      if (phase == Phase::kClose) CloseAll();
      if (phase != Phase::kRun && open_ == 0) return;
      if (Clock::now() > deadline) return FailAll();
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
    bool failed = false;  // a kept tunnel that broke is not opened again
  };

  void OpenMore() {
    for (size_t i = next_; i < tunnels_.size() && opening_ < kMaxOpening; ++i) {
      if (tunnels_[i].fd < 0 && !tunnels_[i].failed) Open(tunnels_[i]);
      next_ = i + 1;
    }
  }

  void Open(Tunnel& tunnel) {
    tunnel.serial = serial_++;
    tunnel.target = &plan_.targets[tunnel.serial % plan_.targets.size()];
    const Address& to = plan_.direct ? *tunnel.target : plan_.peer;
    tunnel.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tunnel.fd < 0) DieErrno("socket");
    tunnel.state = State::kConnecting;
    tunnel.have = 0;
    ++open_;
    ++opening_;
    const int on = 1;
    ::setsockopt(tunnel.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (plan_.sources > 0) BindSource(tunnel);
    if (::connect(tunnel.fd, Raw(to), sizeof to) != 0 && errno != EINPROGRESS) return Fail(tunnel, "connect");
    // Edge-triggered for both directions: the handshake needs a single epoll_ctl.
    Watch(epoll_, EPOLL_CTL_ADD, tunnel.fd, EPOLLIN | EPOLLOUT | EPOLLET, &tunnel);
  }

  // One pair of addresses has only as many ports as the ephemeral range, and a closed connection keeps its port for a
  // minute (TIME_WAIT). Short connections are therefore spread over consecutive addresses.
  void BindSource(const Tunnel& tunnel) const {
    const int on = 1;
    // The port is left to connect(), which may share it between connections to different destinations.
    ::setsockopt(tunnel.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const Address source = Advance(ParseAddress("127.0.1.1:0"), static_cast<uint32_t>(tunnel.serial) % plan_.sources);
    if (::bind(tunnel.fd, Raw(source), sizeof source) != 0) DieErrno("bind");
  }

  void Close(Tunnel& tunnel) {
    if (tunnel.state != State::kUp) --opening_;
    ::close(tunnel.fd);
    tunnel.fd = -1;
    tunnel.state = State::kClosed;
    --open_;
  }

  void CloseAll() {
    for (Tunnel& tunnel : tunnels_) {
      if (tunnel.fd >= 0) Close(tunnel);
    }
  }

  void FailAll() {
    errno = 0;
    for (Tunnel& tunnel : tunnels_) {
      if (tunnel.fd >= 0) Fail(tunnel, "unfinished at the end");
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
    if (::send(tunnel.fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) Fail(tunnel, "send");
  }

  void SendMessage(Tunnel& tunnel, State next) { Send(tunnel, message_.data(), message_.size(), next); }

  // True when `want` bytes are there. A short read took all there was, so epoll reports the rest.
  bool Receive(Tunnel& tunnel, uint32_t events, size_t want, const char* what) {
    if (!(events & EPOLLIN)) return false;
    errno = 0;
    const ssize_t got = ::recv(tunnel.fd, tunnel.in.data() + tunnel.have, want - tunnel.have, 0);
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) {
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
        return StepConnecting(tunnel, events);
      case State::kGreeting:
        return StepGreeting(tunnel, events);
      case State::kLogin:
        return StepLogin(tunnel, events);
      case State::kRequest:
        return StepRequest(tunnel, events);
      case State::kFirstEcho:
        return StepFirstEcho(tunnel, events);
      case State::kUp:
        return StepUp(tunnel, events);
    }
  }

  void StepConnecting(Tunnel& tunnel, uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) {
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(tunnel.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      errno = error;
      return Fail(tunnel, "connect");
    }
    if (!(events & EPOLLOUT)) return;
    if (!plan_.socks) return OnEstablished(tunnel);
    Send(tunnel, plan_.login.empty() ? "\x05\x01\x00" : "\x05\x01\x02", 3, State::kGreeting);
  }

  void StepGreeting(Tunnel& tunnel, uint32_t events) {
    if (!Receive(tunnel, events, 2, "greeting")) return;
    const int method = plan_.login.empty() ? 0 : 2;
    if (tunnel.in[0] != 5 || tunnel.in[1] != method) return Fail(tunnel, "SOCKS method refused");
    if (plan_.login.empty()) return SendRequest(tunnel);
    Send(tunnel, plan_.login.data(), plan_.login.size(), State::kLogin);
  }

  void StepLogin(Tunnel& tunnel, uint32_t events) {
    if (!Receive(tunnel, events, 2, "login")) return;
    if (tunnel.in[1] != 0) return Fail(tunnel, "login refused");
    SendRequest(tunnel);
  }

  void SendRequest(Tunnel& tunnel) {
    const auto request = ConnectRequest(*tunnel.target);
    Send(tunnel, request.data(), request.size(), State::kRequest);
  }

  // The target says nothing before the client does, so reading as much as comes takes no bytes of the tunnel.
  void StepRequest(Tunnel& tunnel, uint32_t events) {
    if (!(events & EPOLLIN)) return;
    errno = 0;
    const ssize_t got = ::recv(tunnel.fd, tunnel.in.data() + tunnel.have, tunnel.in.size() - tunnel.have, 0);
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
    OnEstablished(tunnel);
  }

  void OnEstablished(Tunnel& tunnel) {
    switch (plan_.mode) {
      case Mode::kUpload:
        OnUp(tunnel);
        return Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, EPOLLOUT, &tunnel);
      case Mode::kBoth:
        OnUp(tunnel);
        return Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, EPOLLIN | EPOLLOUT, &tunnel);
      case Mode::kDownload:
      case Mode::kStuck:
        SendMessage(tunnel, State::kUp);
        if (tunnel.fd < 0) return;
        OnUp(tunnel);
        // Level-triggered for bulk: a bounded amount per event gives all tunnels equal turns.
        return Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, plan_.mode == Mode::kStuck ? 0U : uint32_t{EPOLLIN}, &tunnel);
      case Mode::kConnect:
      case Mode::kPingpong:
      case Mode::kIdle:
        // A round trip proves that the way to the target is open; also idle tunnels have carried something once.
        return SendMessage(tunnel, State::kFirstEcho);
    }
  }

  void OnUp(Tunnel& tunnel) {
    tunnel.state = State::kUp;
    --opening_;
    ++board_.up;
  }

  void StepFirstEcho(Tunnel& tunnel, uint32_t events) {
    if (!Receive(tunnel, events, kMessageSize, "first message")) return;
    if (plan_.mode == Mode::kConnect) {
      ++board_.done;
      Close(tunnel);
      return Reopen(tunnel);
    }
    OnUp(tunnel);
    if (plan_.mode == Mode::kPingpong) Ping(tunnel);
  }

  void StepUp(Tunnel& tunnel, uint32_t events) {
    errno = 0;
    switch (plan_.mode) {
      case Mode::kConnect:
        return;
      case Mode::kPingpong:
        return StepPingpong(tunnel, events);
      case Mode::kUpload:
        return StepUpload(tunnel, events);
      case Mode::kDownload:
        return StepDownload(tunnel);
      case Mode::kBoth:
        if (events & EPOLLIN) StepDownload(tunnel);
        if (tunnel.fd >= 0 && (events & EPOLLOUT)) StepUpload(tunnel, events);
        return;
      case Mode::kIdle:
        if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) Fail(tunnel, "idle tunnel cut");
        return;
      case Mode::kStuck:
        return Fail(tunnel, "stuck tunnel cut");
    }
  }

  void Ping(Tunnel& tunnel) {
    if (board_.phase.load(std::memory_order_relaxed) != Phase::kRun) return Close(tunnel);
    SendMessage(tunnel, State::kUp);
  }

  void StepPingpong(Tunnel& tunnel, uint32_t events) {
    if (!Receive(tunnel, events, kMessageSize, "message")) return;
    board_.done.fetch_add(1, std::memory_order_relaxed);
    Ping(tunnel);
  }

  void StepUpload(Tunnel& tunnel, uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) return Fail(tunnel, "upload cut");
    if (board_.phase.load(std::memory_order_relaxed) != Phase::kRun) {
      // It stays open while the gateway drains.
      return Watch(epoll_, EPOLL_CTL_MOD, tunnel.fd, plan_.receives_bulk() ? uint32_t{EPOLLIN} : 0U, &tunnel);
    }
    const ssize_t sent = ::send(tunnel.fd, bulk_.data(), bulk_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return Fail(tunnel, "upload");
    if (sent > 0) board_.sent.fetch_add(Size(sent), std::memory_order_relaxed);
  }

  void StepDownload(Tunnel& tunnel) {
    const ssize_t got = ::recv(tunnel.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got == 0 && board_.phase.load() != Phase::kRun) return Close(tunnel);  // as asked of the source
    if (got <= 0) return Fail(tunnel, "download cut");
    board_.received.fetch_add(Size(got), std::memory_order_relaxed);
    board_.received_by[tunnel.serial % kBulkMax].fetch_add(Size(got), std::memory_order_relaxed);
  }

  const Plan& plan_;
  Board& board_;
  const std::vector<char> bulk_;  // what is sent
  std::vector<char> buffer_;      // received into
  std::array<char, kMessageSize> message_;
  std::vector<Tunnel> tunnels_;
  size_t serial_;       // number of connections opened; picks source and target addresses
  size_t next_ = 0;     // first slot that may still have to be opened
  size_t open_ = 0;     // slots with a socket
  size_t opening_ = 0;  // of these, in their handshake
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
};

// The threads of one mode, from the first tunnel to the printed figures.
class Streams {
 public:
  Streams(Mode mode, const Options& options)
      : plan_(MakePlan(mode, options)), duration_(options.Duration()), cut_(options.Has("cut")) {
    if (plan_.bulk() || plan_.mode == Mode::kStuck) {
      stats_ = MapStats(options.Text("stats"), false);
      sunk_before_ = stats_->sunk.load();
      sinks_before_ = stats_->sinks.load();
    }
    const size_t threads = options.Threads(plan_.conns);
    for (size_t i = 0; i < threads; ++i) {
      const size_t first = plan_.conns * i / threads;
      const size_t end = plan_.conns * (i + 1) / threads;
      pool_.emplace_back([this, first, end] { Client(plan_, board_, first, end - first).Run(); });
    }
  }

  void Run() {
    AwaitTunnels();
    if (plan_.mode == Mode::kIdle || plan_.mode == Mode::kStuck) {
      if (plan_.mode == Mode::kStuck) AwaitStandstill();
      HoldUntilEndOfStdin();
    } else {
      if (board_.errors == 0) Measure();
      Finish();
    }
    for (std::thread& thread : pool_) thread.join();
    Print();
  }

 private:
  // The quantity whose growth is the rate, always taken at the receiving end.
  uint64_t Count() const {
    if (!plan_.bulk()) return board_.done.load();
    return (plan_.sends_bulk() ? Sunk() : 0) + board_.received.load();
  }

  uint64_t Sunk() const { return stats_->sunk.load() - sunk_before_; }

  // The same for each tunnel and direction of a bulk mode. Which is which does not matter.
  std::vector<uint64_t> CountEach() const {
    std::vector<uint64_t> each;
    for (size_t i = 0; i < plan_.conns; ++i) {
      if (plan_.sends_bulk()) each.push_back(stats_->sunk_by[(sinks_before_ + i) % kBulkMax]);
      if (plan_.receives_bulk()) each.push_back(board_.received_by[i]);
    }
    return each;
  }

  void AwaitTunnels() {
    if (plan_.mode == Mode::kConnect) return;
    const auto all_up = [&] { return board_.up + board_.errors >= plan_.conns || board_.errors > kMaxErrors; };
    if (WaitFor(kOpenTimeout, all_up)) return;
    board_.Fail("only " + std::to_string(board_.up) + " of " + std::to_string(plan_.conns) +
                " tunnels came up in time");
  }

  // No buffer tells that it is full; but while one is not, the sources send.
  void AwaitStandstill() {
    uint64_t sourced = 0;
    Clock::time_point since = Clock::now();
    const auto still = [&] {
      const uint64_t now = stats_->sourced.load();
      if (now != std::exchange(sourced, now)) since = Clock::now();
      return Clock::now() - since > kStill;
    };
    if (!WaitFor(kOpenTimeout, still)) board_.Fail("tunnels that nobody reads do not come to a standstill");
  }

  void HoldUntilEndOfStdin() {
    std::printf("open=%" PRIu64 " errors=%" PRIu64 "\n", board_.up.load(), board_.errors.load());
    std::fflush(stdout);
    std::array<char, 256> ignored;
    while (::read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {
    }
    board_.phase = Phase::kClose;
  }

  void Measure() {
    // Behind a limit it takes a while until each tunnel has had its first turn.
    const auto all_move = [&] { return std::ranges::none_of(CountEach(), [](uint64_t bytes) { return bytes == 0; }); };
    if (!WaitFor(kOpenTimeout, [&] { return all_move() || board_.errors > 0; }))
      board_.Fail("a tunnel carries nothing");
    std::this_thread::sleep_for(kWarmUp);
    const uint64_t begin = Count();
    const std::vector<uint64_t> each_begin = CountEach();
    const Clock::time_point start = Clock::now();
    std::this_thread::sleep_for(duration_);
    counted_ = Count() - begin;
    each_ = CountEach();
    elapsed_ = Clock::now() - start;
    for (size_t i = 0; i < each_.size(); ++i) each_[i] -= each_begin[i];
  }

  void Finish() {
    board_.phase = cut_ ? Phase::kClose : Phase::kStop;
    // A source that ended before its sink has received everything would cut the upload.
    if (plan_.sends_bulk() && !cut_) DrainUpload();
    if (plan_.receives_bulk()) ++stats_->stop;
    if (plan_.mode == Mode::kUpload) board_.phase = Phase::kClose;
  }

  // All that was sent has to arrive: it proves that nothing was lost, and CPU per byte needs the final number.
  void DrainUpload() {
    // The client may still be in a last send() when it learns of the stop; both counters then settle together.
    const auto settled = [&] {
      const uint64_t sent = board_.sent.load();
      if (Sunk() != sent) return false;
      std::this_thread::sleep_for(milliseconds(20));
      return board_.sent.load() == sent;
    };
    if (board_.errors == 0 && !WaitFor(kDrainTimeout, settled)) {
      board_.Fail("sent " + std::to_string(board_.sent) + " bytes but the target received " + std::to_string(Sunk()));
    }
  }

  double Rate(uint64_t counted) const { return static_cast<double>(counted) / Seconds(elapsed_); }

  void Print() const {
    std::printf("count=%" PRIu64 " seconds=%.6f rate=%.3f ", counted_, Seconds(elapsed_), Rate(counted_));
    if (!each_.empty()) {
      const auto [lowest, highest] = std::ranges::minmax(each_);
      std::printf("lowest=%.3f highest=%.3f ", Rate(lowest), Rate(highest));
    }
    std::printf("total=%" PRIu64 " errors=%" PRIu64 " first_error=%s\n", Count(), board_.errors.load(),
                board_.first_error.c_str());
  }

  Plan plan_;
  Clock::duration duration_;
  bool cut_;
  Stats* stats_ = nullptr;  // modes with a sink or a source only
  uint64_t sunk_before_ = 0;
  uint64_t sinks_before_ = 0;
  Board board_;
  std::vector<std::thread> pool_;
  uint64_t counted_ = 0;        // in elapsed_
  std::vector<uint64_t> each_;  // the same for each bulk tunnel
  Clock::duration elapsed_{1};
};

template <typename Bytes>
bool SendAll(int fd, const Bytes& bytes) {
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

template <typename Bytes>
bool ReceiveAll(int fd, Bytes& bytes) {
  return ::recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) == static_cast<ssize_t>(bytes.size());
}

// A tunnel to `target` that blocks.
int OpenTunnel(const Plan& plan, const Address& target) {
  const int fd = ConnectTo(plan.direct ? target : plan.peer);
  if (!plan.socks) return fd;
  std::array<uint8_t, 2> method;
  std::array<uint8_t, 10> reply;
  if (!SendAll(fd, std::array<uint8_t, 3>{5, 1, 0}) || !ReceiveAll(fd, method) || method[1] != 0 ||
      !SendAll(fd, ConnectRequest(target)) || !ReceiveAll(fd, reply) || reply[1] != 0) {
    Die("the tunnel was refused");
  }
  return fd;
}

using Message = std::array<char, kMessageSize>;

// The times of round trips in ms, sorted.
std::vector<double> RoundTrips(int fd, Clock::duration duration) {
  std::vector<double> times;
  Message message;
  message.fill(kEcho);
  const Clock::time_point end = Clock::now() + duration;
  for (Clock::time_point start = Clock::now(); start < end; start = Clock::now()) {
    if (!SendAll(fd, message) || !ReceiveAll(fd, message)) Die("the quiet tunnel was cut");
    times.push_back(1000 * Seconds(Clock::now() - start));
    std::this_thread::sleep_for(milliseconds(1));  // a quiet one
  }
  std::ranges::sort(times);
  return times;
}

// Answers one connection, in a thread of its own: the target of the bulk tunnels would make the quiet one wait.
void EchoOne(int listener) {
  const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  Message message;
  while (ReceiveAll(fd, message) && SendAll(fd, message)) {
  }
  ::close(fd);
}

}  // namespace

int RunStreams(Mode mode, const Options& options) {
  Streams(mode, options).Run();
  return 0;
}

int RunQuiet(const Options& options) {
  const Plan plan = MakePlan(Mode::kDownload, options);
  Stats* const stats = MapStats(options.Text("stats"), false);
  const int listener = ListenAt(ParseAddress("127.0.0.1:0"));
  ::fcntl(listener, F_SETFL, 0);  // accept() waits
  std::thread echo([listener] { EchoOne(listener); });
  Board board;
  std::thread bulk([&] { Client(plan, board, 0, plan.conns).Run(); });
  if (!WaitFor(kOpenTimeout, [&] { return board.up + board.errors >= plan.conns; })) board.Fail("not all came up");
  const int quiet = OpenTunnel(plan, LocalAddress(listener));
  std::this_thread::sleep_for(kWarmUp);
  const uint64_t before = board.received;
  const std::vector<double> times = RoundTrips(quiet, options.Duration());
  const double rate = static_cast<double>(board.received - before) / Seconds(options.Duration());
  ::close(quiet);
  board.phase = Phase::kStop;
  ++stats->stop;
  bulk.join();
  echo.join();
  const auto at = [&](double part) { return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))]; };
  std::printf("count=%zu rate=%.3f p50=%.3f p99=%.3f max=%.3f total=%zu errors=%" PRIu64 " first_error=%s\n",
              times.size(), rate, at(0.5), at(0.99), times.back(), times.size(), board.errors.load(),
              board.first_error.c_str());
  return 0;
}

int RunOnce(const Options& options) {
  const Plan plan = MakePlan(Mode::kConnect, options);
  const int fd = OpenTunnel(plan, plan.targets[0]);
  Message message;
  message.fill(kOnce);
  if (!SendAll(fd, message) || !ReceiveAll(fd, message)) Die("the message was not answered");
  if (::recv(fd, message.data(), message.size(), 0) != 0) Die("the stream did not end after the answer");
  ::close(fd);
  return 0;
}

}  // namespace load
