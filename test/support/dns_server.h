// A name server for tests, with real sockets (UDP and TCP on one port of 127.0.0.1 that the kernel picks) and scripted
// answers.
// Owned by a test; serves on its own thread from construction to destruction. Any thread may call every function at any
// time, so a script can change between two queries.
// Invariant: every query is answered at once, unless its behaviour is kSilent or kHold.
// Does not: recursion, zones, EDNS. Names are compared without regard to case and have no final dot.
//
//   DnsServer server;
//   server.Add("www.example", "192.0.2.1");
//   server.Add("www.example", "2001:db8::1", 30s);
//   server.Alias("alias.example", "www.example");
//   server.Behave("lost.example", DnsServer::Behaviour::kSilent);
//   WriteFile(path, server.ResolvConf("timeout:1"));         // then --resolv-conf=path
//   ...
//   CHECK(server.AwaitQueries("lost.example", DnsType::kA, 1));
//
// A name that no script mentions does not exist: NXDOMAIN with an SOA.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/dns/message.h"
#include "penstock/os/fd.h"

namespace penstock::test {

class DnsServer {
 public:
  using Bytes = std::vector<std::uint8_t>;

  enum class Behaviour : std::uint8_t {
    kAnswer,         // by the records; over UDP only TC if the answer is longer than 512 bytes
    kSilent,         // no answer
    kHold,           // an answer after Release(name)
    kServerFailure,  // SERVFAIL
    kRefused,        // REFUSED
    kRefusedBare,    // REFUSED, without the question
    kTruncated,      // over UDP only TC; over TCP the answer, in three pieces
    kBreakStream,    // over UDP only TC; over TCP half of the answer, then the end
    kNoSoa,          // by the records, but a negative answer has no SOA
    // A forged answer, with kForgedAddress where it has an address, and the true answer behind it:
    kWrongId,
    kWrongQuestion,
    kOtherSource,  // from another port
    kGarbage,      // other bytes, an empty datagram, and a truncated message
    kForgeries,    // kForeignAnswersMax answers with wrong IDs over UDP; the true answer only over TCP
  };

  static constexpr const char* kForgedAddress = "203.0.113.66";

  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  Endpoint endpoint() const { return endpoint_; }

  // The text of a resolv.conf that names this server (and `more`, after it), with `options` as resolv.conf(5) has them.
  std::string ResolvConf(std::string_view options = "", const std::vector<Endpoint>& more = {}) const;

  // An A or AAAA record, by the form of `address`.
  void Add(std::string_view name, std::string_view address, std::chrono::seconds ttl = std::chrono::seconds(300));

  // A CNAME record. An answer has the whole chain and the addresses at its end.
  void Alias(std::string_view name, std::string_view target, std::chrono::seconds ttl = std::chrono::seconds(300));

  // Removes all records of `name`.
  void Remove(std::string_view name);

  // The TTL and the MINIMUM of the SOA in negative answers. The default of both is 60 s.
  void SetSoa(std::chrono::seconds ttl, std::chrono::seconds minimum);

  // For one name, one name and type, or all names without a behaviour of their own. The default is kAnswer.
  void Behave(std::string_view name, Behaviour behaviour);
  void Behave(std::string_view name, DnsType type, Behaviour behaviour);
  void BehaveAlways(Behaviour behaviour);

  // Sends the held answers for `name`, by the current records, and removes its behaviours.
  void Release(std::string_view name);

  // The number of queries for `name`, or of all queries, over UDP and TCP.
  int Queries(std::string_view name, DnsType type) const;
  int Queries() const;

  // Waits until Queries(name, type) is at least `count`; false after kTestTimeout (wait.h).
  bool AwaitQueries(std::string_view name, DnsType type, int count) const;

  // Waits until every datagram that has arrived was read. A test that sends many queries calls it between them, since a
  // socket's buffer holds less than 300.
  bool AwaitRead() const;

 private:
  struct Records {
    std::vector<std::pair<IpAddress, std::chrono::seconds>> addresses;
    std::string alias;
    std::chrono::seconds alias_ttl{0};
  };
  struct Question {
    Bytes query;
    std::string name;
    std::uint16_t type = 0;
    Endpoint from;
  };
  using Key = std::pair<std::string, std::uint16_t>;

  void Serve();
  void ServeDatagram();
  void ServeStream();
  void AnswerStream(int stream, const Question& question);
  void AnswerDatagram(const Question& question, Behaviour behaviour);
  void SendForged(const Question& question, Behaviour behaviour);
  static bool ParseQuestion(Bytes query, Question& question);
  Behaviour Count(const Question& question);
  Bytes Answer(const Question& question, bool soa) const;
  static Bytes Bare(const Question& question, std::uint16_t flags);
  static Bytes Forged(const Question& question);
  void SendTo(int socket, const Endpoint& to, std::span<const std::uint8_t> bytes) const;

  Fd datagrams_;
  Fd listener_;
  Fd other_source_;
  Fd stop_read_;
  Fd stop_write_;
  Endpoint endpoint_;

  mutable std::mutex mutex_;
  mutable std::condition_variable queried_;
  std::map<std::string, Records> records_;
  std::map<std::string, Behaviour> by_name_;
  std::map<Key, Behaviour> by_name_and_type_;
  Behaviour always_ = Behaviour::kAnswer;
  std::map<Key, int> queries_;
  std::vector<Question> held_;
  std::chrono::seconds soa_ttl_{60};
  std::chrono::seconds soa_minimum_{60};

  std::thread thread_;
};

}  // namespace penstock::test
