// Relayed bytes arrive in order, each exactly once, whether they are copied or spliced.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("relay");

TEST_CASE("streams of every size arrive intact, in both directions at once") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2}, kCopyBytes - 1, kCopyBytes,
                                 kCopyBytes + 1, 4 * kCopyBytes, kPipeBytes, kTurnBytes + 1, 5 * kMiB}) {
    for (const std::size_t chunk_max : {std::size_t{100}, 4 * kCopyBytes, kMiB}) {
      if (size > 1000 * chunk_max) continue;
      CAPTURE(size);
      CAPTURE(chunk_max);
      const auto session = gateway.Open(listener);
      const std::uint64_t up = gateway.Count(&Counters::bytes_up);
      const std::uint64_t down = gateway.Count(&Counters::bytes_down);
      ExchangeBothWays(session, size, chunk_max);
      session.client.HalfClose();
      session.target.HalfClose();
      CHECK(session.client.ReceiveToEnd().empty());
      CHECK(session.target.ReceiveToEnd().empty());
      CHECK(gateway.WaitForSessions(0));
      CHECK(gateway.Count(&Counters::bytes_up) - up == size);
      CHECK(gateway.Count(&Counters::bytes_down) - down == size);
    }
  }
  CHECK(gateway.Count(&Counters::pipes_missing) == 0);
}

TEST_CASE("a flow that changes between bulk and small messages loses nothing") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  for (int round = 0; round < 5; ++round) {
    Exchange({session.client, session.target, kMiB, kMiB});
    PingPong(session, 30);
    Exchange({session.target, session.client, kMiB, kMiB});
    PingPong(session, 30);
  }
}

TEST_CASE("64 sessions at once do not mix up their bytes") {
  Settings settings = TestSettings();
  settings.workers = 2;
  const TestGateway gateway(settings);
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 64; ++i) sessions.push_back(gateway.Open(listener));
  std::vector<Stream> streams;
  for (const auto& session : sessions) {
    streams.emplace_back(session.client, session.target, 256 * 1024);
    streams.emplace_back(session.target, session.client, 256 * 1024);
  }
  Exchange(streams);
  CHECK(gateway.server().sessions() == 64);
}

TEST_CASE("small messages and the tail of a large one are not delayed") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto session = gateway.Open(listener);
  // A delay of the gateway affects every trip, so the fastest of many shows it, however busy the machine is.
  const auto fastest = [](int trips, const auto& trip) {
    milliseconds least = milliseconds::max();
    for (int i = 0; i < trips; ++i) least = std::min(least, trip());
    return least;
  };
  const auto time_of = [](const Peer& from, const Peer& to, const std::string& message) {
    const Stopwatch watch;
    from.Send(message);
    CHECK(to.Receive(message.size()) == message);
    return watch.elapsed();
  };
  // Without TCP_NODELAY a second message waits for the acknowledgement of the first, which a receiver that does not
  // answer delays by 40 ms.
  const auto second = [&](const Peer& from, const Peer& to) {
    const int no = 0;
    REQUIRE(::setsockopt(to.fd(), IPPROTO_TCP, TCP_QUICKACK, &no, sizeof no) == 0);
    time_of(from, to, "one");
    return time_of(from, to, "two");
  };
  CHECK(fastest(20, [&] { return second(session.target, session.client); }) < milliseconds(30));
  CHECK(fastest(20, [&] { return second(session.client, session.target); }) < milliseconds(30));
  // With SPLICE_F_MORE the last bytes of a transfer wait 200 ms for more.
  const auto tail = [&](const Peer& from, const Peer& to) {
    Exchange({from, to, kMiB, kMiB});
    return time_of(from, to, "tail");
  };
  CHECK(fastest(10, [&] { return tail(session.target, session.client); }) < milliseconds(150));
  CHECK(fastest(10, [&] { return tail(session.client, session.target); }) < milliseconds(150));
}

TEST_CASE("a bulk flow does not starve the small ones of its worker") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto bulk = gateway.Open(listener);
  const auto small = gateway.Open(listener);
  std::atomic<bool> enough = false;
  auto moving = std::async(std::launch::async, [&] {
    Stream stream(bulk.client, bulk.target, 1024 * kMiB, kMiB);
    while (!enough && !stream.done()) stream.Move();
    return stream.done();
  });
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::bytes_up) > kMiB; }));
  PingPong(small, 300);
  const std::uint64_t before = gateway.Count(&Counters::bytes_up);
  CHECK(WaitUntil([&] { return gateway.Count(&Counters::bytes_up) > before + kMiB; }));
  enough = true;
  CHECK_FALSE(moving.get());
}

// --- Backpressure --------------------------------------------------------------------------------------------------

// A receive buffer that does not grow, but still takes whole segments of the loopback interface.
constexpr Peer::Buffers kSlowReader{.receive = 256 * 1024};

// More than all buffers on the way can hold.
constexpr std::size_t kEndless = 1024 * kMiB;

// Sends until no stream can send any more.
void SendUntilFull(std::span<Stream> streams) {
  int still = 0;
  CHECK(WaitUntil([&] {
    bool moved = false;
    for (Stream& stream : streams) moved = stream.Send() || moved;
    still = moved ? 0 : still + 1;
    return still == 30;
  }));
}

TEST_CASE("a client that does not read costs bounded memory, and receives everything once it reads") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto session = gateway.Open(listener, kSlowReader);
  const std::size_t pipe_ends_before = PipeEnds();
  const std::size_t memory_before = ResidentBytes();
  Stream stream(session.target, session.client, kEndless, kMiB);
  SendUntilFull({&stream, 1});
  CHECK_FALSE(stream.sent_all());  // the rest stays with the target: backpressure
  CHECK(PipeEnds() <= pipe_ends_before + 2);
  if (!IsSanitized()) CHECK(ResidentBytes() < memory_before + 4 * kMiB);
  PingPong(gateway.Open(listener), 10);  // other sessions continue
  stream.EndAfter(30 * kMiB);
  Exchange({&stream, 1});
  CHECK(WaitUntil([&] { return PipeEnds() == pipe_ends_before; }));  // lent only while bytes are inside
}

TEST_CASE("clients that do not read hold one pipe each at most") {
  const TestGateway gateway;
  const TargetListener listener;
  std::vector<TestGateway::Session> sessions;
  for (int i = 0; i < 8; ++i) sessions.push_back(gateway.Open(listener, kSlowReader));
  const std::size_t pipe_ends_before = PipeEnds();
  const std::size_t memory_before = ResidentBytes();
  std::vector<Stream> streams;
  for (const auto& session : sessions) streams.emplace_back(session.target, session.client, 8 * kMiB, kMiB);
  SendUntilFull(streams);
  CHECK(PipeEnds() <= pipe_ends_before + 2 * sessions.size());
  if (!IsSanitized()) CHECK(ResidentBytes() < memory_before + 8 * kMiB);
  Exchange(streams);
}

TEST_CASE("without pending buffers, the bytes for a slow reader arrive exactly once") {
  Settings settings = TestSettings();
  settings.pending_buffers_max = 0;
  const TestGateway gateway(settings);
  const TargetListener listener;
  const auto first = gateway.Open(listener, kSlowReader);
  const auto second = gateway.Open(listener, kSlowReader);
  Stream streams[] = {{first.target, first.client, kEndless, 100'000},
                      {second.target, second.client, kEndless, 100'000}};
  SendUntilFull(streams);
  for (Stream& stream : streams) {
    CHECK_FALSE(stream.sent_all());
    stream.EndAfter(kMiB);
  }
  Exchange(streams);
}

TEST_CASE("without pipes, bulk is copied and arrives exactly once") {
  for (const std::size_t pending_buffers_max : {kPendingBuffersPerWorker, std::size_t{0}}) {
    CAPTURE(pending_buffers_max);
    Settings settings = TestSettings();
    settings.pending_buffers_max = pending_buffers_max;
    const TestGateway gateway(settings);
    const TargetListener listener;
    const auto slow = gateway.Open(listener, kSlowReader);
    const auto other = gateway.Open(listener);
    const NoMoreDescriptors none;
    Stream streams[] = {{slow.target, slow.client, kEndless, kMiB},
                        {slow.client, slow.target, 3 * kMiB, kMiB},
                        {other.target, other.client, 3 * kMiB, kMiB},
                        {other.client, other.target, 3 * kMiB, kMiB}};
    SendUntilFull(streams);
    CHECK_FALSE(streams[0].sent_all());
    streams[0].EndAfter(kMiB);
    Exchange(streams);
    // Without pending buffers no read is a full copy, so bulk is never detected.
    if (pending_buffers_max > 0) CHECK(gateway.Count(&Counters::pipes_missing) > 0);
  }
}

TEST_CASE("a flow splices again once the pool has pipes again") {
  const TestGateway gateway;
  const TargetListener listener;
  const auto session = gateway.Open(listener, kSlowReader);
  {
    const NoMoreDescriptors none;
    Exchange({session.target, session.client, 3 * kMiB, kMiB});
    CHECK(gateway.Count(&Counters::pipes_missing) > 0);
  }
  // After a failure the pool does not try to open a pipe for a second.
  CHECK(WaitUntil([&] {
    const std::uint64_t before = gateway.Count(&Counters::pipes_missing);
    Exchange({session.target, session.client, kMiB, kMiB});
    return gateway.Count(&Counters::pipes_missing) == before;
  }));
}

TEST_CASE("a pipe with bytes of a session that was reset is never lent again") {
  Settings settings = TestSettings();
  settings.pipes_max = 4;
  settings.keep_idle_pipes = true;
  const TestGateway gateway(settings);
  const TargetListener listener;
  for (int round = 0; round < 3; ++round) {
    auto broken = gateway.Open(listener, kSlowReader);
    Stream stream(broken.target, broken.client, kEndless, kMiB);
    SendUntilFull({&stream, 1});
    broken.client.Abort();
    broken.target.Abort();
    CHECK(gateway.WaitForSessions(0));
    ExchangeBothWays(gateway.Open(listener), kMiB, kMiB);
    CHECK(gateway.WaitForSessions(0));
  }
}

// --- Urgent bytes --------------------------------------------------------------------------------------------------

TEST_CASE("an urgent byte is a byte of the stream, in its place") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const bool upward : {true, false}) {
    CAPTURE(upward);
    const auto session = gateway.Open(listener);
    const Peer& from = upward ? session.client : session.target;
    const Peer& to = upward ? session.target : session.client;
    from.Send("before");
    from.SendUrgent('!');
    CHECK(to.Receive(7) == "before!");
    from.Send("after");
    CHECK(to.Receive(5) == "after");
    from.SendUrgent('!');
    from.HalfClose();
    CHECK(to.ReceiveToEnd() == "!");
    PingPong(gateway.Open(listener), 3);
  }
}

TEST_CASE("an urgent byte inside bulk keeps its place and does not stop the flow") {
  const TestGateway gateway;
  const TargetListener listener;
  for (const bool upward : {true, false}) {
    CAPTURE(upward);
    const auto session = gateway.Open(listener);
    const Peer& from = upward ? session.client : session.target;
    const Peer& to = upward ? session.target : session.client;
    Pattern pattern(RunSeed());
    std::string expected;
    auto sending = std::async(std::launch::async, [&] {
      for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 8; ++i) {
          expected += pattern.Next(100'000);
          from.Send(std::string_view(expected).substr(expected.size() - 100'000));
        }
        expected += '!';
        from.SendUrgent('!');
      }
      from.HalfClose();
    });
    const std::string received = to.ReceiveToEnd();
    sending.get();
    CHECK((received == expected));
    CHECK(received.size() == expected.size());
  }
}

TEST_CASE("an urgent byte behind the request reaches the target") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.Client();
  client.Send(kGreeting + ConnectRequest(listener.at()) + "data");
  client.SendUrgent('!');
  client.HalfClose();
  const Peer target = listener.Accept();
  CHECK(target.ReceiveToEnd() == "data!");
}

TEST_CASE("an urgent byte inside a handshake is a byte of the handshake") {
  const TestGateway gateway;
  const TargetListener listener;
  const Peer client = gateway.Client();
  const std::string handshake = kGreeting + ConnectRequest(listener.at());
  client.Send(handshake.substr(0, 5));
  client.SendUrgent(handshake[5]);
  client.Send(handshake.substr(6));
  const Peer target = listener.Accept();
  CHECK(Hex(client.Receive(12)) == Hex(kChosenNone + Success(target.remote())));
}

// Opens a session for a client at the address `from`.
TestGateway::Session OpenFrom(const TestGateway& gateway, const TargetListener& listener, const char* from) {
  TestGateway::Session session{Peer::FromTo(*Endpoint::Parse(from), gateway.at()), Peer()};
  session.client.Send(kGreeting + ConnectRequest(listener.at()));
  session.target = listener.Accept();
  session.client.Receive(kChosenNone.size() + Success(session.target.remote()).size());
  return session;
}

TEST_CASE("a client that does not read leaves pipes to another client's bulk") {
  Settings settings = TestSettings();
  settings.pipes_max = 8;
  const TestGateway gateway(settings);
  const TargetListener listener;
  std::vector<TestGateway::Session> stuck;
  const std::string chunk(256 * 1024, 'x');
  for (int i = 0; i < 12; ++i) {
    stuck.push_back(OpenFrom(gateway, listener, "127.0.0.2:0"));
    // Until the path is full and the gateway reads no more from the target.
    const Peer& target = stuck.back().target;
    REQUIRE(WaitUntil([&] { return target.SendSome(chunk) == 0 && gateway.UnreadFrom(target) > 0; }));
  }
  REQUIRE(gateway.Count(&Counters::pipes_missing) > 0);  // for the stuck client itself
  // A random key puts another client into the same share with a probability of 1 in 256: of two, one is in another.
  bool unaffected = false;
  for (const char* const from : {"127.0.0.1:0", "127.0.0.3:0"}) {
    const std::uint64_t before = gateway.Count(&Counters::pipes_missing);
    const auto session = OpenFrom(gateway, listener, from);
    Exchange({session.target, session.client, 8 * kMiB});
    unaffected = unaffected || gateway.Count(&Counters::pipes_missing) == before;
  }
  CHECK(unaffected);
}

// Receives `count` bytes. Returns when the kernel received the last of them (SO_TIMESTAMPNS, socket(7)).
std::chrono::nanoseconds ArrivalOf(const Peer& peer, std::size_t count) {
  std::vector<char> room(256 * 1024);
  timespec arrived{};
  while (count > 0) {
    alignas(cmsghdr) std::array<char, 256> control;
    iovec piece{room.data(), std::min(room.size(), count)};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    pollfd ready{peer.fd(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, static_cast<int>(kTestTimeout.count())) == 1);
    const ssize_t got = ::recvmsg(peer.fd(), &message, 0);
    REQUIRE(got > 0);
    count -= static_cast<std::size_t>(got);
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    REQUIRE(header != nullptr);
    REQUIRE(header->cmsg_type == SCM_TIMESTAMPNS);
    std::memcpy(&arrived, CMSG_DATA(header), sizeof arrived);
  }
  return std::chrono::seconds(arrived.tv_sec) + std::chrono::nanoseconds(arrived.tv_nsec);
}

TEST_CASE("a short message is not delayed by bulk that arrived before it" * doctest::skip(::geteuid() != 0)) {
  constexpr std::size_t kFlows = 16;
  constexpr std::size_t kBulk = 2 * kMiB;
  const TestGateway gateway;
  gateway.EnlargeReceiveBuffers(2 * kBulk);
  const TargetListener listener;
  const auto open = [&] {
    TestGateway::Session session = gateway.Open(listener, {.send = 2 * kBulk});
    const int yes = 1;
    REQUIRE(::setsockopt(session.target.fd(), SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) == 0);
    return session;
  };
  std::vector<TestGateway::Session> bulk;
  for (std::size_t i = 0; i < kFlows; ++i) {
    bulk.push_back(open());
    Exchange({bulk.back().client, bulk.back().target, kMiB});
  }
  const auto quiet = open();
  {
    const HeldThread worker("worker");
    for (const auto& session : bulk) {
      session.client.Send(std::string(kBulk, 'x'));
      session.client.WaitUntilAcknowledged();
    }
    quiet.client.Send("x");
    quiet.client.WaitUntilAcknowledged();
  }
  const auto quiet_arrived = ArrivalOf(quiet.target, 1);
  for (const auto& session : bulk) CHECK(ArrivalOf(session.target, kFirstBytes) > quiet_arrived);
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
