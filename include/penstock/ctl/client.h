// A client of the admin interface: one request at a time over one kept-alive connection, through a Unix socket or TCP.
// Owned by a command of penstock ctl; its thread only.
// Invariant: at most one request is under way, and it ends with an answer or a sentence, within its timeout. A request
// that may have changed something is never sent twice.
// Does not: know routes (ctl.h, top.h), follow redirections, resolve names.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "penstock/base/endpoint.h"
#include "penstock/base/secret.h"
#include "penstock/ctl/answer.h"
#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/poller.h"

namespace penstock {

inline constexpr std::string_view kAdminDefault = "unix:/run/penstock/admin.sock";
inline constexpr std::chrono::seconds kCtlTimeout{10};

// Where a gateway answers.
struct AdminAddress {
  std::string path;  // of a Unix socket; empty: `at`
  Endpoint at;

  // unix:PATH, ADDR:PORT or http://ADDR:PORT, where ADDR may be localhost, which is 127.0.0.1. Nothing for any other
  // text.
  static std::optional<AdminAddress> Parse(std::string_view text);

  // As Parse takes it.
  std::string ToString() const;
};

// The part of a path or of a query that means `text` (RFC 3986 section 2.1).
std::string PercentEncoded(std::string_view text);

class AdminClient {
 public:
  // `token`: for Authorization; empty: none.
  AdminClient(AdminAddress address, Secret token);

  // Asks, and waits for the answer. Nothing if there is none: then error() is a sentence. `target`: a path and query.
  std::optional<Answer> Ask(std::string_view method, std::string_view target);

  // The same in steps, for a caller that has more to wait for. Begin connects if there is no connection and puts the
  // socket into `poller` with `cookie`; call Step at each of its events, and when deadline() has passed. Step says
  // kWaiting until answer() or error() is set.
  enum class Progress : unsigned char { kWaiting, kAnswered, kFailed };
  Progress Begin(std::string_view method, std::string_view target, Poller& poller, Cookie cookie);
  Progress Step();
  TimePoint deadline() const { return deadline_; }

  const Answer& answer() const { return answer_; }
  const std::string& error() const { return error_; }

 private:
  Progress Open();
  Progress Connect();
  Progress Exchange();
  Progress Fail(const std::string& why);

  const AdminAddress address_;
  const Secret token_;

  Fd socket_;
  bool connecting_ = false;  // TCP, until the socket is writable
  bool reused_ = false;      // the connection has carried an answer
  bool may_repeat_ = false;  // the request changes nothing
  std::string request_;
  std::size_t sent_ = 0;
  std::string received_;
  TimePoint deadline_{};
  Poller* poller_ = nullptr;  // of the request under way
  Cookie cookie_;

  Answer answer_;
  std::string error_;
};

}  // namespace penstock
