#include "penstock/admin/http.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"

namespace penstock {
namespace {

using namespace std::string_view_literals;
using Status = ParseResult::Status;

const std::string kHost = "Host: localhost\r\n";

// The error of `bytes`, and of every longer prefix of them than the first that is an error: 0 if they are complete, -1
// if they are incomplete.
int ErrorOf(std::string_view bytes) {
  int error = -1;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const std::string exact(bytes.substr(0, size));  // a read behind it is one that the sanitizers see
    Request request;
    const ParseResult result = ParseRequest(exact, &request);
    CAPTURE(size);
    if (error > 0) CHECK((result.status == Status::kBad && result.error == error));
    if (error == 0) CHECK(result.status == Status::kComplete);
    if (result.status == Status::kBad) error = result.error;
    if (result.status == Status::kComplete) error = 0;
  }
  return error;
}

std::string Get(std::string_view target) { return "GET " + std::string(target) + " HTTP/1.1\r\n" + kHost + "\r\n"; }
std::string With(std::string_view fields) { return "GET / HTTP/1.1\r\n" + kHost + std::string(fields) + "\r\n"; }

// A request that is complete and refers to `text`, which therefore may not be a temporary.
Request Parsed(const std::string& text, std::size_t bytes) {
  Request request;
  const ParseResult result = ParseRequest(text, &request);
  CHECK(result.status == Status::kComplete);
  CHECK(result.bytes == bytes);
  return request;
}
Request Parsed(const std::string& text) { return Parsed(text, text.size()); }
Request Parsed(std::string&& text, std::size_t bytes) = delete;
Request Parsed(std::string&& text) = delete;

TEST_CASE("http: a request has a method, a path, a query, headers and a body") {
  const std::string text =
      "POST /sessions/a%20b?client=%3a%3a1&all&x=1+2&x=3 HTTP/1.1\r\nhOST: localhost:9180\r\nAccept:\t a, b \r\n"
      "Empty:\r\nContent-Length: 5\r\n\r\nhello";
  const std::string followed = text + "GET";
  const Request request = Parsed(followed, text.size());
  CHECK(request.method == Method::kPost);
  CHECK(request.path == "/sessions/a b");
  CHECK(request.Parameter("client") == "::1");
  CHECK(request.Parameter("all") == "");
  CHECK(request.Parameter("x") == "1 2");
  CHECK_FALSE(request.Parameter("Client"));
  CHECK(request.host == "localhost:9180");
  CHECK(request.Header("accept") == "a, b");
  CHECK(request.Header("EMPTY") == "");
  CHECK_FALSE(request.Header("Origin"));
  CHECK(request.body == "hello");
  CHECK(request.keep_alive);
}

TEST_CASE("http: methods") {
  for (const auto& [name, method] : std::initializer_list<std::pair<std::string, Method>>{{"GET", Method::kGet},
                                                                                          {"HEAD", Method::kHead},
                                                                                          {"POST", Method::kPost},
                                                                                          {"DELETE", Method::kDelete},
                                                                                          {"PUT", Method::kOther},
                                                                                          {"get", Method::kOther},
                                                                                          {"X-1!", Method::kOther}}) {
    const std::string text = name + " / HTTP/1.1\r\n" + kHost + "\r\n";
    CHECK(Parsed(text).method == method);
  }
}

TEST_CASE("http: a connection is kept by HTTP/1.1 unless it says close") {
  const auto keeps = [](std::string_view version, std::string_view fields) {
    const std::string text = "GET / HTTP/" + std::string(version) + "\r\n" + kHost + std::string(fields) + "\r\n";
    return Parsed(text).keep_alive;
  };
  CHECK(keeps("1.1", ""));
  CHECK(keeps("1.9", ""));
  CHECK(keeps("1.1", "Connection: keep-alive, x\r\n"));
  CHECK_FALSE(keeps("1.1", "Connection: Close\r\n"));
  CHECK_FALSE(keeps("1.1", "Connection: x ,\tclose\r\n"));
  CHECK_FALSE(keeps("1.1", "Connection: x\r\nConnection: close\r\n"));
  CHECK_FALSE(keeps("1.0", ""));
  CHECK_FALSE(keeps("1.0", "Connection: keep-alive\r\n"));
}

TEST_CASE("http: targets") {
  const auto path = [](std::string_view target) {
    const std::string text = Get(target);
    return Parsed(text).path;
  };
  CHECK(path("/") == "/");
  CHECK(path("//a/../b/./") == "//a/../b/./");
  CHECK(path("/%41%c3%a4") == "/A\xc3\xa4");
  CHECK(path("/%2541") == "/%41");  // decoded once
  CHECK(path("/?") == "/");
  CHECK(path("http://other:80/a?b") == "/a");
  CHECK(path("HTTP://other?b") == "/");
  const std::string absolute = Get("http://other:80");
  CHECK(Parsed(absolute).host == "other:80");
  for (const std::string_view bad : {"",
                                     "a",
                                     "*",
                                     "localhost:80",
                                     "/%",
                                     "/%4",
                                     "/%4g",
                                     "/%00",
                                     "/%0a",
                                     "/%7f",
                                     "/a%2fb",
                                     "/a#b",
                                     "/\xc3\xa4",
                                     "/a\tb",
                                     "/?a=%",
                                     "/?%00",
                                     "http://",
                                     "http:///a",
                                     "https://localhost/",
                                     "ftp://localhost/"}) {
    CAPTURE(bad);
    CHECK(ErrorOf(Get(bad)) == 400);
  }
}

TEST_CASE("http: request lines") {
  for (const std::string_view good : {"GET / HTTP/1.1\r\n", "\r\n\r\nGET / HTTP/1.0\r\n", "A / HTTP/1.7\r\n"}) {
    CHECK(ErrorOf(std::string(good) + kHost + "\r\n") == 0);
  }
  for (const std::string_view bad : std::initializer_list<std::string_view>{
           " GET / HTTP/1.1\r\n", "GET  / HTTP/1.1\r\n", "GET /  HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET /\r\n",
           "GET / http/1.1\r\n", "GET / HTTP/1.10\r\n", "GET / HTTP/1\r\n", "GET / HTTP/x.1\r\n", "GET\t/ HTTP/1.1\r\n",
           "G(T / HTTP/1.1\r\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r", "GET / \r HTTP/1.1\r\n",
           "\nGET / HTTP/1.1\r\n", "GET /\0 HTTP/1.1\r\n"sv, "\x16\x03\x01\x02", "\r\n \r\n"}) {
    CAPTURE(bad);
    CHECK(ErrorOf(std::string(bad) + kHost + "\r\n") == 400);
  }
  CHECK(ErrorOf("GET / HTTP/2.0\r\n") == 505);
  CHECK(ErrorOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505);
  CHECK(ErrorOf("GET / HTTP/0.9\r\n") == 505);
}

TEST_CASE("http: nothing that two readers could cut differently is accepted") {
  for (const std::string_view bad :
       std::initializer_list<std::string_view>{"Content-Length: 1\r\nContent-Length: 1\r\n",
                                               "Content-Length: 1, 1\r\n",
                                               "Content-Length: +1\r\n",
                                               "Content-Length: -1\r\n",
                                               "Content-Length: 0x1\r\n",
                                               "Content-Length: 1 1\r\n",
                                               "Content-Length:\r\n",
                                               "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                                               "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
                                               "Content-Length : 1\r\n",
                                               "Content-Length\t: 1\r\n",
                                               " Content-Length: 1\r\n",
                                               "A: b\r\n c\r\n",
                                               "A: b\r\n\tc\r\n",
                                               "A: b\n",
                                               "A: b\rc\r\n",
                                               "A: b\0c\r\n"sv,
                                               "A: b\x7f\r\n",
                                               "A\r\n",
                                               ": b\r\n",
                                               "A b: c\r\n",
                                               "A\x80: b\r\n",
                                               "Host: localhost\r\n",
                                               "Authorization: a\r\nauthorization: a\r\n",
                                               "Origin: a\r\nOrigin: a\r\n"}) {
    CAPTURE(bad);
    CHECK(ErrorOf(With(bad) + "x") == 400);
  }
  CHECK(ErrorOf(With("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n") == 501);
  CHECK(ErrorOf("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(ErrorOf("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(ErrorOf("GET / HTTP/1.0\r\n\r\n") == 0);
  CHECK(ErrorOf(With("Expect: 100-continue\r\nContent-Length: 1\r\n")) == 417);
  CHECK(ErrorOf(With("A: \x80\xff\r\nContent-Length: 0001\r\n") + "x") == 0);
}

TEST_CASE("http: a request has a bounded size and a bounded number of headers") {
  const auto of_size = [](std::size_t size) {
    std::string text = "GET / HTTP/1.1\r\n" + kHost + "A: ";
    return text + std::string(size - text.size() - 4, 'x') + "\r\n\r\n";
  };
  CHECK(ErrorOf(of_size(kAdminRequestBytesMax)) == 0);
  CHECK(ErrorOf(of_size(kAdminRequestBytesMax + 1)) == 431);
  CHECK(ErrorOf(std::string(kAdminRequestBytesMax - 1, 'x')) == -1);
  CHECK(ErrorOf(std::string(kAdminRequestBytesMax, 'x')) == 431);

  const auto with_body = [](std::size_t size) {
    std::string text = "POST / HTTP/1.1\r\n" + kHost + "Content-Length: ";
    const std::size_t body = size - text.size() - 4 - 4;
    return text + std::to_string(body) + "\r\n\r\n" + std::string(body, 'x');
  };
  CHECK(ErrorOf(with_body(kAdminRequestBytesMax)) == 0);
  CHECK(ErrorOf(with_body(kAdminRequestBytesMax + 1)) == 413);
  CHECK(ErrorOf(With("Content-Length: 99999999999999999999999999999999\r\n")) == 413);

  std::string fields;
  for (std::size_t i = 1; i < kAdminHeadersMax; ++i) fields += "A:\r\n";
  CHECK(ErrorOf(With(fields)) == 0);
  CHECK(ErrorOf(With(fields + "A:\r\n")) == 431);
}

TEST_CASE("http: a response has the headers of every answer, and HEAD leaves out the body alone") {
  const Response response{200, "text/html", "<p>", "Allow: GET\r\n"};
  const std::string head =
      "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
      "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
      "X-Content-Type-Options: nosniff\r\nContent-Type: text/html\r\nContent-Length: 3\r\nAllow: GET\r\n";
  CHECK(ResponseBytes(response, false, true) == head + "\r\n<p>");
  CHECK(ResponseBytes(response, true, false) == head + "Connection: close\r\n\r\n");
  CHECK(ErrorResponse(404).body == "404 Not Found\n");
  CHECK(ErrorResponse(421, "why").body == "421 Misdirected Request: why\n");
  CHECK(ResponseBytes(TextResponse(299, "x"), true, true).starts_with("HTTP/1.1 299 \r\n"));
}

}  // namespace
}  // namespace penstock
