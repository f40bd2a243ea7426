// One query to one name server: over UDP, and over TCP if the answer is truncated (RFC 7766 section 5) or too many
// datagrams arrive that do not answer it. Owned by NameLookups; one thread. Invariant: each exchange has a fresh
// socket and ID (RFC 5452 section 9.2). Its socket is connected, so only the server is heard. It is registered with
// the poller while it waits and closed with the exchange. Does not: keep deadlines, choose servers, interpret answers.
//
//   over TCP: LENGTH(2) | message (RFC 1035 section 4.2.2)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/dns/message.h"
#include "penstock/os/fd.h"
#include "penstock/os/io.h"
#include "penstock/os/poller.h"

namespace penstock {

class DnsExchange {
 public:
  // The exchange's sockets are registered with `poller` under `cookie`.
  DnsExchange(Poller& poller, Cookie cookie) : poller_(poller), cookie_(cookie) {}

  // Sends the query. kNone: the exchange waits. kExhausted: this host lacks a descriptor or memory. Any other fault is
  // the server's, or `name` cannot be encoded.
  Fault Begin(const Endpoint& server, std::string_view name, DnsType type, std::uint16_t id);

  enum class Progress : std::uint8_t {
    kWaiting,
    kAnswered,   // see answer()
    kExhausted,  // no descriptor for TCP
    kBroken,     // the server is unreachable, or the stream ended early
  };

  // Call after each event of the socket while the exchange waits.
  Progress OnEvent();

  // Valid after kAnswered; neither foreign nor truncated.
  const DnsAnswer& answer() const { return answer_; }

 private:
  Progress ReceiveDatagrams();
  Progress BeginStream();
  Progress SendOnStream();
  Progress ReceiveOnStream();
  Progress OnMessage(std::span<const std::uint8_t> message);

  Poller& poller_;
  const Cookie cookie_;
  Endpoint server_;
  DnsQuery query_;
  Fd socket_;
  int foreign_ = 0;  // datagrams received that are not the answer
  bool stream_ = false;
  std::vector<std::uint8_t> to_send_;   // over TCP
  std::vector<std::uint8_t> received_;  // over TCP: LENGTH, then as many bytes
  std::size_t filled_ = 0;              // bytes of received_ that have arrived
  DnsAnswer answer_;
};

}  // namespace penstock
