#include "penstock/udp/datagrams.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/os/socket.h"
#include "test/support/sockets.h"

namespace penstock::unit {
namespace {

struct Bench {
  explicit Bench(const char* at = "127.0.0.1:0") : near(OpenUdp(At(at)).socket), far(OpenUdp(At(at)).socket) {}

  Fd near;
  Fd far;
  Endpoint near_at = LocalEndpoint(near.get());
  DatagramInbox inbox;
  DatagramOutbox outbox;
  bool join = true;

  DatagramOutbox::Outcome Flush() { return outbox.Flush(far.get(), join); }

  // Receives at least `wanted` datagrams, in order. Adds the number of messages from the kernel to `messages`.
  std::vector<std::string> Arrived(std::size_t wanted, std::size_t* messages = nullptr) {
    std::vector<std::string> found;
    for (;;) {
      if (found.size() < wanted && !WaitFor(near.get(), POLLIN)) return found;
      const Received received = inbox.Receive(near.get());
      if (messages != nullptr) *messages += received.count;
      for (std::size_t i = 0; i < received.count; ++i) {
        const auto message = inbox.At(i);
        CHECK(message.from == LocalEndpoint(far.get()));
        std::size_t count = 0;
        message.ForEach([&](std::span<const std::uint8_t> datagram) {
          found.emplace_back(datagram.begin(), datagram.end());
          ++count;
        });
        CHECK(count == message.datagrams());
      }
      if (received.count == 0) return found;
    }
  }
};

TEST_CASE("datagrams: those of one length to one destination are sent as one message") {
  Bench bench;
  const std::string data = Pattern(3'000);
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < 30; ++i) {
    wanted.push_back("head" + data.substr(i * 100, i == 29 ? 10 : 100));
    bench.outbox.Add(bench.near_at, Bytes("head"), Bytes(data).subspan(i * 100, i == 29 ? 10 : 100), true);
  }
  const auto outcome = bench.Flush();
  CHECK(outcome.sent == 30);
  CHECK(outcome.sent_bytes == 2'910);
  CHECK(bench.outbox.empty());
  std::size_t messages = 0;
  CHECK(bench.Arrived(wanted.size(), &messages) == wanted);
  CHECK(messages == 1);
  CHECK(bench.join);
}

TEST_CASE("datagrams: those that cannot be joined are sent one by one, in order") {
  Bench bench;
  const std::string data = Pattern(10'000);
  const std::size_t sizes[] = {0, 0, 5, 5, 0, 5, 6, 6, 3, 3, 1'472, 1'472, 1'473, 1'473, 9'000, 1, 1, 1};
  std::vector<std::string> wanted;
  for (const std::size_t size : sizes) {
    wanted.push_back(data.substr(0, size));
    bench.outbox.Add(bench.near_at, {}, Bytes(data).first(size), true);
  }
  CHECK(bench.Flush().sent == std::size(sizes));
  CHECK(bench.Arrived(wanted.size()) == wanted);
  // Nothing is joined unless the caller allows it.
  for (int i = 0; i < 5; ++i) bench.outbox.Add(bench.near_at, {}, Bytes("same"), false);
  CHECK(bench.Flush().sent == 5);
  std::size_t messages = 0;
  CHECK(bench.Arrived(5, &messages).size() == 5);
  CHECK(messages == 5);
}

TEST_CASE("datagrams: the longest datagrams that are joined are shorter over IPv6" * doctest::skip(!HasV6())) {
  for (const auto& [size, wanted] : {std::pair{1'452, 1}, {1'453, 2}}) {
    Bench bench("[::1]:0");
    const std::string data = Pattern(static_cast<std::size_t>(size));
    for (int i = 0; i < 2; ++i) bench.outbox.Add(bench.near_at, {}, Bytes(data), true);
    CHECK(bench.Flush().sent == 2);
    std::size_t messages = 0;
    CHECK(bench.Arrived(2, &messages) == std::vector{data, data});
    CHECK(messages == static_cast<std::size_t>(wanted));
  }
}

TEST_CASE("datagrams: an outbox reports when it is full, of messages or of datagrams") {
  Bench bench;
  std::size_t added = 0;
  for (; !bench.outbox.full(); ++added) bench.outbox.Add(bench.near_at, {}, Bytes("x"), false);
  CHECK(added == kUdpBatch);
  CHECK(bench.Flush().sent == added);
  CHECK(bench.Arrived(added).size() == added);
  for (added = 0; !bench.outbox.full(); ++added) bench.outbox.Add(bench.near_at, Bytes("head"), Bytes("data"), true);
  CHECK(added > 4 * kUdpSegmentsMax);
  CHECK(bench.Flush().sent == added);
  CHECK(bench.Arrived(added) == std::vector<std::string>(added, "headdata"));
}

TEST_CASE("datagrams: joined ones that cannot be sent are sent one by one, and joining is switched off") {
  Bench bench;
  // A socket without checksums cannot send segments (udp(7)).
  const int yes = 1;
  ::setsockopt(bench.far.get(), SOL_SOCKET, SO_NO_CHECK, &yes, sizeof yes);
  for (const char* const data : {"aaaa", "bbbb", "cccc", "d"}) {
    bench.outbox.Add(bench.near_at, Bytes("head"), Bytes(data), true);
  }
  const auto outcome = bench.Flush();
  CHECK(outcome.sent == 4);
  CHECK(outcome.sent_bytes == 13);
  CHECK_FALSE(bench.join);
  CHECK(bench.Arrived(4) == std::vector<std::string>{"headaaaa", "headbbbb", "headcccc", "headd"});
}

TEST_CASE("datagrams: one that cannot be sent does not stop those behind it") {
  Bench bench;
  const Endpoint refused = At("255.255.255.255:9");
  bench.outbox.Add(refused, {}, Bytes("x"), true);
  bench.outbox.Add(bench.near_at, {}, Bytes("1"), true);
  bench.outbox.Add(refused, {}, Bytes("yy"), true);
  bench.outbox.Add(refused, {}, Bytes("yy"), true);
  bench.outbox.Add(bench.near_at, {}, Bytes("2"), true);
  const auto outcome = bench.Flush();
  CHECK(outcome.sent == 2);
  CHECK(outcome.failed == 3);
  CHECK(bench.Arrived(2) == std::vector<std::string>{"1", "2"});
}

TEST_CASE("datagrams: an inbox receives the longest datagram, with room for a header in front of it") {
  Bench bench;
  const std::string longest = Pattern(kUdpBytesMaxIpv4);
  bench.outbox.Add(bench.near_at, {}, Bytes(longest), true);
  CHECK(bench.Flush().sent == 1);
  REQUIRE(WaitFor(bench.near.get(), POLLIN));
  REQUIRE(bench.inbox.Receive(bench.near.get()).count == 1);
  const auto message = bench.inbox.At(0);
  CHECK(std::string(message.bytes.begin(), message.bytes.end()) == longest);
  CHECK(message.headroom.data() + message.headroom.size() == message.bytes.data());
}

}  // namespace
}  // namespace penstock::unit
