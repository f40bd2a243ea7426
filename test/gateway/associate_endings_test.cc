// UDP ASSOCIATE: how an association ends, what it costs, and that nothing of it is left.
#include <netinet/udp.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/session/session.h"
#include "penstock/udp/associate.h"
#include "test/support/dns_server.h"
#include "test/support/held_thread.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("associate");

// Sockets of this process that have UDP_GRO.
std::size_t GroSockets() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1'024; ++fd) {  // the kernel assigns the lowest free number
    int on = 0;
    socklen_t size = sizeof on;
    if (::getsockopt(fd, SOL_UDP, UDP_GRO, &on, &size) == 0 && on != 0) ++count;
  }
  return count;
}

std::size_t Occurrences(std::string_view text, std::string_view sought) {
  std::size_t count = 0;
  for (auto at = text.find(sought); at != text.npos; at = text.find(sought, at + 1)) ++count;
  return count;
}

TEST_CASE("an association ends at once when its control connection is closed, half-closed or reset") {
  const UdpPeer target;
  for (int how = 0; how < 3; ++how) {
    CAPTURE(how);
    const TestGateway gateway;
    UdpClient client(gateway);
    client.PingPong(target, "ping");
    const Stopwatch watch;
    if (how == 0) client.control().Close();
    if (how == 1) client.control().HalfClose();
    if (how == 2) client.control().Abort();
    CHECK(gateway.WaitForSessions(0));
    CHECK(watch.elapsed() < kTestTimeout / 2);
    const std::string line = gateway.SessionLine();
    CAPTURE(line);
    CHECK(line.find(" command=udp-associate asked=0.0.0.0 reply=0 up=4 down=4 datagrams-up=1 datagrams-down=1 ") !=
          std::string::npos);
    CHECK(line.find(how == 2 ? " end=reset" : " end=closed") != std::string::npos);
    CHECK(gateway.Count(&Counters::associations_ended) == 1);
  }
}

TEST_CASE("--udp-idle-timeout: an association ends once no datagram has arrived for this time, and not before") {
  BeforeDeadline([](milliseconds deadline) {
    Settings settings = TestSettings();
    settings.udp_idle_timeout = 2 * deadline;
    const TestGateway gateway(settings);
    const UdpPeer target;
    UdpClient busy(gateway);
    UdpClient idle(gateway);
    const Stopwatch watch;
    // Datagrams follow each other for longer than the timeout.
    milliseconds last{0};
    while (watch.elapsed() < 5 * deadline) {
      if (watch.elapsed() - last >= deadline) return false;
      last = watch.elapsed();
      busy.PingPong(target);
    }
    CHECK(idle.control().ReceiveToEnd().empty());
    CHECK(busy.control().ReceiveToEnd().empty());
    CHECK(watch.elapsed() >= last + 2 * deadline);
    CHECK(gateway.SessionLine().find(" end=idle") != std::string::npos);
    return true;
  });
}

TEST_CASE("an association has at most four descriptors, each opened when it is first needed") {
  const TestGateway gateway;
  const UdpPeer target;
  const UdpPeer target6(kLoopback6);
  const std::size_t before = Sockets();
  const UdpClient client(gateway);
  CHECK(Sockets() == before + 2 + 2);  // the client's own two, its connection, the socket towards it
  client.PingPong(target);
  CHECK(Sockets() == before + 2 + 3);
  client.PingPong(target6);
  CHECK(Sockets() == before + 2 + 4);
  client.PingPong(target);
  client.PingPong(target6);
  CHECK(Sockets() == before + 2 + 4);
}

// The kernel stops all CPUs to enable it for the first socket of the host and to disable it after the last.
TEST_CASE("no association enables or disables UDP_GRO for the host") {
  const std::size_t of_others = GroSockets();
  const TestGateway gateway;
  const std::size_t kept = GroSockets();
  CHECK(kept > of_others);
  {
    const UdpClient client(gateway);
    CHECK(GroSockets() == kept + 1);
  }
  CHECK(gateway.WaitForSessions(0));
  CHECK(GroSockets() == kept);
}

TEST_CASE("an association at rest takes at most kAssociationBytesMax bytes") {
  CHECK(sizeof(Session) + sizeof(Association) + 2 * sizeof(std::uint64_t) <= kAssociationBytesMax);
}

TEST_CASE("a thousand associations work at once and keep no buffers") {
  const TestGateway gateway;
  const UdpPeer target;
  constexpr std::size_t kMany = 1'000;
  std::vector<std::unique_ptr<UdpClient>> clients;
  for (std::size_t i = 0; i < kMany; ++i) clients.push_back(std::make_unique<UdpClient>(gateway));
  CHECK(gateway.server().sessions() == kMany);
  const std::size_t resident = ResidentBytes();
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < kMany; ++i) clients[i]->PingPong(target, std::to_string(i));
  }
  // No association keeps a buffer.
  if (!IsSanitized()) CHECK(ResidentBytes() < resident + 4 * 1024 * 1024);
  clients.clear();
  CHECK(gateway.WaitForSessions(0));
}

TEST_CASE("a flooded association does not delay the others of its worker") {
  const TestGateway gateway;
  const UdpPeer target;
  const UdpClient flooder(gateway);
  const UdpClient client(gateway);
  flooder.PingPong(target);
  client.PingPong(target);

  // The worker finds the flood of one association and the ping of another. One target receives both, which shows the
  // order in which they were sent. Nothing is lost: the sockets' buffers hold more than the flood.
  constexpr std::size_t kTurn = kUdpBatch * kUdpBatchesPerTurn;
  constexpr std::size_t kFlood = 5 * kTurn / 2;
  {
    const HeldThread worker("worker");
    flooder.udp().SendAll(std::vector<std::string>(kFlood, UdpHeader(target.at()) + "x"), flooder.bound());
    client.Send("ping", target.at());
  }
  std::size_t before = 0;
  while (target.Receive().bytes == "x") ++before;
  CHECK(before > 0);  // otherwise the test has shown nothing
  CHECK(before <= kTurn);
  for (std::size_t i = before; i < kFlood; ++i) target.Receive();  // throws when the rest does not arrive
}

// Half of the associations have datagrams that wait for names without an answer.
TEST_CASE("a server that is destroyed with associations leaves no descriptors and logs each as stopped") {
  DnsServer dns;
  dns.BehaveAlways(DnsServer::Behaviour::kHold);
  const TempDirectory directory;
  const UdpPeer target;
  std::vector<std::unique_ptr<UdpClient>> clients;
  const LogFile log_file;
  const auto before = Descriptors();
  {
    Log log(log_file.fd(), LogLevel::kInfo);
    Settings settings = TestSettings();
    settings.workers = 2;
    settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf());
    settings.names.hosts_file = directory.Write("hosts", "");
    settings.names.families = Families{true, true};
    std::string error;
    const auto server = Server::Start(settings, log, &error);
    REQUIRE_MESSAGE(server != nullptr, error);
    for (int i = 0; i < 8; ++i) {
      clients.push_back(std::make_unique<UdpClient>(server->listening()[0]));
      const UdpClient& client = *clients.back();
      client.PingPong(target);
      if (i % 2 == 0) continue;
      const std::string name = "held" + std::to_string(i) + ".example";
      client.Send("1", name, target.at().port);
      client.Send("2", name, target.at().port);
      REQUIRE(dns.AwaitQueries(name, DnsType::kA, 1));
    }
    CHECK(server->sessions() == 8);
  }
  // Each was logged as stopped by the server, none as closed by its client.
  CHECK(Occurrences(log_file.Text(), " command=udp-associate ") == 8);
  CHECK(Occurrences(log_file.Text(), " datagrams-up=1 datagrams-down=1 ") == 8);
  CHECK(Occurrences(log_file.Text(), " end=stopped") == 8);
  for (const auto& client : clients) CHECK(client->control().ReceiveToEnd().empty());
  clients.clear();
  CHECK(ToText(Descriptors()) == ToText(before));
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
