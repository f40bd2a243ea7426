// The admin interface: an HTTP server in a thread of its own, which answers from a table of routes.
// Owned by main, or by a test: made after the server whose routes it answers, and destroyed before it.
// Invariants:
//   - It takes no lock that a worker takes, so a slow, hostile or hanging client costs the workers nothing.
//   - At most kAdminConnectionsMax connections exist. One more replaces one whose last answer has been sent, else the
//     one that has waited longest for a whole request, else the one whose client has taken nothing of its answer for
//     longest. So clients that hold all connections lock out nobody.
// Does not: know HTTP (http.h), permissions and routes (site.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/admin/connection.h"
#include "penstock/admin/site.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/slab.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"
#include "penstock/os/thread.h"
#include "penstock/os/unix_socket.h"
#include "penstock/policy/settings.h"

namespace penstock {

class Admin {
 public:
  // Listens and starts the thread. `settings` has at least one listener. What the routes refer to must outlive the
  // object. On failure returns null, with a sentence in `*error`.
  static std::unique_ptr<Admin> Start(const AdminSettings& settings, std::vector<Route> routes, std::string* error);

  ~Admin();  // ends all connections, joins the thread and removes the files of the Unix sockets
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // AdminSettings::addresses, with the ports that the kernel picked for port 0.
  const std::vector<Endpoint>& listening() const { return listening_; }

 private:
  struct Listener {
    int socket;  // borrowed from sockets_ or ports_
    Entrance entrance;
    bool ready = true;  // latch: the backlog may not be empty
  };

  Admin(const AdminSettings& settings, std::vector<Route> routes);
  bool Open(const AdminSettings& settings, std::string* error);
  bool AddListener(int socket, Entrance entrance);

  void Run();
  void Turn();
  std::optional<std::chrono::nanoseconds> PollTimeout() const;
  void Dispatch(const Poller::Event& event);
  void RunReadyList();
  Connection::Next Call(Connection& connection, Connection::Next (Connection::*step)(const Connection::Tools&));
  void ExpireDeadlines();
  void AcceptAll();
  void AcceptFrom(Listener& listener);
  void Admit(Fd socket, Entrance entrance);
  void MakeRoom();
  void Schedule(Connection& connection, Connection::Next next);

  const Site site_;
  Clock clock_;
  Poller poller_;
  WakeUp wake_;
  std::atomic<bool> stopping_{false};
  std::vector<UnixListener> sockets_;
  std::vector<Fd> ports_;
  std::vector<Endpoint> listening_;
  std::vector<Listener> listeners_;
  TimePoint accept_retry_{};  // no accept before this time
  ConnectionDeadlines deadlines_;
  const Connection::Tools tools_{site_, deadlines_, clock_};
  Slab<Connection> connections_{kAdminConnectionsMax};
  std::vector<Handle> ready_;  // connections that want another turn
  Thread thread_;
};

}  // namespace penstock
