// HTTP/1.1 as the admin interface speaks it (RFC 9110, RFC 9112): bytes to a request, a response to bytes.
// Values, and functions without state; any thread. A Request refers to the bytes that it was parsed from.
// Invariant: a message that two readers could cut differently is an error, so no request hides in another. Once a
// prefix of the bytes is an error, more bytes give the same error.
// Does not: read sockets (connection.h), decide who may ask and what is answered (site.h).
//
//   METHOD SP target SP HTTP/1.x CRLF        target: /path?query, or http://host/path?query (RFC 9112 section 3.2)
//   Name: value CRLF                         any number; each line ends with CRLF, and none continues the one before
//   CRLF
//   body                                     Content-Length bytes; no other framing is accepted
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "penstock/admin/event_source.h"

namespace penstock {

enum class Method : std::uint8_t {
  kGet,
  kHead,
  kPost,
  kDelete,
  kOther,  // PUT, OPTIONS and so on: no route has it
};

struct Request {
  Method method = Method::kOther;
  std::string path;  // decoded; begins with "/"
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::pair<std::string_view, std::string_view>> headers;  // in their order, values without outer blanks
  std::string_view host;                                               // of the target, else of the Host header
  std::string_view body;
  bool keep_alive = false;  // whether the connection may carry another request

  // The value of the first parameter or header of that name; nothing if there is none. The name of a parameter is
  // compared by case, that of a header is not.
  std::optional<std::string_view> Parameter(std::string_view name) const;
  std::optional<std::string_view> Header(std::string_view name) const;

  // What no route accepts of its parameters: one that is given twice, or has no value. Nothing if there is none.
  std::optional<std::string> QueryMistake() const;
};

struct ParseResult {
  enum class Status : std::uint8_t {
    kIncomplete,  // a prefix of a request; more bytes may complete it
    kComplete,
    kBad,  // the connection must be closed after the answer
  };
  Status status = Status::kIncomplete;
  int error = 0;          // when it is bad: 400, 413, 417, 431, 501 or 505
  std::size_t bytes = 0;  // of the request, when it is complete
};

// Parses the request at the start of `bytes` into `*request`, which is meaningful when it is complete. Empty lines
// before a request are skipped. A request has at most kAdminRequestBytesMax bytes.
//   400  malformed; Content-Length repeated, not a number or with Transfer-Encoding; no Host, or more than one
//   413  the body is too long        417  Expect, which curl(1) then leaves out
//   431  the head is too long        501  Transfer-Encoding        505  a version other than HTTP/1.x
ParseResult ParseRequest(std::string_view bytes, Request* request);

struct Response {
  int status = 200;
  std::string content_type;
  std::string body;
  std::string headers = {};      // further ones, each with its CRLF
  EventReader events = nullptr;  // a stream: instead of the body, its events follow for as long as the client reads
};

// A line of text, without its end.
Response TextResponse(int status, std::string_view line);

// An error: one line of text that begins with the status.
Response ErrorResponse(int status, std::string_view detail = {});

// What is sent for `response`: without its body if `head_only`, and with "Connection: close" unless `keep_alive`. That
// of a stream has no length: it ends with the connection (RFC 9112 section 6.3), so it must not be kept alive.
std::string ResponseBytes(const Response& response, bool head_only, bool keep_alive);

}  // namespace penstock
