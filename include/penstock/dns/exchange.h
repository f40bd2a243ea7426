// One query and one name server: over UDP, and over TCP when the answer does not fit (RFC 7766 section 5) or too many
// datagrams come that are no answer.
// Owned by a resolver; its own thread only.
// Invariant: each exchange has a fresh socket and ID (RFC 5452 section 9.2), and hears nobody but the server: the
// socket is connected. It is registered with the poller while it waits, and closed with the exchange.
// Deliberately not here: deadlines, other servers, and what an answer means.
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
  // `cookie` is registered for every socket of the exchange.
  DnsExchange(Poller& poller, Cookie cookie) : poller_(poller), cookie_(cookie) {}

  // Sends a query with this ID. Afterwards the exchange waits, unless a fault came at once: kExhausted is about this
  // host, anything else about the server.
  Fault Begin(const Endpoint& server, std::string_view name, DnsType type, std::uint16_t id);

  enum class Progress : std::uint8_t {
    kWaiting,
    kAnswered,   // see answer()
    kExhausted,  // no descriptor for TCP
    kBroken,     // nobody is there, or the stream broke off
  };

  // After an event; to be called until it no longer waits.
  Progress OnEvent(const Events& events);

  // Neither foreign nor truncated. Valid after kAnswered.
  const DnsAnswer& answer() const { return answer_; }

 private:
  Progress ReceiveDatagrams();
  Progress BeginStream();
  Progress SendOnStream();
  Progress ReceiveOnStream();
  Progress Judge(std::span<const std::uint8_t> message);

  Poller& poller_;
  const Cookie cookie_;
  Endpoint server_;
  DnsQuery query_;
  Fd socket_;
  int foreign_ = 0;  // datagrams that were no answer
  bool stream_ = false;
  std::vector<std::uint8_t> to_send_;   // on the stream
  std::vector<std::uint8_t> received_;  // from the stream: LENGTH, then as many bytes as it says
  std::size_t filled_ = 0;              // bytes of received_ that have come
  DnsAnswer answer_;
};

}  // namespace penstock
