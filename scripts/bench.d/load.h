// What the parts of the load generator share: options, IPv4 addresses, counters, and thin wrappers of the kernel.
//
// Every part includes this header, and load.cc implements it. A value belongs to the thread that made it; Stats is the
// exception, which all threads of the target and of a client read and write.
//
// Counters of Stats only grow, so a measurement is the difference of two readings.
//
// The load generator includes no header of the gateway and shares no code with it: a mistake that both made could not
// show in what one measures of the other. It reports errors by ending the program.

#ifndef PENSTOCK_BENCH_LOAD_H_
#define PENSTOCK_BENCH_LOAD_H_

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace load {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kMessageSize = 64;
constexpr size_t kBulkSize = 256 * 1024;
constexpr size_t kBulkMax = 1024;              // bulk tunnels at a time
constexpr milliseconds kWarmUp{200};           // left out of the rates: threads start, TCP windows grow
constexpr milliseconds kStill{200};            // buffers are full if nothing has moved for so long
constexpr milliseconds kOpenTimeout{15'000};   // for all kept tunnels together
constexpr milliseconds kDrainTimeout{10'000};  // for what is under way when the measurement ends

// The first byte that a client sends tells the target what to do, so that one target serves all rows.
constexpr char kEcho = 'e';
constexpr char kSink = 's';
constexpr char kSource = 'd';
constexpr char kDuplex = 'b';  // sink and source at the same time
constexpr char kOnce = 'o';    // echo once, and close first

// Target and client share a mapped file. Counting at the receiving end without sending the count through the gateway
// works with every peer (many cannot half-close) and across network namespaces.
struct Stats {
  std::atomic<uint64_t> sunk;                           // bytes received by all sink connections
  std::atomic<uint64_t> sinks;                          // sink connections
  std::array<std::atomic<uint64_t>, kBulkMax> sunk_by;  // bytes received by number n, n + kBulkMax, ...
  std::atomic<uint64_t> sourced;                        // bytes sent by all sources
  std::atomic<uint64_t> datagrams;                      // datagrams that were not to be echoed
  std::atomic<uint64_t> stop;                           // a source ends its stream when this changes
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// Maps the file at `path`; with `create` makes it, all zeroes. It stays mapped to the end of the program.
Stats* MapStats(const std::string& path, bool create);

// Prints to standard error and ends the program with status 2; DieErrno adds the text of errno.
[[noreturn]] void Die(const std::string& what);
[[noreturn]] void DieErrno(const std::string& what);

// The command line behind the mode: --NAME VALUE or --NAME. The last of several with the same name wins.
class Options {
 public:
  Options(int argc, char** argv);

  bool Has(const std::string& name) const { return values_.contains(name); }
  std::string Text(const std::string& name) const;  // dies if it is not given
  double Number(const std::string& name, double otherwise) const;
  size_t Count(const std::string& name, size_t otherwise) const;
  Clock::duration Duration() const;   // --seconds
  size_t Threads(size_t most) const;  // --threads, at least one

 private:
  std::map<std::string, std::string> values_;
};

using Address = sockaddr_in;

Address ParseAddress(const std::string& text);     // "127.0.0.1:80", numeric only
Address Advance(Address address, uint32_t steps);  // the host `steps` further on
sockaddr* Raw(Address& address);
const sockaddr* Raw(const Address& address);

// These die on errors.
int ListenAt(const Address& address);  // non-blocking; its port can be shared by further listeners
Address LocalAddress(int socket);
int ConnectTo(const Address& address);  // a blocking socket
void Watch(int epoll, int operation, int fd, uint32_t events, void* data);

using Events = std::array<epoll_event, 256>;
size_t WaitEvents(int epoll, Events& events, int timeout_ms);  // -1: no timeout; returns how many there are

// The result of a successful recv or send.
constexpr size_t Size(ssize_t bytes) { return static_cast<size_t>(bytes); }

double Seconds(Clock::duration duration);

// Whether `done` holds before the timeout; it is asked once a millisecond.
template <typename Condition>
bool WaitFor(milliseconds timeout, Condition done) {
  const Clock::time_point end = Clock::now() + timeout;
  while (!done()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

}  // namespace load

#endif  // PENSTOCK_BENCH_LOAD_H_
