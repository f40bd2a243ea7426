#include "penstock/admin/http.h"

#include <algorithm>
#include <iterator>

#include "penstock/base/limits.h"
#include "penstock/base/text.h"

namespace penstock {
namespace {

using Status = ParseResult::Status;

constexpr ParseResult Bad(int error) { return {Status::kBad, error, 0}; }

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return LowerCase(c) >= 'a' && LowerCase(c) <= 'z'; }
constexpr bool IsVisible(char c) { return c > ' ' && c <= '~'; }

// RFC 9110 section 5.6.2.
constexpr bool IsTokenByte(char c) {
  return IsDigit(c) || IsAlpha(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool IsToken(std::string_view text) { return !text.empty() && std::ranges::all_of(text, IsTokenByte); }

// Without the blanks of RFC 9110 section 5.6.3 at both ends.
std::string_view WithoutBlanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  c = LowerCase(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

constexpr bool IsControl(unsigned char byte) { return byte < ' ' || byte == 0x7f; }

// Decodes %XX (RFC 3986 section 2.1), once. Nothing if one is malformed or stands for a control byte.
std::optional<std::string> Decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    const int byte = high * 16 + low;
    if (high < 0 || low < 0 || IsControl(static_cast<unsigned char>(byte))) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

Method MethodOf(std::string_view name) {
  if (name == "GET") return Method::kGet;
  if (name == "HEAD") return Method::kHead;
  if (name == "POST") return Method::kPost;
  if (name == "DELETE") return Method::kDelete;
  return Method::kOther;
}

// Parses one request, line by line, in the order of its bytes: so an error does not depend on the bytes behind it.
class Parser {
 public:
  Parser(std::string_view bytes, Request& request)
      : given_(bytes.size()), first_(bytes.substr(0, kAdminRequestBytesMax)), left_(first_), request_(request) {}

  ParseResult Parse() {
    bool in_fields = false;
    for (;;) {
      const auto line = TakeLine();
      if (!line && error_ == 0) return given_ < kAdminRequestBytesMax ? ParseResult{} : Bad(431);
      if (line && in_fields && line->empty()) return FinishHead();
      if (line && in_fields) {
        Field(*line);
      } else if (line && !line->empty()) {
        RequestLine(*line);
        in_fields = true;
      }
      if (error_ != 0) return Bad(error_);
    }
  }

 private:
  void Fail(int error) {
    if (error_ == 0) error_ = error;
  }

  // The next line without its CRLF. Nothing if its end is missing, or after an error: a control byte other than a tab,
  // or a CR or LF alone (RFC 9112 section 2.2).
  std::optional<std::string_view> TakeLine() {
    for (std::size_t i = 0; i < left_.size(); ++i) {
      const char c = left_[i];
      const bool ends = c == '\r' && (i + 1 == left_.size() || left_[i + 1] == '\n');
      if (!ends && c != '\t' && IsControl(static_cast<unsigned char>(c))) {
        Fail(400);
        return std::nullopt;
      }
      if (!ends) continue;
      if (i + 1 == left_.size()) return std::nullopt;
      const std::string_view line = left_.substr(0, i);
      left_.remove_prefix(i + 2);
      return line;
    }
    return std::nullopt;
  }

  void RequestLine(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t second = line.find(' ', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return Fail(400);
    const std::string_view method = line.substr(0, first);
    if (!IsToken(method)) return Fail(400);
    request_.method = MethodOf(method);
    Version(line.substr(second + 1));
    if (error_ == 0) Target(line.substr(first + 1, second - first - 1));
  }

  // A higher minor version is read as 1.1 (RFC 9110 section 2.5).
  void Version(std::string_view version) {
    const bool shaped = version.size() == 8 && version.starts_with("HTTP/") && IsDigit(version[5]) &&
                        version[6] == '.' && IsDigit(version[7]);
    if (!shaped) return Fail(400);
    if (version[5] != '1') return Fail(505);
    is_1_0_ = version[7] == '0';
    request_.keep_alive = !is_1_0_;
  }

  void Target(std::string_view target) {
    if (!std::ranges::all_of(target, IsVisible) || target.find('#') != std::string_view::npos) return Fail(400);
    constexpr std::string_view kScheme = "http://";
    if (SameButForCase(target.substr(0, kScheme.size()), kScheme)) {
      target.remove_prefix(kScheme.size());
      const std::size_t end = std::min(target.find_first_of("/?"), target.size());
      request_.host = target.substr(0, end);
      if (request_.host.empty()) return Fail(400);
      target.remove_prefix(end);
      if (!target.starts_with('/')) request_.path = "/";  // RFC 9112 section 3.2.1: an empty path is sent as "/"
    } else if (!target.starts_with('/')) {
      return Fail(400);
    }
    const std::size_t mark = std::min(target.find('?'), target.size());
    const auto path = PathOf(target.substr(0, mark));
    if (!path) return Fail(400);
    request_.path += *path;
    if (mark < target.size()) Query(target.substr(mark + 1));
  }

  // An encoded "/" would be taken for a separator.
  static std::optional<std::string> PathOf(std::string_view text) {
    auto path = Decoded(text);
    if (path && std::ranges::count(*path, '/') != std::ranges::count(text, '/')) return std::nullopt;
    return path;
  }

  // NAME=VALUE with & between two, where + is a blank, as forms send them.
  void Query(std::string_view text) {
    while (!text.empty() && error_ == 0) {
      std::string pair(text.substr(0, text.find('&')));
      text.remove_prefix(std::min(pair.size() + 1, text.size()));
      if (pair.empty()) continue;
      std::ranges::replace(pair, '+', ' ');
      const std::size_t equals = std::min(pair.find('='), pair.size());
      auto name = Decoded(std::string_view(pair).substr(0, equals));
      auto value = Decoded(std::string_view(pair).substr(std::min(equals + 1, pair.size())));
      if (!name || !value) return Fail(400);
      request_.query.emplace_back(std::move(*name), std::move(*value));
    }
  }

  void Field(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Fail(400);
    const std::string_view name = line.substr(0, colon);
    if (!IsToken(name)) return Fail(400);  // also a blank before the colon, and a line that continues the one before
    const std::string_view value = WithoutBlanks(line.substr(colon + 1));
    constexpr std::string_view kOnce[] = {"Host", "Content-Length", "Authorization", "Origin"};
    const bool only_once =
        std::ranges::any_of(kOnce, [&](std::string_view once) { return SameButForCase(name, once); });
    if (only_once && request_.Header(name)) return Fail(400);
    if (request_.headers.size() == kAdminHeadersMax) return Fail(431);
    if (SameButForCase(name, "Content-Length")) ContentLength(value);
    if (SameButForCase(name, "Connection")) Connection(value);
    request_.headers.emplace_back(name, value);
  }

  void ContentLength(std::string_view value) {
    if (value.empty() || !std::ranges::all_of(value, IsDigit)) return Fail(400);
    for (const char digit : value) {
      body_bytes_ = std::min(body_bytes_ * 10 + static_cast<std::size_t>(digit - '0'), kAdminRequestBytesMax + 1);
    }
  }

  void Connection(std::string_view value) {
    while (!value.empty()) {
      const std::string_view option = value.substr(0, value.find(','));
      value.remove_prefix(std::min(option.size() + 1, value.size()));
      if (SameButForCase(WithoutBlanks(option), "close")) request_.keep_alive = false;
    }
  }

  // What the head says as a whole; then the body.
  ParseResult FinishHead() {
    const std::size_t head = first_.size() - left_.size();
    const auto host = request_.Header("Host");
    if (!host && !is_1_0_) return Bad(400);
    if (host && request_.host.empty()) request_.host = *host;
    if (request_.Header("Transfer-Encoding")) {
      return Bad(is_1_0_ || request_.Header("Content-Length") ? 400 : 501);  // RFC 9112 section 6.1
    }
    if (body_bytes_ > kAdminRequestBytesMax - head) return Bad(413);
    if (request_.Header("Expect")) return Bad(417);
    if (left_.size() < body_bytes_) return {};
    request_.body = left_.substr(0, body_bytes_);
    return {Status::kComplete, 0, head + body_bytes_};
  }

  const std::size_t given_;
  const std::string_view first_;  // as many of the bytes as a request may have
  std::string_view left_;         // what has not been parsed
  Request& request_;
  int error_ = 0;
  bool is_1_0_ = false;
  std::size_t body_bytes_ = 0;
};

struct Reason {
  int status;
  std::string_view phrase;
};
constexpr Reason kReasons[] = {
    {200, "OK"},
    {202, "Accepted"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

// RFC 9110 section 15. A status line may do without it.
std::string_view ReasonOf(int status) {
  const auto* const found = std::ranges::find(kReasons, status, &Reason::status);
  return found == std::end(kReasons) ? "" : found->phrase;
}

}  // namespace

std::optional<std::string_view> Request::Parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string> Request::QueryMistake() const {
  for (auto parameter = query.begin(); parameter != query.end(); ++parameter) {
    const std::string& name = parameter->first;
    if (parameter->second.empty()) return name + " has no value";
    const auto same = [&name](const auto& other) { return other.first == name; };
    if (std::find_if(query.begin(), parameter, same) != parameter) return name + " is given twice";
  }
  return std::nullopt;
}

std::optional<std::string_view> Request::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (SameButForCase(key, name)) return value;
  }
  return std::nullopt;
}

ParseResult ParseRequest(std::string_view bytes, Request* request) {
  *request = {};
  return Parser(bytes, *request).Parse();
}

Response TextResponse(int status, std::string_view line) {
  return {status, "text/plain; charset=utf-8", std::string(line) + '\n'};
}

Response ErrorResponse(int status, std::string_view detail) {
  std::string line = std::to_string(status) + ' ' + std::string(ReasonOf(status));
  if (!detail.empty()) line += ": " + std::string(detail);
  return TextResponse(status, line);
}

std::string ResponseBytes(const Response& response, bool head_only, bool keep_alive) {
  std::string bytes = "HTTP/1.1 " + std::to_string(response.status) + ' ' + std::string(ReasonOf(response.status)) +
                      "\r\n"
                      "Cache-Control: no-store\r\n"
                      "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'none'; "
                      "frame-ancestors 'none'\r\n"
                      "X-Content-Type-Options: nosniff\r\n";
  if (!response.content_type.empty()) bytes += "Content-Type: " + response.content_type + "\r\n";
  if (response.events == nullptr) bytes += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  bytes += response.headers;
  if (!keep_alive) bytes += "Connection: close\r\n";
  bytes += "\r\n";
  if (!head_only) bytes += response.body;
  return bytes;
}

}  // namespace penstock
