#include "penstock/dns/exchange.h"

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_answer.h"
#include "test/support/dns_server.h"
#include "test/support/wait.h"

namespace penstock {
namespace {

using Behaviour = test::DnsServer::Behaviour;
using Progress = DnsExchange::Progress;
using test::Strings;
using test::Texts;

Progress Run(Poller& poller, DnsExchange& exchange) {
  const test::Stopwatch watch;
  while (watch.elapsed() < test::kTestTimeout) {
    const int count = poller.Wait(test::kTestTimeout);
    for (int index = 0; index < count; ++index) {
      const Progress progress = exchange.OnEvent();
      if (progress != Progress::kWaiting) return progress;
    }
  }
  return Progress::kWaiting;
}

}  // namespace

TEST_CASE("an answer comes over UDP") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  Poller poller;
  DnsExchange exchange(poller, {});
  REQUIRE(exchange.Begin(server.endpoint(), "www.example", DnsType::kA, 7) == Fault::kNone);
  REQUIRE(Run(poller, exchange) == Progress::kAnswered);
  CHECK(Texts(exchange.answer()) == Strings{"192.0.2.1"});
  CHECK(server.Queries() == 1);
}

TEST_CASE("datagrams that do not answer are skipped until the answer arrives") {
  for (const Behaviour behaviour :
       {Behaviour::kWrongId, Behaviour::kWrongQuestion, Behaviour::kOtherSource, Behaviour::kGarbage}) {
    CAPTURE(static_cast<int>(behaviour));
    test::DnsServer server;
    server.Add("www.example", "192.0.2.1");
    server.BehaveAlways(behaviour);
    Poller poller;
    DnsExchange exchange(poller, {});
    REQUIRE(exchange.Begin(server.endpoint(), "www.example", DnsType::kA, 7) == Fault::kNone);
    REQUIRE(Run(poller, exchange) == Progress::kAnswered);
    CHECK(Texts(exchange.answer()) == Strings{"192.0.2.1"});
    CHECK(server.Queries() == 1);
  }
}

TEST_CASE("a refusal without the question is an answer") {
  test::DnsServer server;
  server.BehaveAlways(Behaviour::kRefusedBare);
  Poller poller;
  DnsExchange exchange(poller, {});
  REQUIRE(exchange.Begin(server.endpoint(), "www.example", DnsType::kA, 7) == Fault::kNone);
  REQUIRE(Run(poller, exchange) == Progress::kAnswered);
  CHECK(exchange.answer().kind == DnsAnswer::Kind::kFailure);
}

TEST_CASE("the query is repeated over TCP if the answer is truncated or too long, or IDs are guessed") {
  for (const Behaviour behaviour : {Behaviour::kTruncated, Behaviour::kAnswer, Behaviour::kForgeries}) {
    CAPTURE(static_cast<int>(behaviour));
    test::DnsServer server;
    const int count = behaviour == Behaviour::kAnswer ? 40 : 1;
    for (int last = 1; last <= count; ++last) server.Add("www.example", "192.0.2." + std::to_string(last));
    server.BehaveAlways(behaviour);
    Poller poller;
    DnsExchange exchange(poller, {});
    REQUIRE(exchange.Begin(server.endpoint(), "www.example", DnsType::kA, 7) == Fault::kNone);
    REQUIRE(Run(poller, exchange) == Progress::kAnswered);
    CHECK(exchange.answer().kind == DnsAnswer::Kind::kAddresses);
    CHECK(exchange.answer().addresses[0].ToString() == "192.0.2.1");
    CHECK(exchange.answer().count == (count == 1 ? 1 : kAddressesPerName));
    CHECK(server.Queries() == 2);
  }
}

TEST_CASE("a stream that ends early is broken") {
  test::DnsServer server;
  server.Add("www.example", "192.0.2.1");
  server.BehaveAlways(Behaviour::kBreakStream);
  Poller poller;
  DnsExchange exchange(poller, {});
  REQUIRE(exchange.Begin(server.endpoint(), "www.example", DnsType::kA, 7) == Fault::kNone);
  CHECK(Run(poller, exchange) == Progress::kBroken);
}

TEST_CASE("an unreachable server is broken at once") {
  Endpoint gone;
  {
    const test::DnsServer server;
    gone = server.endpoint();
  }
  Poller poller;
  DnsExchange exchange(poller, {});
  const Fault fault = exchange.Begin(gone, "www.example", DnsType::kA, 7);
  CHECK((fault == Fault::kRefused || Run(poller, exchange) == Progress::kBroken));
}

TEST_CASE("a name that cannot be encoded is a fault") {
  const test::DnsServer server;
  Poller poller;
  DnsExchange exchange(poller, {});
  CHECK(exchange.Begin(server.endpoint(), "a\\b", DnsType::kA, 7) == Fault::kOther);
}

}  // namespace penstock
