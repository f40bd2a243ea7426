#include "datagrams.h"

#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace load {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kDatagramMax = 60'000;
constexpr milliseconds kLostAfter{300};

// Datagrams that are received with one system call. The kernel may have joined several into one message (UDP_GRO).
class DatagramReader {
 public:
  struct Datagram {
    const char* bytes;
    size_t size;
    Address* from;
  };

  // Takes what is there, at most kBatch messages, apart. The result holds until the next call.
  const std::vector<Datagram>& Receive(int fd) {
    for (size_t i = 0; i < kBatch; ++i) {
      pieces_[i] = {&room_[i * kMessageMax], kMessageMax};
      messages_[i].msg_hdr = {&names_[i], sizeof names_[i], &pieces_[i], 1, &controls_[i], sizeof controls_[i], 0};
    }
    datagrams_.clear();
    const int got = ::recvmmsg(fd, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
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

  std::vector<char> room_ = std::vector<char>(kBatch * kMessageMax);
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> pieces_{};
  std::array<Address, kBatch> names_;
  std::array<std::array<char, 64>, kBatch> controls_;
  std::vector<Datagram> datagrams_;
};

// Datagrams that are sent with one system call.
class DatagramWriter {
 public:
  // `to` is null on a connected socket. Bytes and address are used by the next Send.
  void Add(const char* bytes, size_t size, Address* to) {
    pieces_[count_] = {const_cast<char*>(bytes), size};
    const socklen_t name_size = to != nullptr ? sizeof *to : 0;
    messages_[count_].msg_hdr = {to, name_size, &pieces_[count_], 1, nullptr, 0, 0};
    ++count_;
  }
  bool full() const { return count_ == kBatch; }

  // Returns how many went.
  size_t Send(int fd) {
    const int sent = ::sendmmsg(fd, messages_.data(), static_cast<unsigned>(count_), MSG_NOSIGNAL);
    count_ = 0;
    return sent > 0 ? Size(sent) : 0;
  }

 private:
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> pieces_{};
  size_t count_ = 0;
};

struct Plan {
  bool flood;
  bool direct;
  Address target;
  Address gateway;
  size_t window;
  std::vector<char> datagram;  // SOCKS header, unless direct, and data
};

Plan MakePlan(bool flood, const Options& options) {
  Plan plan{};
  plan.flood = flood;
  plan.direct = !options.Has("via");
  plan.target = ParseAddress(options.Text("target"));
  plan.window = options.Count("window", 32);
  if (!plan.direct) {
    plan.gateway = ParseAddress(options.Text("via"));
    plan.datagram = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0};  // RFC 1928, section 7
    std::memcpy(&plan.datagram[4], &plan.target.sin_addr, 4);
    std::memcpy(&plan.datagram[8], &plan.target.sin_port, 2);
  }
  const size_t size = std::max<size_t>(options.Count("size", 64), 1);
  plan.datagram.resize(plan.datagram.size() + size, flood ? kSink : kEcho);
  if (plan.datagram.size() > kDatagramMax) Die("--size is too large");
  return plan;
}

void Exchange(int fd, const char* request, size_t size, uint8_t* reply, size_t reply_size) {
  if (::send(fd, request, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) DieErrno("send");
  if (::recv(fd, reply, reply_size, MSG_WAITALL) != static_cast<ssize_t>(reply_size)) Die("UDP ASSOCIATE: no reply");
}

// Makes an association, which lasts as long as the program. Returns where its datagrams are to be sent (BND).
Address Associate(const Address& gateway) {
  const int control = ConnectTo(gateway);
  std::array<uint8_t, 10> reply{};
  Exchange(control, "\x05\x01\x00", 3, reply.data(), 2);
  Exchange(control, "\x05\x03\x00\x01\0\0\0\0\0\0", 10, reply.data(), 10);
  if (reply[1] != 0 || reply[3] != 1) Die("UDP ASSOCIATE refused with " + std::to_string(reply[1]));
  Address bound = gateway;
  std::memcpy(&bound.sin_addr, &reply[4], 4);
  std::memcpy(&bound.sin_port, &reply[8], 2);
  return bound;
}

// A connected socket through an association, or straight to the target.
struct Path {
  int fd = -1;
  size_t missing = 0;  // sent, and not answered yet
  Clock::time_point heard{};
};

Path OpenPath(const Plan& plan) {
  const Address to = plan.direct ? plan.target : Associate(plan.gateway);
  const Path path{.fd = DatagramSocket(), .heard = Clock::now()};
  if (::connect(path.fd, Raw(to), sizeof to) != 0) DieErrno("connect");
  return path;
}

// What all client threads share.
struct Board {
  std::atomic<bool> running{true};
  std::atomic<uint64_t> done{0};  // round trips
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> lost{0};
};

// The paths of one thread.
class Client {
 public:
  Client(const Plan& plan, Board& board, std::vector<Path>& paths) : plan_(plan), board_(board), paths_(paths) {}

  void Run() { plan_.flood ? Flood() : Echo(); }

 private:
  void Flood() {
    while (board_.running.load(std::memory_order_relaxed)) {
      for (Path& path : paths_) SendBurst(path, kBatch);
    }
  }

  void Echo() {
    for (Path& path : paths_) {
      Watch(epoll_, EPOLL_CTL_ADD, path.fd, EPOLLIN, &path);
      SendBurst(path, plan_.window);
    }
    Events events;
    Clock::time_point look = Clock::now() + kLostAfter;
    for (;;) {
      const bool running = board_.running.load(std::memory_order_relaxed);
      const size_t count = WaitEvents(epoll_, events, 50);
      const Clock::time_point now = Clock::now();
      for (size_t i = 0; i < count; ++i) Receive(*static_cast<Path*>(events[i].data.ptr), now, running);
      if (now < look) continue;
      look = now + kLostAfter;
      if (CountLost(now, running) == 0 && !running) return;
    }
  }

  void SendBurst(Path& path, size_t count) {
    while (count > 0) {
      for (size_t i = 0; i < std::min(count, kBatch); ++i) {
        writer_.Add(plan_.datagram.data(), plan_.datagram.size(), nullptr);
      }
      const size_t sent = writer_.Send(path.fd);
      if (sent == 0) return;
      count -= sent;
      path.missing += sent;
      board_.sent.fetch_add(sent, std::memory_order_relaxed);
    }
  }

  // Takes answers, and sends as many again.
  void Receive(Path& path, Clock::time_point now, bool running) {
    const auto& answers = reader_.Receive(path.fd);
    for (const auto& answer : answers) {
      if (answer.size != plan_.datagram.size()) Die("an answer of another length");
    }
    path.missing -= std::min(answers.size(), path.missing);
    path.heard = now;
    board_.done.fetch_add(answers.size(), std::memory_order_relaxed);
    if (running) SendBurst(path, answers.size());
  }

  // Gives up what silent paths still miss. Returns how many paths may still get answers.
  size_t CountLost(Clock::time_point now, bool running) {
    size_t waiting = 0;
    for (Path& path : paths_) {
      if (path.missing == 0) continue;
      if (now - path.heard < kLostAfter) {
        ++waiting;
        continue;
      }
      board_.lost.fetch_add(path.missing);
      path.missing = 0;
      if (running) SendBurst(path, plan_.window);
    }
    return waiting;
  }

  const Plan& plan_;
  Board& board_;
  std::vector<Path>& paths_;
  DatagramReader reader_;
  DatagramWriter writer_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
};

}  // namespace

int DatagramSocket() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) DieErrno("socket");
  const int on = 1;
  const int room = 4 << 20;  // as much as the system allows
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  ::setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
  return fd;
}

void ServeDatagrams(int fd, Stats* stats) {
  DatagramReader reader;
  DatagramWriter writer;
  for (;;) {
    pollfd waiting{fd, POLLIN, 0};
    ::poll(&waiting, 1, -1);
    uint64_t sunk = 0;
    for (const auto& datagram : reader.Receive(fd)) {
      if (datagram.bytes[0] != kEcho) {
        ++sunk;
        continue;
      }
      if (writer.full()) writer.Send(fd);
      writer.Add(datagram.bytes, datagram.size, datagram.from);
    }
    writer.Send(fd);
    stats->datagrams.fetch_add(sunk, std::memory_order_relaxed);
  }
}

int RunDatagrams(bool flood, const Options& options) {
  const Plan plan = MakePlan(flood, options);
  const size_t conns = options.Count("conns", 1);
  std::vector<std::vector<Path>> paths(options.Threads(conns));
  for (size_t i = 0; i < conns; ++i) paths[i % paths.size()].push_back(OpenPath(plan));

  Stats* const stats = flood ? MapStats(options.Text("stats"), false) : nullptr;
  const uint64_t before = flood ? stats->datagrams.load() : 0;
  Board board;
  const auto count = [&] { return flood ? stats->datagrams.load() - before : board.done.load(); };
  std::vector<std::thread> pool;
  pool.reserve(paths.size());
  for (auto& of_thread : paths) {
    pool.emplace_back([&] { std::make_unique<Client>(plan, board, of_thread)->Run(); });
  }
  std::this_thread::sleep_for(kWarmUp);
  const uint64_t begin = count();
  const Clock::time_point start = Clock::now();
  std::this_thread::sleep_for(options.Duration());
  const uint64_t counted = count() - begin;
  const double seconds = Seconds(Clock::now() - start);
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
  std::printf("count=%" PRIu64 " seconds=%.6f rate=%.3f total=%" PRIu64 " errors=0 sent=%" PRIu64 " lost=%" PRIu64
              " first_error=\n",
              counted, seconds, static_cast<double>(counted) / seconds, count(), board.sent.load(), board.lost.load());
  return 0;
}

}  // namespace load
