// A gateway in the test's process, clients of it, and the check that it leaves nothing behind.
// Owned by a test, on its thread. Declare it before its peers and listeners: they are destroyed first, and then the
// destructor expects every session to end and the descriptors and threads to be as before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/policy/settings.h"
#include "penstock/server/server.h"
#include "test/support/bytes.h"
#include "test/support/peer.h"
#include "test/support/process.h"

namespace penstock::test {

// One worker on a free port of 127.0.0.1, no idle pipes, no name server, and the default timeouts.
Settings TestSettings();

// A file in memory for a log. If PENSTOCK_LOGS names a directory, the destructor appends the log to a file there, for
// checks over the logs of all tests.
class LogFile {
 public:
  LogFile();
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  int fd() const { return file_.get(); }
  std::string Text() const;

 private:
  Fd file_;
};

class TestGateway {
 public:
  explicit TestGateway(Settings settings = TestSettings(), int log_fd = -1, std::vector<Fd> passed = {});
  ~TestGateway();
  TestGateway(const TestGateway&) = delete;
  TestGateway& operator=(const TestGateway&) = delete;

  Server& server() const { return *server_; }
  Log& log() const { return *log_; }
  const Endpoint& at(std::size_t index = 0) const { return server_->listening()[index]; }
  std::string LogText() const { return log_file_.Text(); }
  // A line is logged after the event that it reports.
  [[nodiscard]] bool WaitForLog(std::string_view text) const;
  // The line of the first session that ends; waits for it.
  std::string SessionLine() const;

  Peer Client(Peer::Buffers buffers = {}) const { return Peer::To(at(), buffers); }

  // A client that has chosen "no authentication" and is about to send its request.
  Peer GreetedClient(Peer::Buffers buffers = {}) const;

  // The whole answer of the gateway to `request`, up to its end; the refused client stays connected until then.
  std::string AnswerTo(std::string_view request) const;

  struct Session {
    Peer client;
    Peer target;
  };
  // A client whose handshake is done, and the target that accepted it.
  Session Open(const TargetListener& target, Peer::Buffers client_buffers = {}) const;

  // The number of bytes from this peer that the gateway has not read yet, and a wait until there are none.
  std::size_t UnreadFrom(const Peer& client) const;
  bool WaitUntilRead(const Peer& peer) const;

  // Lets `bytes` bytes of each client that connects later wait in its receive buffer. Needs CAP_NET_ADMIN; throws
  // without.
  void EnlargeReceiveBuffers(int bytes) const;

  template <class Counted>
  std::uint64_t Count(Counted Counters::*counters) const {
    return server_->Sum(counters);
  }
  bool WaitForSessions(std::size_t count) const;
  void Drain();
  void Stop();

  // Leaves sockets out of the checks while the gateway runs: queries may be open for which no session waits any more.
  void IgnoreSockets() { ignore_sockets_ = true; }

 private:
  std::map<std::string, std::size_t> Held() const;
  void ExpectAtRest() const;

  LogFile log_file_;
  std::size_t threads_before_ = 0;
  std::map<std::string, std::size_t> before_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Server> server_;
  std::map<std::string, std::size_t> at_rest_;
  bool ignore_sockets_ = false;
  bool draining_ = false;
};

// Expects each of the two to receive what the other sends.
void ExpectBothWays(const Peer& client, const Peer& target);

}  // namespace penstock::test
