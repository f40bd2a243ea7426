#include "penstock/admin/api.h"

#include <string>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

template <class... Values>
std::string TextOf(void (*write)(Json&, Values...), std::decay_t<Values>... values) {
  Json json;
  write(json, values...);
  return json.Take();
}

TEST_CASE("api: info has everything, and null for what is unknown") {
  Snapshot now;
  now.workers.resize(2);
  now.workers[0].counters.accepted.Add(3);
  now.workers[1].counters.ended[0].Add(2);
  now.workers[1].gauges.sessions[5].Set(1);
  for (const Totals& of_worker : now.workers) now.sum.Add(of_worker);
  now.sum.counters.client_floods.Add(4);
  now.sum.counters.over_connect_rate.Add(5);
  now.sum.counters.bytes_up.Add(100);
  now.sum.counters.datagram_bytes_up.Add(11);
  now.sum.counters.datagrams_up.Add(1);
  now.listening = {*Endpoint::Parse("127.0.0.1:1080"), *Endpoint::Parse("[::1]:1080")};
  now.limits = {{"max-connections", 1, 100}};
  now.process = 42;
  now.uptime = milliseconds(1'500);
  now.reload_success = milliseconds(1'700'000'000'123);
  const std::string head = R"({"version":"0.1.0","pid":42,"start_time":null,"uptime":1.500,)";
  const std::string middle =
      R"("listening":["127.0.0.1:1080","[::1]:1080"],"workers":2,"workers_missing":0,)"
      R"("sessions":{"live":1,"states":{"nego":0,"auth":0,"request":0,"connecting":0,"binding":0,"relay":1,)"
      R"("associated":0,"closing":0,"resetting":0}},)"
      R"("limits":[{"name":"max-connections","used":1,"limit":100}],)";
  const std::string totals = R"("totals":{"accepted":3,"refused":9,"ended":2,"logins_failed":0,"up":111,"down":0,)"
                             R"("datagrams_up":1,"datagrams_down":0},)";
  CHECK(TextOf(WriteInfo, now) == head + R"("phase":"serving","ready":true,"reason":null,)" + middle +
                                      R"("memory":{"resident":null},)" + totals +
                                      R"("reload":{"succeeded":true,"time":1700000000.123,"error":null},)"
                                      R"("log":{"level":"notice","format":"text","lost":0}})");
  now.phase = Phase::kDraining;
  now.unready = "draining";
  now.usage.resident_bytes = 4'096;
  now.reload_succeeded = false;
  now.reload_error = "penstock.conf:3: \"\n";
  now.log_level = LogLevel::kInfo;
  now.log_lines_lost = 7;
  CHECK(TextOf(WriteInfo, now) ==
        head + R"("phase":"draining","ready":false,"reason":"draining",)" + middle + R"("memory":{"resident":4096},)" +
            totals +
            R"("reload":{"succeeded":false,"time":1700000000.123,"error":"penstock.conf:3: \"\u000a"},)"
            R"("log":{"level":"info","format":"text","lost":7}})");
}

TEST_CASE("api: errors are counted by the words of replies and of reasons") {
  Counters counters;
  counters.replies[0][0].Add(5);
  counters.replies[1][0].Add(2);
  counters.replies[3][8].Add(1);
  counters.denied[1].Add(3);
  counters.malformed.Add(4);
  counters.ended.back().Add(6);
  counters.over_user_limit.Add(7);
  CHECK(TextOf(WriteErrors, counters) ==
        R"({"replies":{"succeeded":7,"general-failure":0,"not-allowed":0,"network-unreachable":0,)"
        R"("host-unreachable":0,"connection-refused":0,"timed-out":0,"command-not-supported":0,)"
        R"("address-type-not-supported":1},"denied":{"rule":0,"guard":3,"default":0},)"
        R"("handshake_failures":{"not-socks5":0,"malformed":4,"no-method":0,"handshake-expired":0,"client-left":0},)"
        R"("ends":{"closed":0,"reset":0,"refused":0,"over-limit":0,"bad-request":0,"login-failed":0,)"
        R"("login-throttled":0,"client-left":0,"handshake-expired":0,"idle":0,"stopped":0,"forbidden":0,)"
        R"("killed":0,"quota":0,"expired":0,"hours":0,"max-clients":0,"exhausted":6},)"
        R"("refused":{"max-connections-per-client":0,"connect-rate":0,"max-connections-per-user":7,)"
        R"("max-clients":0,"quota":0,"expires":0,"hours":0,"client-flood":0}})");
}

TEST_CASE("api: dns has each source and result, and the durations of the name servers") {
  Counters counters;
  counters.CountName(NameSource::kCache, NameResult::kFound);
  const std::string none = TextOf(WriteDns, counters);
  CHECK(none.starts_with(R"({"lookups":[{"source":"hosts","result":"found","count":0},)"));
  CHECK(none.find(R"({"source":"cache","result":"found","count":1},)") != std::string::npos);
  CHECK(none.find(R"({"source":"network","result":"withdrawn","count":0}])") != std::string::npos);
  CHECK(none.ends_with(R"("duration":{"count":0,"sum":0.000000,"p50":null,"p99":null}})"));
  for (int i = 0; i < 100; ++i) counters.durations.dns.Observe(microseconds(i < 98 ? 600 : 20'000'000));
  CHECK(TextOf(WriteDns, counters)
            .ends_with(R"("duration":{"count":100,"sum":40.058800,"p50":0.000510,"p99":10.000000}})"));
}

TEST_CASE("api: a worker has its own numbers, and says whether it answers") {
  std::vector<Totals> workers(2);
  workers[0].gauges.sessions[0].Set(2);
  workers[0].counters.accepted.Add(9);
  workers[0].counters.bytes_down.Add(10);
  workers[0].counters.datagram_bytes_down.Add(1);
  for (int i = 0; i < 4; ++i) workers[0].counters.durations.turns.Observe(microseconds(5));
  workers[1].workers_missing = 1;
  CHECK(TextOf(WriteWorkers, workers) ==
        R"([{"worker":0,"answers":true,"sessions":2,"accepted":9,"up":0,"down":11,"turns":4,)"
        R"("turn_p50":0.000005,"turn_p99":0.000010,"busy":0.000020},)"
        R"({"worker":1,"answers":false,"sessions":0,"accepted":0,"up":0,"down":0,"turns":0,)"
        R"("turn_p50":null,"turn_p99":null,"busy":0.000000}])");
}

SessionRow Row() {
  SessionRow row;
  row.id = {1, {17, 3}};
  row.client = *Endpoint::Parse("192.0.2.1:4711");
  return row;
}

TEST_CASE("api: a session that has asked for nothing yet is mostly null") {
  CHECK(TextOf(WriteSession, Row(), std::optional<std::uint64_t>()) ==
        R"({"id":"1-17-3","client":"192.0.2.1:4711","user":null,"command":null,"asked":null,"target":null,)"
        R"("state":"nego","up":0,"down":0,"rate":null,"age":0.000})");
}

TEST_CASE("api: a relay has all its parts") {
  SessionRow row = Row();
  row.state = SessionState::kRelay;
  row.user = "alice";
  row.command = Command::kConnect;
  row.asked = "example.com";
  row.port = 443;
  row.target = *Endpoint::Parse("[2001:db8::1]:443");
  row.bytes_up = 5;
  row.bytes_down = 18'446'744'073'709'551'615U;
  row.age = std::chrono::nanoseconds(12'345'999'999);
  CHECK(TextOf(WriteSession, row, std::optional<std::uint64_t>(9)) ==
        R"({"id":"1-17-3","client":"192.0.2.1:4711","user":"alice","command":"connect","asked":"example.com:443",)"
        R"("target":"[2001:db8::1]:443","state":"relay","up":5,"down":18446744073709551615,"rate":9,"age":12.345})");
}

TEST_CASE("api: what was asked for is readable for names and for addresses") {
  SessionRow row;
  row.port = 80;
  CHECK(AskedBy(row) == "");
  for (const auto& [asked, shown] : {std::pair("example.com", "example.com:80"), std::pair("192.0.2.1", "192.0.2.1:80"),
                                     std::pair("2001:db8::1", "[2001:db8::1]:80"), std::pair("a:b", "a:b:80")}) {
    row.asked = asked;
    CHECK(AskedBy(row) == shown);
  }
}

TEST_CASE("api: bytes of a client stay inside their string") {
  SessionRow row = Row();
  row.command = Command::kConnect;
  row.user = std::string("\"},{\"\\\0\x1b[31m\xff\xc2\x9f\xe2\x80\xa8", 18);
  row.asked = "\"\xed\xa0\x80\n";
  const std::string text = TextOf(WriteSession, row, std::optional<std::uint64_t>());
  CHECK(text.find(R"("user":"\"},{\"\\\u0000\u001b[31m)"
                  "\xef\xbf\xbd"
                  R"(\u009f)"
                  "\xe2\x80\xa8"
                  R"(","command")") != std::string::npos);
  CHECK(text.find(R"("asked":"\")"
                  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                  R"(\u000a:0")") != std::string::npos);
}

TEST_CASE("api: an error is one sentence in an object") {
  const Response error = JsonError(400, "a \"bad\" \x01 thing");
  CHECK(error.status == 400);
  CHECK(error.content_type == "application/json");
  CHECK(error.body == "{\"error\":\"a \\\"bad\\\" \\u0001 thing\"}\n");
}

TEST_CASE("api: the reasons of each group, and no others, have a word") {
  const std::string text = TextOf(WriteErrors, Counters());
  CHECK(text.find("\"\":") == std::string::npos);
}

}  // namespace
}  // namespace penstock
