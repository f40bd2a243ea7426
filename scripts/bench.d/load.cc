// Load generator of scripts/bench: one program that is both the target behind a gateway and the clients in front of it.
// It is independent of the gateway's code; see load.h.
//
//   load target    --listen ADDR:PORT --stats FILE [--threads N]  the server; prints port=N
//   load ready     --via ADDR:PORT                                exit status 0: something accepts there
//   load connect   --target ADDR:PORT [options]                   new tunnels per second
//   load pingpong  --target ADDR:PORT [options]                   round trips of one 64-byte message per tunnel
//   load upload    --target ADDR:PORT --stats FILE [options]      bulk, bytes counted by the target
//   load download  --target ADDR:PORT --stats FILE [options]      bulk, bytes counted by the client
//   load both      --target ADDR:PORT --stats FILE [options]      bulk both ways at once in each tunnel
//   load idle      --target ADDR:PORT [options]                   holds tunnels open until stdin ends
//   load stuck     --target ADDR:PORT --stats FILE [options]      downloads that nobody reads, until stdin ends
//   load once      --target ADDR:PORT [options]                   one short session, which the target closes first
//   load quiet     --target ADDR:PORT --stats FILE [options]      round trips of one tunnel beside bulk downloads
//   load udp-echo  --target ADDR:PORT [options]                   round trips of datagrams through associations
//   load udp-flood --target ADDR:PORT --stats FILE [options]      datagrams one way, counted by the target
//
// Options of the clients: --via ADDR:PORT (the gateway; without it the target is contacted directly), --no-socks (the
// gateway is a plain forwarder), --conns N, --threads N, --seconds S, --targets N (spread over N consecutive target
// addresses), --sources N (spread over N source addresses from 127.0.1.1 on), --login NAME:PASSWORD (RFC 1929). For
// upload, download and both: --cut (end without waiting for what is under way: behind a limit that can be minutes).
// For udp-*: --size BYTES of data, --window N datagrams under way per association. IPv4 only.
//
// A client prints one line of key=value pairs; once prints nothing. idle and stuck print a line before it when their
// tunnels are open, stuck when all buffers on the way are full, too. Every connection that goes wrong is counted in
// errors=. Bulk modes also print lowest= and highest=, the rates of the slowest and of the fastest tunnel (both: tunnel
// and direction); quiet prints p50=, p99= and max= in ms; udp-* print sent= and lost=.

#include "load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "datagrams.h"
#include "stream.h"
#include "target.h"

namespace load {

void Die(const std::string& what) {
  std::fprintf(stderr, "load: %s\n", what.c_str());
  std::exit(2);
}

void DieErrno(const std::string& what) { Die(what + ": " + std::strerror(errno)); }

Stats* MapStats(const std::string& path, bool create) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (fd < 0) DieErrno(path);
  if (create && ::ftruncate(fd, sizeof(Stats)) != 0) DieErrno(path);
  void* const map = ::mmap(nullptr, sizeof(Stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) DieErrno("mmap");
  ::close(fd);
  return static_cast<Stats*>(map);  // a new file is zeroes, which is the initial value of all counters
}

Options::Options(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--")) Die("unexpected argument " + std::string(word));
    const bool has_value = i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--");
    values_[std::string(word.substr(2))] = has_value ? argv[++i] : "";
  }
}

std::string Options::Text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) Die("--" + name + " VALUE is needed");
  return found->second;
}

double Options::Number(const std::string& name, double otherwise) const {
  return Has(name) ? std::strtod(Text(name).c_str(), nullptr) : otherwise;
}

size_t Options::Count(const std::string& name, size_t otherwise) const {
  return Has(name) ? std::strtoul(Text(name).c_str(), nullptr, 10) : otherwise;
}

Clock::duration Options::Duration() const {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(Number("seconds", 2)));
}

size_t Options::Threads(size_t most) const { return std::clamp<size_t>(Count("threads", 1), 1, most); }

Address ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) Die("no port in address " + text);
  Address address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
  if (::inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) Die("bad address " + text);
  return address;
}

Address Advance(Address address, uint32_t steps) {
  address.sin_addr.s_addr = htonl(ntohl(address.sin_addr.s_addr) + steps);
  return address;
}

sockaddr* Raw(Address& address) { return reinterpret_cast<sockaddr*>(&address); }
const sockaddr* Raw(const Address& address) { return reinterpret_cast<const sockaddr*>(&address); }

int ListenAt(const Address& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  if (::bind(fd, Raw(address), sizeof address) != 0) DieErrno("bind");
  if (::listen(fd, 4096) != 0) DieErrno("listen");
  return fd;
}

Address LocalAddress(int socket) {
  Address address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, Raw(address), &size) != 0) DieErrno("getsockname");
  return address;
}

int ConnectTo(const Address& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, Raw(address), sizeof address) != 0) DieErrno("connect");
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void Watch(int epoll, int operation, int fd, uint32_t events, void* data) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) DieErrno("epoll_ctl");
}

size_t WaitEvents(int epoll, Events& events, int timeout_ms) {
  return Size(std::max(0, ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), timeout_ms)));
}

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

namespace {

// Whether something accepts connections at --via. This program asks, and not the script, because it can be started
// inside a network namespace.
int RunReady(const Options& options) {
  const Address to = ParseAddress(options.Text("via"));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return 1;
  if (::connect(fd, Raw(to), sizeof to) == 0) return 0;
  pollfd waiting{fd, POLLOUT, 0};
  if (errno != EINPROGRESS || ::poll(&waiting, 1, 1000) != 1) return 1;
  return (waiting.revents & (POLLERR | POLLHUP)) != 0 ? 1 : 0;
}

const std::map<std::string_view, int (*)(const Options&)> kModes{
    {"target", RunTarget},
    {"ready", RunReady},
    {"connect", [](const Options& options) { return RunStreams(Mode::kConnect, options); }},
    {"pingpong", [](const Options& options) { return RunStreams(Mode::kPingpong, options); }},
    {"upload", [](const Options& options) { return RunStreams(Mode::kUpload, options); }},
    {"download", [](const Options& options) { return RunStreams(Mode::kDownload, options); }},
    {"both", [](const Options& options) { return RunStreams(Mode::kBoth, options); }},
    {"idle", [](const Options& options) { return RunStreams(Mode::kIdle, options); }},
    {"stuck", [](const Options& options) { return RunStreams(Mode::kStuck, options); }},
    {"quiet", RunQuiet},
    {"once", RunOnce},
    {"udp-echo", [](const Options& options) { return RunDatagrams(false, options); }},
    {"udp-flood", [](const Options& options) { return RunDatagrams(true, options); }},
};

}  // namespace

}  // namespace load

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto mode = load::kModes.find(argc > 1 ? argv[1] : "");
  if (mode == load::kModes.end()) load::Die("usage: load MODE [options]; see load.cc");
  return mode->second(load::Options(argc, argv));
}
