// A name server for tests: real sockets (UDP and TCP on one port of 127.0.0.1 that the kernel picks), answers by a
// script. Owned by a test; it serves on a thread of its own from construction to destruction. Every function may be
// called from any thread at any time, so a script can change between two questions.
// Invariant: no answer is late on its own account: one that is to come later is held until Release.
// Deliberately not here: recursion, zones, EDNS. Names are compared without regard to case; none has a final dot.
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
    kAnswer,         // as the records say; over UDP only TC when that is more than 512 bytes
    kSilent,         // never
    kHold,           // not before Release(name)
    kServerFailure,  // SERVFAIL
    kRefused,        // REFUSED
    kRefusedBare,    // REFUSED, without the question
    kTruncated,      // over UDP only TC; over TCP the answer, in three pieces
    kBreakStream,    // over UDP only TC; over TCP half an answer, then the end
    kNoSoa,          // as the records say, but a negative answer has no SOA
    // First something that must not be believed, with kForgedAddress where it has an address, then the true answer:
    kWrongId,
    kWrongQuestion,
    kOtherSource,  // from another port
    kGarbage,      // random-looking bytes, an empty datagram, a message that breaks off
    kForgeries,    // so many with wrong IDs that somebody must be guessing; the true answer only over TCP
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

  // A CNAME record. An answer has the whole chain and what is at its end.
  void Alias(std::string_view name, std::string_view target, std::chrono::seconds ttl = std::chrono::seconds(300));

  // Forgets all records of `name`.
  void Remove(std::string_view name);

  // What an SOA says in negative answers: its own TTL and its MINIMUM. 60 s both unless set.
  void SetSoa(std::chrono::seconds ttl, std::chrono::seconds minimum);

  // For one name, one name and type, or everything that has no behaviour of its own. kAnswer unless set.
  void Behave(std::string_view name, Behaviour behaviour);
  void Behave(std::string_view name, DnsType type, Behaviour behaviour);
  void BehaveAlways(Behaviour behaviour);

  // Sends the answers to `name` that were held, by the records as they are now, and holds no more.
  void Release(std::string_view name);

  // How often `name` was asked for, over UDP and TCP.
  int Queries(std::string_view name, DnsType type) const;
  int Queries() const;

  // Waits until Queries(name, type) is at least `count`; false after kPatience (wait.h).
  bool AwaitQueries(std::string_view name, DnsType type, int count) const;

  // Waits until every datagram that has come was read. Who asks faster than that loses questions: a socket's buffer
  // holds less than 300 of them.
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
  void Mislead(const Question& question, Behaviour behaviour);
  static bool ParseQuestion(Bytes query, Question& question);
  Behaviour Note(const Question& question);
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
  mutable std::condition_variable asked_;
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
