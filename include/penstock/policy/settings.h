// The values of all options, made by config.h, or by a test, before the server starts.
// Owned by the server, shared with every thread as const.
// Invariant: it does not change until the program ends, except for the policy: the server starts with the one in here,
// and a reload replaces it.
// Deliberately not here: text, and whether values make sense together (config.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/os/socket.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/policy.h"

namespace penstock {

// From whom an association's answers may come.
enum class UdpFilter : std::uint8_t {
  kOpen,     // anyone who knows the port
  kAddress,  // addresses that the client has sent to, from any port (RFC 4787 section 5: address-dependent)
};

struct Settings {
  std::vector<Endpoint> listen;  // port 0: the kernel picks one
  std::size_t workers = 1;
  std::size_t login_threads = 1;  // that verify password hashes
  std::string run_as;             // drop privileges to this user after binding; empty: keep them

  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(10);   // from accept to the whole request
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);     // from the request to the target's answer
  std::chrono::milliseconds bind_timeout = std::chrono::minutes(1);         // from the first reply to the peer
  std::chrono::milliseconds half_close_timeout = std::chrono::minutes(10);  // one side has finished, no bytes
  std::chrono::milliseconds idle_timeout = std::chrono::hours(2);           // no bytes
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(30);
  KeepAlive keepalive;
  PortRange bind_ports;  // on which a peer is waited for

  std::chrono::milliseconds udp_idle_timeout = std::chrono::minutes(2);  // an association without datagrams
  UdpFilter udp_filter = UdpFilter::kAddress;
  PortRange udp_ports;                   // of the socket towards the client
  std::vector<IpAddress> udp_advertise;  // what clients are told instead of its address, one of a family at most

  std::size_t connections_max = 0;                         // over all workers; 0: as many as descriptors allow
  std::size_t pipes_max = kPipesMax;                       // per worker, lent and idle
  std::size_t further_attempts_max = kFurtherAttemptsMax;  // per worker, of all dialers beside their first
  bool keep_idle_pipes = true;                             // a test that counts descriptors wants them closed
  std::size_t pending_buffers_max = kPendingBuffersPerWorker;

  GuardOptions guard;
  ResolverSettings names;

  Policy policy;
};

}  // namespace penstock
