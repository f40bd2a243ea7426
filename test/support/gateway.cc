#include "test/support/gateway.h"

#include <dirent.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <utility>

#include <doctest/doctest.h>

namespace penstock::test {
namespace {

// Calls the kernel without the sanitizers' interceptors, since the descriptor belongs to a worker that may close it at
// any time. A wrong result is harmless: the callers poll.
std::optional<Endpoint> RemoteOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::syscall(SYS_getpeername, fd, &address, &size) != 0) return std::nullopt;
  return Endpoint::FromSockaddr(address);
}

// The descriptor in this process of the other end of a connection; -1 if there is none.
int OtherEndOf(const Endpoint& local) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    if (RemoteOf(fd) == local) return fd;
  }
  return -1;
}

}  // namespace

Settings TestSettings() {
  Settings settings;
  settings.listen = {kLoopback};
  settings.keep_idle_pipes = false;
  settings.names.resolv_conf = "/dev/null";
  settings.policy.log_level = LogLevel::kInfo;
  return settings;
}

LogFile::LogFile() : file_(::memfd_create("log", MFD_CLOEXEC)) {}

LogFile::~LogFile() {
  const char* const directory = std::getenv("PENSTOCK_LOGS");
  if (directory == nullptr) return;
  std::ofstream(directory + ('/' + std::to_string(::getpid())), std::ios::app) << Text();
}

std::string LogFile::Text() const {
  std::string text;
  char room[4096];
  for (;;) {
    const ssize_t size = ::pread(fd(), room, sizeof room, static_cast<off_t>(text.size()));
    if (size <= 0) return text;
    text.append(room, static_cast<std::size_t>(size));
  }
}

TestGateway::TestGateway(Settings settings, int log_fd, std::vector<Fd> passed) : before_(Descriptors()) {
  for (std::size_t i = 0; i < passed.size(); ++i) --before_["socket"];  // they are closed with the gateway
  threads_before_ = Threads();
  log_ = std::make_unique<Log>(log_fd < 0 ? log_file_.fd() : log_fd, settings.policy.log_level);
  std::string error;
  server_ = Server::Start(std::move(settings), *log_, &error, {.passed = std::move(passed)});
  if (server_ == nullptr) throw std::runtime_error(error);
  at_rest_ = Held();
}

TestGateway::~TestGateway() {
  if (!server_->finished()) ExpectAtRest();
  server_.reset();
  log_.reset();
  CHECK(ToText(Descriptors()) == ToText(before_));
  CHECK(WaitUntil([&] { return Threads() <= threads_before_; }));
}

Peer TestGateway::GreetedClient(Peer::Buffers buffers) const {
  Peer client = Client(buffers);
  client.Send(kGreeting);
  const std::string choice = client.Receive(kChosenNone.size());
  if (choice != kChosenNone) throw std::runtime_error("the gateway chose " + Hex(choice));
  return client;
}

std::string TestGateway::AnswerTo(std::string_view request) const {
  const Peer client = GreetedClient();
  client.Send(request);
  return client.ReceiveToEnd();
}

TestGateway::Session TestGateway::Open(const TargetListener& target, Peer::Buffers client_buffers) const {
  Session session{GreetedClient(client_buffers), Peer()};
  session.client.Send(ConnectRequest(target.at()));
  session.target = target.Accept();
  const std::string success = Success(session.target.remote());
  const std::string reply = session.client.Receive(success.size());
  if (reply != success) throw std::runtime_error("expected the reply " + Hex(success) + ", got " + Hex(reply));
  return session;
}

bool TestGateway::WaitForLog(std::string_view text) const {
  return WaitUntil([&] { return LogText().find(text) != std::string::npos; });
}

std::string TestGateway::SessionLine() const {
  REQUIRE(WaitForLog(" info session "));
  const std::string text = LogText();
  const std::size_t at = text.find(" info session ");
  return text.substr(at, text.find('\n', at) - at);
}

std::size_t TestGateway::UnreadFrom(const Peer& client) const {
  int unread = 0;
  const int fd = OtherEndOf(client.local());
  return fd >= 0 && ::syscall(SYS_ioctl, fd, SIOCINQ, &unread) == 0 ? static_cast<std::size_t>(unread) : 0;
}

bool TestGateway::WaitUntilRead(const Peer& peer) const {
  peer.WaitUntilAcknowledged();
  return WaitUntil([&] { return OtherEndOf(peer.local()) >= 0 && UnreadFrom(peer) == 0; });
}

void TestGateway::EnlargeReceiveBuffers(int bytes) const {
  const int room = 2 * bytes;  // the kernel uses half for its own data (socket(7))
  bool enlarged = false;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) continue;
    if (LocalEndpoint(fd) != at()) continue;
    enlarged = ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0;
  }
  if (!enlarged) throw std::runtime_error("the gateway's receive buffers stay as they are");
}

bool TestGateway::WaitForSessions(std::size_t count) const {
  return WaitUntil([&] { return server_->sessions() == count; });
}

std::map<std::string, std::size_t> TestGateway::Held() const {
  auto held = Descriptors();
  if (ignore_sockets_) held.erase("socket");
  if (server_->settings().keep_idle_pipes) held.erase("pipe");  // idle ones
  return held;
}

void TestGateway::Drain() {
  draining_ = true;
  server_->Drain();
}

void TestGateway::Stop() {
  draining_ = true;
  server_->Stop();
}

void TestGateway::ExpectAtRest() const {
  CHECK(WaitForSessions(0));
  CHECK(Count(&Counters::accepted) == Count(&Counters::ended));
  if (draining_) return;  // its listeners are closed
  auto at_rest = at_rest_;
  if (ignore_sockets_) at_rest.erase("socket");
  // A client that has left while it was in the backlog is accepted, and ends, after the last session.
  static_cast<void>(WaitUntil([&] { return Held() == at_rest; }));
  CHECK(ToText(Held()) == ToText(at_rest));
}

void ExpectBothWays(const Peer& client, const Peer& target) {
  client.Send("question");
  CHECK(target.Receive(8) == "question");
  target.Send("answer");
  CHECK(client.Receive(6) == "answer");
}

}  // namespace penstock::test
