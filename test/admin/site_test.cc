#include "penstock/admin/site.h"

#include <memory>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

std::vector<Route> Routes() {
  return {
      {Method::kGet, "/page", [](const Request&) { return TextResponse(200, "page"); }},
      {Method::kPost, "/page", [](const Request& request) { return TextResponse(202, request.body); }},
      {Method::kDelete, "/one", [](const Request&) { return TextResponse(200, "gone"); }},
      {Method::kGet, "/item/*", [](const Request& request) { return TextResponse(200, request.path.substr(6)); }},
      {Method::kGet, "/public", [](const Request&) { return TextResponse(200, "for all"); }, true},
      {Method::kPost, "/public", [](const Request&) { return TextResponse(202, "taken"); }},
  };
}

AdminSettings WithToken() {
  AdminSettings settings;
  settings.hosts = {"gateway.example"};
  settings.token = std::make_shared<const Secret>("open-sesame");
  return settings;
}

Response Ask(const Site& site, Entrance entrance, std::string_view method, std::string_view path,
             std::string_view fields = "Host: localhost\r\n") {
  const std::string text =
      std::string(method) + ' ' + std::string(path) + " HTTP/1.1\r\n" + std::string(fields) + "\r\n";
  Request request;
  REQUIRE(ParseRequest(text, &request).status == ParseResult::Status::kComplete);
  return site.Answer(request, entrance);
}

TEST_CASE("site: a route is found by path and method; HEAD is GET") {
  const Site site(Routes(), {});
  CHECK(Ask(site, Entrance::kUnixSocket, "GET", "/page").body == "page\n");
  CHECK(Ask(site, Entrance::kUnixSocket, "HEAD", "/page?x=1").status == 200);
  CHECK(Ask(site, Entrance::kUnixSocket, "POST", "/page").status == 202);
  CHECK(Ask(site, Entrance::kUnixSocket, "DELETE", "/one").status == 200);
  for (const std::string_view path : {"/", "/pag", "/page/", "//page", "/PAGE", "/x/../page"}) {
    CHECK(Ask(site, Entrance::kUnixSocket, "GET", path).status == 404);
  }
  const Response put = Ask(site, Entrance::kUnixSocket, "PUT", "/page");
  CHECK(put.status == 405);
  CHECK(put.headers == "Allow: GET, HEAD, POST\r\n");
  CHECK(Ask(site, Entrance::kUnixSocket, "HEAD", "/one").headers == "Allow: DELETE\r\n");
}

TEST_CASE("site: a route with a star has one more segment") {
  const Site site(Routes(), {});
  CHECK(Ask(site, Entrance::kUnixSocket, "GET", "/item/1").body == "1\n");
  CHECK(Ask(site, Entrance::kUnixSocket, "GET", "/item/*?x=/").body == "*\n");
  CHECK(Ask(site, Entrance::kUnixSocket, "POST", "/item/1").headers == "Allow: GET, HEAD\r\n");
  for (const std::string_view path : {"/item", "/item/", "/item/1/", "/item/1/2", "/item//", "/Item/1"}) {
    CAPTURE(path);
    CHECK(Ask(site, Entrance::kUnixSocket, "GET", path).status == 404);
  }
}

TEST_CASE("site: the Host is an address, localhost or a known name, with or without a port") {
  const Site site(Routes(), WithToken());
  const auto status = [&](std::string_view host, Entrance entrance = Entrance::kLoopback) {
    return Ask(site, entrance, "GET", "/page", "Host: " + std::string(host) + "\r\n").status;
  };
  for (const std::string_view good : {"localhost", "LocalHost:80", "127.0.0.1", "10.1.2.3:9180", "[::1]", "[::1]:80",
                                      "gateway.example", "Gateway.Example:443", "localhost:"}) {
    CAPTURE(good);
    CHECK(status(good) == 200);
  }
  for (const std::string_view bad : {"",
                                     ":80",
                                     "evil.example",
                                     "localhost.evil.example",
                                     "evil.example:localhost",
                                     "127.0.0.1.evil.example",
                                     "::1",
                                     "[::1",
                                     "::1]",
                                     "[127.0.0.1]",
                                     "[localhost]",
                                     "127.1",
                                     "2130706433",
                                     "localhost:80:80",
                                     "user@localhost",
                                     "localhost/",
                                     "localhost, evil.example",
                                     "gateway.example.",
                                     "[::1]x",
                                     "[::1]:x"}) {
    CAPTURE(bad);
    CHECK(status(bad) == 421);
    CHECK(status(bad, Entrance::kUnixSocket) == (bad.empty() ? 200 : 421));  // ssh -L may lead a browser there
  }
  CHECK(Ask(site, Entrance::kLoopback, "GET", "http://evil.example/page").status == 421);
}

TEST_CASE("site: who needs the token depends on the listener and the method") {
  const Site open(Routes(), {});
  const Site closed(Routes(), WithToken());
  const std::string_view with = "Host: localhost\r\nAuthorization: Bearer open-sesame\r\n";
  const std::string_view without = "Host: localhost\r\n";
  CHECK(Ask(open, Entrance::kUnixSocket, "POST", "/page", without).status == 202);
  for (const std::string_view method : {"GET", "HEAD"}) {
    CHECK(Ask(open, Entrance::kLoopback, method, "/page", without).status == 200);
  }
  for (const std::string_view method : {"POST", "DELETE", "PUT"}) {
    CHECK(Ask(open, Entrance::kLoopback, method, "/page", with).body ==
          "403 Forbidden: changes over TCP need a token: configure --admin-token-file, or use a Unix socket\n");
  }
  CHECK(Ask(open, Entrance::kNetwork, "GET", "/page", with).status == 401);
  CHECK(Ask(closed, Entrance::kUnixSocket, "POST", "/page", without).status == 202);
  CHECK(Ask(closed, Entrance::kLoopback, "GET", "/page", without).status == 200);
  CHECK(Ask(closed, Entrance::kLoopback, "HEAD", "/page", without).status == 200);
  for (const std::string_view method : {"POST", "DELETE", "PUT"}) {
    CHECK(Ask(closed, Entrance::kLoopback, method, "/page", without).status == 401);
    CHECK(Ask(closed, Entrance::kLoopback, method, "/page", with).status != 401);
    CHECK(Ask(closed, Entrance::kNetwork, method, "/page", without).status == 401);
  }
  CHECK(Ask(closed, Entrance::kNetwork, "GET", "/page", without).status == 401);
  CHECK(Ask(closed, Entrance::kNetwork, "GET", "/page", with).status == 200);
  const Response refusal = Ask(closed, Entrance::kNetwork, "GET", "/missing", without);  // tells nothing about routes
  CHECK(refusal.status == 401);
  CHECK(refusal.headers == "WWW-Authenticate: Bearer\r\n");
}

TEST_CASE("site: a token is the whole of it, with the scheme in any case") {
  const Site site(Routes(), WithToken());
  const auto status = [&](std::string_view credentials) {
    return Ask(site, Entrance::kNetwork, "GET", "/page",
               "Host: localhost\r\nAuthorization: " + std::string(credentials) + "\r\n")
        .status;
  };
  for (const std::string_view good : {"Bearer open-sesame", "bEARER   open-sesame"}) CHECK(status(good) == 200);
  for (const std::string_view bad :
       {"", "Bearer", "Bearer ", "Bearer open-sesam", "Bearer open-sesame!", "Bearer Open-sesame", "open-sesame",
        "Basic open-sesame", "Beareropen-sesame", "Bearer open-sesame x", "Bearer open-sesame, Bearer x"}) {
    CAPTURE(bad);
    CHECK(status(bad) == 401);
  }
}

TEST_CASE("site: a page of another site changes nothing, and occupies nothing") {
  const Site site(Routes(), WithToken());
  const auto status = [&](std::string_view method, std::string_view origin, Entrance entrance = Entrance::kLoopback) {
    return Ask(site, entrance, method, "/page",
               "Host: 127.0.0.1:9180\r\nAuthorization: Bearer open-sesame\r\nOrigin: " + std::string(origin) + "\r\n")
        .status;
  };
  CHECK(status("POST", "http://127.0.0.1:9180") == 202);
  CHECK(status("POST", "https://127.0.0.1:9180") == 202);  // a TLS terminator in front
  for (const std::string_view other : {"http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:91800",
                                       "http://127.0.0.1:9180/", "127.0.0.1:9180", ""}) {
    CAPTURE(other);
    CHECK(status("POST", other) == 403);
    CHECK(status("GET", other) == 403);  // it could not read the answer, but take the places of /api/v1/events
  }
  CHECK(status("POST", "http://evil.example", Entrance::kUnixSocket) == 403);  // ssh -L may lead a browser there
  CHECK(status("POST", "http://127.0.0.1:9180", Entrance::kUnixSocket) == 202);

  const auto fetch = [&](std::string_view method, std::string_view path, std::string_view from, std::string_view as) {
    return Ask(site, Entrance::kUnixSocket, method, path,
               "Host: localhost\r\nSec-Fetch-Site: " + std::string(from) + "\r\nSec-Fetch-Dest: " + std::string(as) +
                   "\r\n")
        .status;
  };
  for (const std::string_view other : {"cross-site", "same-site", "new-word"}) {
    CAPTURE(other);
    CHECK(fetch("GET", "/page", other, "image") == 403);
    CHECK(fetch("GET", "/page", other, "iframe") == 403);
    CHECK(fetch("GET", "/page", other, "document") == 200);  // a link, followed
    CHECK(fetch("POST", "/page", other, "document") == 403);
    CHECK(fetch("GET", "/public", other, "empty") == 200);
  }
  for (const std::string_view own : {"same-origin", "none"}) {
    CHECK(fetch("GET", "/page", own, "empty") == 200);
    CHECK(fetch("POST", "/page", own, "empty") == 202);
  }
}

TEST_CASE("site: a public route needs no token to be read, but an accepted Host") {
  const Site site(Routes(), WithToken());
  for (const Entrance entrance : {Entrance::kUnixSocket, Entrance::kLoopback, Entrance::kNetwork}) {
    CHECK(Ask(site, entrance, "GET", "/public").body == "for all\n");
    CHECK(Ask(site, entrance, "HEAD", "/public").status == 200);
    CHECK(Ask(site, entrance, "GET", "/public", "Host: evil.example\r\n").status == 421);
  }
  for (const Entrance entrance : {Entrance::kLoopback, Entrance::kNetwork}) {
    CHECK(Ask(site, entrance, "POST", "/public").status == 401);
    CHECK(Ask(site, entrance, "PUT", "/public").status == 401);
  }
  CHECK(Ask(site, Entrance::kNetwork, "GET", "/public/").status == 401);
}

}  // namespace
}  // namespace penstock
