// Who may ask what of the admin interface, and what is answered: permissions and routes, as a function of a request.
// A Site is owned by Admin, and const; any thread may ask it. A request waits for its route, and with it all
// requests that come later: none may take longer than kAnswerTimeout.
// Invariant: no web page of another site can use the interface. A page that rebinds its name to this address sends that
// name as Host, which is not accepted; a form that posts here sends its own site as Origin, and an image that reads
// here says so in Sec-Fetch-Site. That holds for Unix sockets, too: `ssh -L` makes one an address of the host that the
// browser runs on.
// Does not: parse requests (http.h), know the gateway (routes.h).
//
//   a request through         GET, HEAD    other methods                     Host
//   a Unix socket             free         free: the file's mode decides     the same, or none
//   an address of loopback    free         the token; none: 403              an address, localhost or a known name
//   any other address         the token    the token                         the same
//
// Any program and any user of the host can reach an address of loopback, so that is no permission to change anything.
// A public route is free everywhere: it says nothing about the gateway. The live page is one, because a browser that
// follows a link sends no token: the page asks its reader for the token, and sends it with each request for data.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/admin/http.h"
#include "penstock/policy/settings.h"

namespace penstock {

// The kind of listener that a connection came through.
enum class Entrance : std::uint8_t {
  kUnixSocket,
  kLoopback,
  kNetwork,
};

struct Route {
  Method method;          // kGet also answers HEAD
  std::string_view path;  // a literal; "*" at its end stands for one segment: at least one byte, and none of them "/"
  std::function<Response(const Request&)> answer;
  bool is_public = false;  // the answer is the same for every gateway: GET needs no token
};

class Site {
 public:
  Site(std::vector<Route> routes, const AdminSettings& settings);

  // The response of the route, or 401, 403, 404, 405 or 421.
  Response Answer(const Request& request, Entrance entrance) const;

 private:
  bool AcceptsHost(std::string_view host) const;
  bool HasToken(const Request& request) const;
  bool IsPublic(const Request& request) const;
  Response AnswerOfRoute(const Request& request) const;

  const std::vector<Route> routes_;
  const std::vector<std::string> hosts_;
  const std::shared_ptr<const Secret> token_;
};

}  // namespace penstock
