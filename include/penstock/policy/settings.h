// The values of all options. Read by config.h, or set by a test, before the server starts.
// Owned by the server, shared with all threads as const.
// Invariant: settings hold until the program ends, except for the policy: the server starts with this one, and a reload
// replaces it.
// Does not: parse text, check values against each other (config.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/base/secret.h"
#include "penstock/os/sandbox.h"
#include "penstock/os/socket.h"
#include "penstock/policy/guard.h"
#include "penstock/policy/policy.h"

namespace penstock {

// Whose datagrams an association passes to its client.
enum class UdpFilter : std::uint8_t {
  kOpen,     // of every sender
  kAddress,  // of addresses that the client has sent to, from any port (RFC 4787 section 5: address-dependent)
};

// Which CPUs the workers run on.
struct CpuAffinity {
  enum class Mode : std::uint8_t {
    kOff,   // the scheduler chooses
    kAuto,  // one usable CPU each, if there are as many as workers
    kList,  // `cpus`, one after the other
  };
  Mode mode = Mode::kOff;
  std::vector<unsigned> cpus;  // for kList; not empty, and without repetition
};

// The admin interface (admin/admin.h). It is off unless it has a socket or an address.
struct AdminSettings {
  std::vector<std::string> sockets;     // paths of Unix sockets
  std::vector<Endpoint> addresses;      // port 0: the kernel picks one
  std::vector<std::string> hosts;       // accepted in the Host header, beside addresses and localhost; in lower case
  std::string token_file;               // empty: none
  std::shared_ptr<const Secret> token;  // the contents of token_file; null: none
  std::chrono::milliseconds timeout = kAdminTimeout;

  std::size_t listeners() const { return sockets.size() + addresses.size(); }
};

struct Settings {
  std::vector<Endpoint> listen;  // port 0: the kernel picks one
  std::size_t workers = 1;
  CpuAffinity cpu_affinity;
  std::size_t login_threads = 1;  // threads that verify password hashes
  std::string run_as;             // drop privileges to this user after binding; empty: keep them

  SandboxMode sandbox = SandboxMode::kOn;

  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(10);   // from accept to the whole request
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);     // from the request to the target's answer
  std::chrono::milliseconds bind_timeout = std::chrono::minutes(1);         // from the first reply of BIND to its peer
  std::chrono::milliseconds half_close_timeout = std::chrono::minutes(10);  // without a byte, after one side's FIN
  std::chrono::milliseconds idle_timeout = std::chrono::hours(2);           // without a byte
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(30);       // from SIGTERM until sessions are reset
  KeepAlive keepalive;
  PortRange bind_ports;  // of the sockets that wait for the peer of a BIND

  std::chrono::milliseconds udp_idle_timeout = std::chrono::minutes(2);  // without a datagram, for an association
  UdpFilter udp_filter = UdpFilter::kAddress;
  PortRange udp_ports;                   // of the sockets towards clients
  std::vector<IpAddress> udp_advertise;  // replaces the listener's address in replies; at most one of each family

  std::size_t connections_max = 0;                         // sessions; 0: as many as descriptors allow
  std::size_t pipes_max = kPipesMax;                       // per worker, lent and idle together
  std::size_t further_attempts_max = kFurtherAttemptsMax;  // per worker, of all dialers, beyond their first attempts
  bool keep_idle_pipes = true;                             // false in tests that count descriptors
  std::size_t pending_buffers_max = kPendingBuffersPerWorker;  // per worker

  // Whether sessions keep the names that their clients asked for, for lists of sessions; rules and the log do it, too.
  bool store_names = false;

  // Where the accounts of users are kept across restarts; empty: nowhere.
  std::string state_dir;
  std::chrono::milliseconds accounts_save_interval = kAccountsSaveInterval;

  bool user_metrics = false;  // series of each user in the metrics

  GuardOptions guard;
  ResolverSettings names;
  AdminSettings admin;

  Policy policy;
};

}  // namespace penstock
