#include "penstock/admin/site.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "penstock/base/digest.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/text.h"

namespace penstock {
namespace {

// The host of HOST[:PORT] (RFC 9110 section 7.2); empty if the port is no number.
std::string_view WithoutPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) return text;
  const std::string_view port = text.substr(colon + 1);
  const bool is_number = port.find_first_not_of("0123456789") == std::string_view::npos;
  return is_number ? text.substr(0, colon) : "";
}

bool IsAddress(std::string_view host) {
  if (!host.starts_with('[')) {
    const auto address = IpAddress::Parse(host);
    return address && address->is_v4() && host.find(':') == std::string_view::npos;
  }
  return host.ends_with(']') && host.find(':') != std::string_view::npos &&
         IpAddress::Parse(host.substr(1, host.size() - 2)).has_value();
}

bool OnlyReads(Method method) { return method == Method::kGet || method == Method::kHead; }

// True if a browser sends the request for a page of another site: Origin is SCHEME://HOST[:PORT] or "null" (RFC 6454
// section 7), and Sec-Fetch-Site (W3C Fetch Metadata) comes with every request of a newer browser. Other programs send
// neither. A reader who follows a link is no page.
bool IsOfOtherSite(const Request& request) {
  if (OnlyReads(request.method) && request.Header("Sec-Fetch-Dest") == "document") return false;
  const auto site = request.Header("Sec-Fetch-Site");
  if (site && *site != "same-origin" && *site != "none") return true;
  const auto origin = request.Header("Origin");
  if (!origin) return false;
  const std::size_t scheme = origin->find("://");
  return scheme == std::string_view::npos || !SameButForCase(origin->substr(scheme + 3), request.host);
}

bool Matches(std::string_view of_route, std::string_view path) {
  if (!of_route.ends_with('*')) return of_route == path;
  of_route.remove_suffix(1);
  return path.starts_with(of_route) && path.size() > of_route.size() &&
         path.find('/', of_route.size()) == std::string_view::npos;
}

std::string_view NameOf(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET, HEAD";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kDelete:
      return "DELETE";
    case Method::kOther:
      break;
  }
  return "";
}

}  // namespace

Site::Site(std::vector<Route> routes, const AdminSettings& settings)
    : routes_(std::move(routes)), hosts_(settings.hosts), token_(settings.token) {}

Response Site::Answer(const Request& request, Entrance entrance) const {
  const bool is_local = entrance == Entrance::kUnixSocket;
  const bool changes = !OnlyReads(request.method);
  if (!AcceptsHost(request.host) && !(is_local && request.host.empty())) {
    return ErrorResponse(421, "this Host is not accepted; see --admin-host");
  }
  if (!is_local && !IsPublic(request)) {
    const bool wants_token = entrance == Entrance::kNetwork || (changes && token_ != nullptr);
    if (wants_token && !HasToken(request)) {
      Response refusal = ErrorResponse(401, "send the token of --admin-token-file as Authorization: Bearer TOKEN");
      refusal.headers = "WWW-Authenticate: Bearer\r\n";
      return refusal;
    }
    if (changes && token_ == nullptr) {
      return ErrorResponse(403, "changes over TCP need a token: configure --admin-token-file, or use a Unix socket");
    }
  }
  if (!IsPublic(request) && IsOfOtherSite(request)) return ErrorResponse(403, "the request is of another site");
  return AnswerOfRoute(request);
}

bool Site::AcceptsHost(std::string_view host) const {
  const std::string_view name = WithoutPort(host);
  const auto is_name = [name](std::string_view known) { return SameButForCase(known, name); };
  return is_name("localhost") || IsAddress(name) || std::ranges::any_of(hosts_, is_name);
}

bool Site::HasToken(const Request& request) const {
  constexpr std::string_view kScheme = "bearer ";
  const auto credentials = request.Header("Authorization");
  if (!credentials || token_ == nullptr) return false;
  if (!SameButForCase(credentials->substr(0, kScheme.size()), kScheme)) return false;
  return SameInConstantTime(Trimmed(credentials->substr(kScheme.size())), token_->Reveal());
}

bool Site::IsPublic(const Request& request) const {
  return OnlyReads(request.method) && std::ranges::any_of(routes_, [&](const Route& route) {
           return route.is_public && route.method == Method::kGet && route.path == request.path;
         });
}

Response Site::AnswerOfRoute(const Request& request) const {
  const Method method = request.method == Method::kHead ? Method::kGet : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    if (!Matches(route.path, request.path)) continue;
    if (route.method == method) return route.answer(request);
    allowed += (allowed.empty() ? "" : ", ") + std::string(NameOf(route.method));
  }
  if (allowed.empty()) return ErrorResponse(404);
  Response refusal = ErrorResponse(405);
  refusal.headers = "Allow: " + allowed + "\r\n";
  return refusal;
}

}  // namespace penstock
