// The service manager that has started this process, such as systemd: the sockets that it passes, and the socket on
// which it is told the state of the service. sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3) without their
// library.
// Owned by main; its thread only, before others are started: it changes the environment.
// Invariant: variables are removed once they have been read, so no other program takes them for its own.
// Does not: know what there is to tell (server/service_report.h).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/os/fd.h"

namespace penstock {

// Listening TCP sockets, each as AdoptListener leaves it; none without a service manager. If something else was passed,
// `error` is a sentence.
struct PassedSockets {
  std::vector<Fd> sockets;
  std::string error;
};
PassedSockets TakePassedSockets();

class ServiceManager {
 public:
  // Connects to $NOTIFY_SOCKET, so that it can be told later what a sandbox or another user could not reach.
  ServiceManager();

  bool listens() const { return socket_.valid(); }

  // The longest time between two WATCHDOG=1 that it accepts; nothing if it does not expect any.
  std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

  // Sends assignments, one a line. Waits for at most kNotifyTimeout; nobody is told what is lost. Nothing is sent if
  // nobody listens.
  void Tell(std::string_view assignments) const;

 private:
  Fd socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace penstock
