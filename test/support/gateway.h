// A gateway inside the test's process, the way in, and the proof that nothing of it is left.
// Declare it before its peers and listeners: they end first, and then the destructor expects every session to end too,
// and descriptors and threads to be as they were.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "penstock/policy/settings.h"
#include "penstock/server/server.h"
#include "test/support/bytes.h"
#include "test/support/peer.h"
#include "test/support/process.h"

namespace penstock::test {

// Listens on a free port of 127.0.0.1 with one worker, keeps no idle pipes, has no name server, and the standard
// deadlines.
Settings TestSettings();

// What a log line is written to, and can be read from. At its end it goes into the directory PENSTOCK_LOGS, where there
// is one, for what is to be proved of everything that was ever logged.
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
  explicit TestGateway(Settings settings = TestSettings(), int log_fd = -1);
  ~TestGateway();
  TestGateway(const TestGateway&) = delete;
  TestGateway& operator=(const TestGateway&) = delete;

  Server& server() const { return *server_; }
  const Endpoint& at(std::size_t index = 0) const { return server_->listening()[index]; }
  std::string LogText() const { return log_file_.Text(); }

  Peer Client(Peer::Buffers buffers = {}) const { return Peer::To(at(), buffers); }

  // A client that has chosen "no authentication" and is about to send its request.
  Peer GreetedClient(Peer::Buffers buffers = {}) const;

  // What the gateway answers to `request`, whole; the refused client stays connected.
  std::string AnswerTo(std::string_view request) const;

  struct Session {
    Peer client;
    Peer target;
  };
  // A client whose handshake is done, and the target that accepted it.
  Session Open(const TargetListener& target, Peer::Buffers client_buffers = {}) const;

  // Bytes of this client that the gateway has not read yet, and bytes to it that it has not taken yet.
  std::size_t UnreadFrom(const Peer& client) const;
  bool WaitUntilRead(const Peer& peer) const;

  // So many bytes of a client that comes after this can wait for the gateway. Needs CAP_NET_ADMIN; throws without.
  void EnlargeReceiveBuffers(int bytes) const;

  std::uint64_t Count(Counter Counters::*counter) const { return server_->Sum(counter); }
  bool WaitForSessions(std::size_t count) const;
  void Drain();
  void Stop();

  // Name servers may still be asked for what nobody waits for any more: sockets of the running gateway do not count.
  void ForgiveSockets() { forgive_sockets_ = true; }

 private:
  std::map<std::string, std::size_t> Held() const;
  void ExpectAtRest() const;

  LogFile log_file_;
  std::size_t threads_before_ = 0;
  std::map<std::string, std::size_t> before_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Server> server_;
  std::map<std::string, std::size_t> at_rest_;
  bool forgive_sockets_ = false;
  bool draining_ = false;
};

}  // namespace penstock::test
