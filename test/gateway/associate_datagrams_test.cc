// UDP ASSOCIATE: how datagrams are relayed, one by one and in batches.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_server.h"
#include "test/support/held_thread.h"
#include "test/support/temp_directory.h"
#include "test/support/udp_peer.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("associate");

Settings BothFamilies() {
  Settings settings = TestSettings();
  settings.listen = {kLoopback, kLoopback6};
  return settings;
}

// A worker counts a datagram after it has sent it, so the counter may change later than the datagram arrives.
bool WaitForCount(const TestGateway& gateway, Counter Counters::*cause, std::uint64_t count) {
  return WaitUntil([&] { return gateway.Count(cause) == count; });
}

TEST_CASE("clients and targets of both families exchange datagrams; each answer names its source") {
  const TestGateway gateway(BothFamilies());
  const UdpPeer target;
  const UdpPeer target6(kLoopback6);
  for (const std::size_t index : {0U, 1U}) {
    CAPTURE(index);
    const UdpClient client(gateway, index);
    for (int i = 0; i < 10; ++i) {
      client.PingPong(target, "to IPv4 " + std::to_string(i));
      client.PingPong(target6, "to IPv6 " + std::to_string(i));
    }
  }
  CHECK(WaitForCount(gateway, &Counters::datagrams_up, 40));
  CHECK(WaitForCount(gateway, &Counters::datagrams_down, 40));
  CHECK(gateway.Count(&Counters::associations_begun) == 2);
}

TEST_CASE("all targets see one source port; any port of an address that was sent to may answer") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer first;
  const UdpPeer second(*Endpoint::Parse("127.0.0.2:0"));
  const UdpPeer other_port;
  client.Send("a", first.at());
  client.Send("b", second.at());
  const Endpoint outside = first.Receive().from;
  CHECK(second.Receive().from.port == outside.port);
  other_port.Send("hello", outside);
  const auto answer = client.Receive();
  CHECK(answer.bytes == "hello");
  CHECK(answer.from == other_port.at());
}

TEST_CASE("--udp-filter: unsolicited datagrams are dropped by default and delivered with `open`") {
  for (const UdpFilter filter : {UdpFilter::kAddress, UdpFilter::kOpen}) {
    Settings settings = TestSettings();
    settings.udp_filter = filter;
    const TestGateway gateway(settings);
    const UdpClient client(gateway);
    const UdpPeer target;
    const UdpPeer unknown(*Endpoint::Parse("127.0.0.2:0"));
    client.Send("a", target.at());
    const Endpoint outside = target.Receive().from;
    unknown.Send("unsolicited", Endpoint{*IpAddress::Parse("127.0.0.1"), outside.port});
    if (filter == UdpFilter::kAddress) {
      CHECK(WaitForCount(gateway, &Counters::udp_unsolicited, 1));
      client.PingPong(target);
      client.Send("question", unknown.at());
      unknown.Send("answer", unknown.Receive().from);
      CHECK(client.Receive().bytes == "answer");
    } else {
      const auto answer = client.Receive();
      CHECK(answer.bytes == "unsolicited");
      CHECK(answer.from == unknown.at());
    }
  }
}

TEST_CASE("a client that has sent to 2,000 addresses receives answers from each of the last 64") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target(*Endpoint::Parse("0.0.0.0:0"));
  const auto address = [&](int i) {
    return Endpoint{*IpAddress::Parse("127.1." + std::to_string(i / 250) + '.' + std::to_string(i % 250 + 1)),
                    target.at().port};
  };
  Endpoint outside;
  for (int i = 0; i < 2000; ++i) {
    client.Send("x", address(i));
    outside = target.Receive().from;
  }
  // Nothing is sent to these addresses again, so the set must still hold them. A random key spreads them over the set's
  // buckets; a bucket gets more of the 64 than it can keep in less than one run in a million.
  for (int i = 1936; i < 2000; ++i) {
    CAPTURE(i);
    const UdpPeer answering(Endpoint{address(i).ip, 0});
    answering.Send("!", outside);
    const auto answer = client.Receive();
    CHECK(answer.bytes == "!");
    CHECK(answer.from == answering.at());
  }
  CHECK(gateway.Count(&Counters::udp_unsolicited) == 0);
}

TEST_CASE("empty datagrams and datagrams of the maximum length are relayed whole in both directions") {
  const TestGateway gateway(BothFamilies());
  const UdpPeer target;
  const UdpPeer target6(kLoopback6);
  std::string longest(65'507, '\0');
  Pattern(1).Fill(longest);
  const UdpClient client(gateway, 0);
  const UdpClient client6(gateway, 1);
  client.PingPong(target, "");
  client.PingPong(target6, "");
  client6.PingPong(target, "");
  // Over IPv4 a datagram has at most 65,507 bytes, including the SOCKS header.
  client.PingPong(target, longest.substr(0, 65'507 - 10));
  client.PingPong(target6, longest.substr(0, 65'507 - 22));
  client6.PingPong(target, longest);
  client6.PingPong(target6, longest.substr(0, 65'527 - 22));
  constexpr std::size_t kSizes[] = {1, 511, 512, 1'471, 1'472, 1'473, 9'000, 32'768, 65'000};
  for (const std::size_t size : kSizes) {
    CAPTURE(size);
    client.PingPong(target, longest.substr(0, size));
    client6.PingPong(target6, longest.substr(0, size));
  }
}

TEST_CASE("an answer that is too long with its SOCKS header is dropped and counted") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  client.Send("a", target.at());
  const Endpoint outside = target.Receive().from;
  target.Send(std::string(65'498, 'x'), outside);
  CHECK(WaitForCount(gateway, &Counters::udp_too_long, 1));
  client.PingPong(target);
}

TEST_CASE("of a mixed batch the valid datagrams are relayed in order; malformed ones and fragments are counted") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  const std::string good = UdpHeader(target.at());
  const std::vector<std::string> bad = {
      "",
      "x",
      "00 00"_hex,
      "00 00 00"_hex,
      "00 00 00 01"_hex,
      "00 00 00 01 7f 00 00"_hex,
      "00 00 00 01 7f 00 00 01 00"_hex,        // half a port
      "00 00 00 01 7f 00 00 01 00 00 78"_hex,  // port 0
      "00 00 00 02 7f 00 00 01 00 50 78"_hex,  // ATYP 2
      "00 00 00 03 00 00 50 78"_hex,           // an empty name
      "00 00 00 03 ff 61 62 63 00 50"_hex,     // a name that is cut off
      "00 00 00 03 03 61 20 62 00 50 78"_hex,  // a blank in a name
      "00 00 00 04 00 00 00 00 00 00 00 01"_hex,
      std::string(2000, '\xff'),
  };
  std::vector<std::string> batch;
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < 3 * bad.size(); ++i) {
    batch.push_back(bad[i % bad.size()]);
    wanted.push_back("good " + std::to_string(i));
    batch.push_back(good + wanted.back());
    if (i % 3 == 0) batch.push_back(UdpHeader(target.at(), static_cast<std::uint8_t>(i + 1)) + "fragment");
  }
  client.udp().SendAll(batch, client.bound());
  for (const std::string& data : wanted) CHECK(target.Receive().bytes == data);
  CHECK(WaitForCount(gateway, &Counters::udp_malformed, 3 * bad.size()));
  CHECK(WaitForCount(gateway, &Counters::udp_fragment, bad.size()));
  client.PingPong(target);
}

TEST_CASE("batches of many lengths and two targets arrive whole and in order") {
  const TestGateway gateway(BothFamilies());
  for (const Endpoint& at : {kLoopback, kLoopback6}) {
    const UdpPeer target(at);
    const UdpPeer other(at);
    const UdpClient client(gateway, at == kLoopback ? 0 : 1);
    std::uint64_t random = 1;
    for (std::size_t round = 0; round < 20; ++round) {
      std::vector<std::string> batch;
      std::vector<std::string> wanted;
      std::vector<std::string> wanted_other;
      for (int i = 0; i < 60; ++i) {
        // Runs of one length (0 in some rounds), interrupted by random lengths and by datagrams to another target.
        const std::size_t size =
            NextRandom(random) % 8 == 0 ? NextRandom(random) % 1500 : 100 * static_cast<std::size_t>(round % 13);
        std::string data(size, '\0');
        Pattern(NextRandom(random)).Fill(data);
        const bool to_other = NextRandom(random) % 10 == 0;
        batch.push_back(UdpHeader(to_other ? other.at() : target.at()) + data);
        (to_other ? wanted_other : wanted).push_back(data);
      }
      client.udp().SendAll(batch, client.bound());
      Endpoint outside;
      for (const std::string& data : wanted) {
        const auto datagram = target.Receive();
        CHECK(datagram.bytes == data);
        outside = datagram.from;
      }
      for (const std::string& data : wanted_other) CHECK(other.Receive().bytes == data);
      target.SendAll(wanted, outside);
      for (const std::string& data : wanted) CHECK(client.Receive().bytes == data);
    }
  }
}

TEST_CASE("datagrams that the kernel has joined (UDP_GRO) are split again, in both directions") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  const std::string header = UdpHeader(target.at());
  std::string joined;
  for (char c = 'a'; c <= 'z'; ++c) joined += header + std::string(90, c);
  joined += header + "the last one";
  client.udp().SendSegments(joined, static_cast<std::uint16_t>(header.size() + 90), client.bound());
  Endpoint outside;
  for (char c = 'a'; c <= 'z'; ++c) {
    const auto datagram = target.Receive();
    CHECK(datagram.bytes == std::string(90, c));
    outside = datagram.from;
  }
  CHECK(target.Receive().bytes == "the last one");

  std::string answers;
  for (char c = 'A'; c <= 'Z'; ++c) answers += std::string(1000, c);
  target.SendSegments(answers + "short", 1000, outside);
  for (char c = 'A'; c <= 'Z'; ++c) CHECK(client.Receive().bytes == std::string(1000, c));
  CHECK(client.Receive().bytes == "short");
  CHECK(WaitForCount(gateway, &Counters::datagrams_down, 27));
}

TEST_CASE("the first valid datagram pins the client's port; other ports and other addresses are dropped") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  const UdpPeer foreign(*Endpoint::Parse("127.0.0.2:0"));
  const UdpPeer other_port;
  const std::string hello = UdpHeader(target.at()) + "hello";
  foreign.Send(hello, client.bound());
  CHECK(WaitForCount(gateway, &Counters::udp_foreign, 1));
  other_port.Send("garbage does not pin", client.bound());
  CHECK(WaitForCount(gateway, &Counters::udp_malformed, 1));
  client.PingPong(target);
  other_port.Send(hello, client.bound());
  foreign.Send(hello, client.bound());
  CHECK(WaitForCount(gateway, &Counters::udp_foreign, 3));
  client.PingPong(target);
  CHECK(target.nothing_arrived());
  CHECK(other_port.nothing_arrived());
  CHECK(foreign.nothing_arrived());
}

TEST_CASE("the port that the request names takes the association over from another port that sent first") {
  const TestGateway gateway;
  const UdpPeer target;
  const UdpPeer own;
  const UdpClient other(gateway, 0, AssociateRequest(own.at()));
  other.PingPong(target);
  const std::string hello = UdpHeader(target.at()) + "hello";
  own.Send(hello, other.bound());
  target.Send("answer", target.Receive().from);
  CHECK(own.Receive().from == other.bound());
  other.SendRaw(hello);
  CHECK(WaitForCount(gateway, &Counters::udp_foreign, 1));
  CHECK(target.nothing_arrived());
}

// A UDP socket cannot send from port 0; a raw socket can.
TEST_CASE("a datagram from port 0 does not pin the client's port" * doctest::skip(::geteuid() != 0)) {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  const std::string data = UdpHeader(target.at()) + "hello";
  const auto high = [](std::size_t number) { return static_cast<char>(number >> 8); };
  const auto low = [](std::size_t number) { return static_cast<char>(number & 255); };
  const std::size_t size = 8 + data.size();
  const std::uint16_t to = client.bound().port;
  const std::string segment = std::string{0, 0, high(to), low(to), high(size), low(size), 0, 0} + data;
  const Fd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
  sockaddr_storage address;
  const socklen_t length = Endpoint{client.bound().ip, 0}.ToSockaddr(&address);
  REQUIRE(::sendto(raw.get(), segment.data(), segment.size(), 0, reinterpret_cast<const sockaddr*>(&address), length) ==
          static_cast<ssize_t>(segment.size()));
  CHECK(WaitForCount(gateway, &Counters::udp_foreign, 1));
  client.PingPong(target);
  CHECK(target.nothing_arrived());
}

TEST_CASE("datagrams to a closed port do not affect other targets") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  Endpoint closed;
  {
    const UdpPeer gone;
    closed = gone.at();
  }
  for (int i = 0; i < 20; ++i) {
    client.Send("x", closed);
    client.PingPong(target);
  }
  CHECK(WaitForCount(gateway, &Counters::datagrams_up, 40));
}

TEST_CASE("a datagram that the kernel refuses to send is counted and does not affect other targets") {
  const TestGateway gateway;
  const UdpClient client(gateway);
  const UdpPeer target;
  const std::string refused = UdpHeader(*Endpoint::Parse("255.255.255.255:9")) + "x";
  const std::string good = UdpHeader(target.at());
  client.udp().SendAll({refused, good + "a", refused, good + "b", refused}, client.bound());
  CHECK(target.Receive().bytes == "a");
  CHECK(target.Receive().bytes == "b");
  CHECK(WaitForCount(gateway, &Counters::udp_unreachable, 3));
  client.PingPong(target);
}

TEST_CASE("a client that has closed its UDP socket loses its answers and keeps its association") {
  const TestGateway gateway;
  const UdpPeer target;
  Peer control;
  {
    UdpClient client(gateway);
    client.Send("a", target.at());
    control = std::move(client.control());
  }
  const Endpoint outside = target.Receive().from;
  for (int i = 0; i < 10; ++i) target.Send("late", outside);
  CHECK(WaitUntil(
      [&] { return gateway.Count(&Counters::datagrams_down) + gateway.Count(&Counters::udp_unreachable) == 10; }));
  CHECK(gateway.server().sessions() == 1);
}

TEST_CASE("UDP: the guard denies remote clients the addresses that only this host can reach" *
          doctest::skip(OutsideAddresses().empty())) {
  for (const IpAddress& outside : OutsideAddresses()) {
    CAPTURE(outside.ToString());
    Settings settings = TestSettings();
    settings.listen = {{outside, 0}};
    const TestGateway gateway(settings);
    const UdpClient client(gateway);
    const UdpPeer target(*Endpoint::Parse("0.0.0.0:0"));
    std::uint64_t denied = 0;
    for (const char* const name : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "224.0.0.1",
                                   "255.255.255.255", "169.254.169.254", "fe80::1"}) {
      CAPTURE(name);
      client.Send("address", Endpoint{*IpAddress::Parse(name), target.at().port});
      client.Send("text", name, target.at().port);
      denied += 2;
      CHECK(WaitForCount(gateway, &Counters::udp_denied, denied));
    }
    client.Send("name", "localhost", target.at().port);
    client.Send("own", Endpoint{outside, target.at().port});
    CHECK(WaitForCount(gateway, &Counters::udp_denied, denied + 2));
    CHECK(target.nothing_arrived());
  }
}

// --- Names ---------------------------------------------------------------------------------------------------------

struct GatewayOfBothFamilies {
  explicit GatewayOfBothFamilies(const DnsServer& dns) : gateway(SettingsFor(dns)) { gateway.IgnoreSockets(); }

  Settings SettingsFor(const DnsServer& dns) const {
    Settings settings = BothFamilies();
    settings.names.resolv_conf = directory.Write("resolv.conf", dns.ResolvConf());
    settings.names.hosts_file = directory.Write("hosts", "");
    settings.names.families = Families{true, true};
    return settings;
  }

  TempDirectory directory;
  TestGateway gateway;
};

// Adds a name whose answer is held until Release.
void AddHeld(DnsServer& dns, std::string_view name) {
  dns.Add(name, "127.0.0.1");
  dns.Behave(name, DnsServer::Behaviour::kHold);
}

// Sends as many numbered datagrams as one association may have waiting for names. Returns once the gateway has read
// them.
void FillNameQueue(const UdpClient& client, std::string_view name, const UdpPeer& target) {
  for (std::size_t i = 0; i < kWaitingDatagramsPerAssociation; ++i) {
    client.Send(std::to_string(i), name, target.at().port);
  }
  client.PingPong(UdpPeer());
}

TEST_CASE("names and addresses can be mixed as targets; a name that is an address literal is that address") {
  DnsServer dns;
  dns.Add("four.example", "127.0.0.1");
  dns.Add("six.example", "::1");
  const GatewayOfBothFamilies named(dns);
  const UdpClient client(named.gateway);
  const UdpPeer target;
  const UdpPeer target6(kLoopback6);
  for (int i = 0; i < 3; ++i) {
    client.Send("a", "four.example", target.at().port);
    CHECK(target.Receive().bytes == "a");
    client.Send("b", "six.example", target6.at().port);
    const auto question = target6.Receive();
    CHECK(question.bytes == "b");
    target6.Send("c", question.from);
    CHECK(client.Receive().from == target6.at());
    client.Send("d", "127.0.0.1", target.at().port);
    CHECK(target.Receive().bytes == "d");
    client.Send("e", "[::1]", target6.at().port);
    CHECK(target6.Receive().bytes == "e");
    client.PingPong(target);
  }
  CHECK(dns.Queries("four.example", DnsType::kA) == 1);
}

TEST_CASE("datagrams wait in order for a slow name server and do not delay datagrams to other targets") {
  DnsServer dns;
  AddHeld(dns, "slow.example");
  dns.Add("fast.example", "127.0.0.1");
  const GatewayOfBothFamilies named(dns);
  const UdpClient client(named.gateway);
  const UdpPeer slow;
  const UdpPeer target;
  for (const char* const data : {"1", "2", "", "4"}) client.Send(data, "slow.example", slow.at().port);
  REQUIRE(dns.AwaitQueries("slow.example", DnsType::kA, 1));
  client.PingPong(target);
  client.Send("meanwhile", "fast.example", target.at().port);
  CHECK(target.Receive().bytes == "meanwhile");
  CHECK(slow.nothing_arrived());
  dns.Release("slow.example");
  for (const char* const data : {"1", "2", "", "4"}) CHECK(slow.Receive().bytes == data);
}

TEST_CASE("the queue of datagrams that wait for names is bounded; cached names do not queue") {
  DnsServer dns;
  AddHeld(dns, "slow.example");
  dns.Add("cached.example", "127.0.0.1");
  const GatewayOfBothFamilies named(dns);
  const UdpClient client(named.gateway);
  const UdpPeer slow;
  const UdpPeer target;
  client.Send("first", "cached.example", target.at().port);
  CHECK(target.Receive().bytes == "first");
  const std::size_t more = 40;
  for (std::size_t i = 0; i < kWaitingDatagramsPerAssociation + more; ++i) {
    client.Send(std::to_string(i), "slow.example", slow.at().port);
  }
  CHECK(WaitForCount(named.gateway, &Counters::udp_queue_full, more));
  client.Send("second", "cached.example", target.at().port);
  CHECK(target.Receive().bytes == "second");
  dns.Release("slow.example");
  for (std::size_t i = 0; i < kWaitingDatagramsPerAssociation; ++i) CHECK(slow.Receive().bytes == std::to_string(i));
  client.Send("again", "slow.example", slow.at().port);
  CHECK(slow.Receive().bytes == "again");
}

TEST_CASE("a full queue of waiting datagrams drops one client's datagrams to admit another client's") {
  DnsServer dns;
  AddHeld(dns, "slow.example");
  const GatewayOfBothFamilies named(dns);
  const UdpPeer lost;
  const UdpPeer kept;
  const std::string name = "slow.example";
  const std::size_t size = 60'000;
  const std::size_t fit = kWaitingBytesPerWorker / (name.size() + size);
  const std::size_t greedy_clients = kWaitingBytesPerWorker / (size * kWaitingDatagramsPerAssociation) + 1;
  std::vector<std::unique_ptr<UdpClient>> greedy;
  for (std::size_t i = 0; i < greedy_clients; ++i) {
    greedy.push_back(std::make_unique<UdpClient>(named.gateway));
    for (std::size_t k = 0; k < kWaitingDatagramsPerAssociation; ++k) {
      greedy.back()->Send(std::string(size, 'x'), name, lost.at().port);
      greedy.back()->PingPong(lost);  // the gateway has read it
    }
  }
  const std::size_t refused = greedy_clients * kWaitingDatagramsPerAssociation - fit;
  CHECK(WaitForCount(named.gateway, &Counters::udp_queue_full, refused));
  // A random key puts another client into the same share with a probability of 1 in 256: of three, one is in another.
  std::vector<std::unique_ptr<UdpClient>> others;
  for (const char* const from : {"127.0.0.2:0", "127.0.0.3:0", "127.0.0.4:0"}) {
    others.push_back(std::make_unique<UdpClient>(Peer::FromTo(*Endpoint::Parse(from), named.gateway.at())));
    others.back()->Send(std::string(size, 'y'), name, kept.at().port);
    others.back()->PingPong(lost);
  }
  CHECK(WaitForCount(named.gateway, &Counters::udp_queue_full, refused + others.size()));
  greedy.front()->PingPong(lost);  // this client still works, and its datagrams may wait again
  dns.Release(name);
  CHECK(kept.Receive().bytes == std::string(size, 'y'));
}

TEST_CASE("an address without a route is skipped for the name's next address") {
  DnsServer dns;
  dns.Add("both.example", "fe80::1");  // without a zone it has no route
  dns.Add("both.example", "127.0.0.1");
  const GatewayOfBothFamilies named(dns);
  const UdpClient client(named.gateway, 1);
  const UdpPeer target;
  for (int i = 0; i < 3; ++i) {
    client.Send("a", "both.example", target.at().port);
    CHECK(target.Receive().bytes == "a");
  }
  CHECK(named.gateway.Count(&Counters::udp_unreachable) == 0);
}

TEST_CASE("of a name's addresses those of the client's family are preferred") {
  DnsServer dns;
  dns.Add("both.example", "::1");
  dns.Add("both.example", "127.0.0.1");
  const GatewayOfBothFamilies named(dns);
  for (const std::size_t index : {0U, 1U}) {
    CAPTURE(index);
    const UdpClient client(named.gateway, index);
    const UdpPeer target(index == 0 ? kLoopback : kLoopback6);
    for (const char* const how : {"resolved", "cached"}) {
      client.Send(how, "both.example", target.at().port);
      CHECK(target.Receive().bytes == how);
    }
  }
}

TEST_CASE("the end of an association drops its waiting datagrams and frees their space in the queue") {
  DnsServer dns;
  AddHeld(dns, "slow.example");
  const GatewayOfBothFamilies named(dns);
  const UdpPeer slow;
  for (std::size_t waited = 0; waited <= kWaitingDatagramsPerWorker; waited += kWaitingDatagramsPerAssociation) {
    {
      const UdpClient client(named.gateway);
      FillNameQueue(client, "slow.example", slow);
    }
    REQUIRE(named.gateway.WaitForSessions(0));
    CHECK(named.gateway.Count(&Counters::udp_nameless) == waited + kWaitingDatagramsPerAssociation);
  }
  const UdpClient client(named.gateway);
  client.Send("kept", "slow.example", slow.at().port);
  client.PingPong(UdpPeer());
  dns.Release("slow.example");
  CHECK(slow.Receive().bytes == "kept");
  CHECK(named.gateway.Count(&Counters::udp_queue_full) == 0);
}

TEST_CASE("an association that ends while its waiting datagrams are sent frees each of them once" *
          doctest::skip(::geteuid() != 0)) {
  DnsServer dns;
  AddHeld(dns, "slow.example");
  const GatewayOfBothFamilies named(dns);
  named.gateway.EnlargeReceiveBuffers(2 * kTurnBytes);
  const UdpPeer slow;
  UdpClient client(named.gateway);
  FillNameQueue(client, "slow.example", slow);
  REQUIRE(dns.AwaitQueries("slow.example", DnsType::kA, 1));
  REQUIRE(dns.AwaitQueries("slow.example", DnsType::kAaaa, 1));
  {
    // The control connection has more bytes than one turn reads, and the end behind them. So the worker finds the end
    // while it sends the first of the waiting datagrams.
    const HeldThread worker("worker");
    client.control().Send(std::string(kTurnBytes * 3 / 2, 'x'));
    client.control().HalfClose();
    client.control().WaitUntilAcknowledged();
    dns.Release("slow.example");
  }
  REQUIRE(named.gateway.WaitForSessions(0));

  // The queue has its full capacity again: as many datagrams are queued as before, and all of them arrive.
  AddHeld(dns, "again.example");
  const UdpClient other(named.gateway);
  const UdpPeer target;
  FillNameQueue(other, "again.example", target);
  CHECK(named.gateway.Count(&Counters::udp_queue_full) == 0);
  dns.Release("again.example");
  for (std::size_t i = 0; i < kWaitingDatagramsPerAssociation; ++i) CHECK(target.Receive().bytes == std::to_string(i));
}

TEST_CASE(
    "a name without an address is counted; a client that leaves with a waiting datagram affects no other client") {
  DnsServer dns;
  AddHeld(dns, "slow.example");
  const GatewayOfBothFamilies named(dns);
  const UdpPeer target;
  const UdpClient staying(named.gateway);
  staying.Send("x", "gone.example", target.at().port);
  CHECK(WaitForCount(named.gateway, &Counters::udp_nameless, 1));
  {
    const UdpClient leaving(named.gateway);
    leaving.Send("never", "slow.example", target.at().port);
    REQUIRE(dns.AwaitQueries("slow.example", DnsType::kA, 1));
  }
  CHECK(named.gateway.WaitForSessions(1));
  dns.Release("slow.example");
  staying.Send("cached now", "slow.example", target.at().port);
  CHECK(target.Receive().bytes == "cached now");
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test
