// Requests to the admin interface: the parser reads nothing behind its input, gives the same result for the bytes at
// once and in two parts, and an accepted request has the shape that its users rely on.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/admin/http.h"
#include "penstock/admin/json.h"
#include "penstock/admin/site.h"
#include "penstock/base/limits.h"

namespace {

using penstock::ParseResult;
using Status = ParseResult::Status;

void Require(bool condition) {
  if (!condition) std::abort();
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

// Views of a request refer to `bytes`.
void CheckRequest(const penstock::Request& request, std::string_view bytes) {
  Require(request.path.starts_with('/') && std::ranges::none_of(request.path, IsControl));
  for (const auto& [name, value] : request.query) {
    Require(std::ranges::none_of(name, IsControl) && std::ranges::none_of(value, IsControl));
  }
  const auto inside = [&](std::string_view view) {
    return view.empty() || (view.data() >= bytes.data() && view.data() + view.size() <= bytes.data() + bytes.size());
  };
  Require(inside(request.host) && inside(request.body));
  for (const auto& [name, value] : request.headers) {
    Require(!name.empty() && inside(name) && inside(value));
    Require(std::ranges::none_of(value, [](char c) { return IsControl(c) && c != '\t'; }));
  }
  const auto length = request.Header("Content-Length");
  Require(!request.Header("Transfer-Encoding") && (length || request.body.empty()));
  Require(!length || std::strtoull(std::string(*length).c_str(), nullptr, 10) == request.body.size());
}

// The parts of a string value between its quotes are valid JSON: no control byte, and quotes only after a backslash.
void CheckJson(std::string_view text) {
  const std::string json = penstock::Json().String(text).Take();
  Require(json.size() >= 2 && json.front() == '"' && json.back() == '"');
  bool escaped = false;
  for (const char c : std::string_view(json).substr(1, json.size() - 2)) {
    Require(!IsControl(c) && (c != '"' || escaped));
    escaped = c == '\\' && !escaped;
  }
  Require(!escaped);
}

}  // namespace

// The first byte chooses where the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 1, size - 1);
  CheckJson(all);
  penstock::Request request;
  const ParseResult whole = penstock::ParseRequest(all, &request);
  Require(whole.bytes <= std::min(all.size(), penstock::kAdminRequestBytesMax));
  Require((whole.status == Status::kBad) == (whole.error != 0));
  Require(whole.status != Status::kIncomplete || all.size() < penstock::kAdminRequestBytesMax);

  const std::vector<char> part(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() * data[0] / 256));
  penstock::Request of_part;
  const ParseResult early = penstock::ParseRequest({part.data(), part.size()}, &of_part);
  if (early.status == Status::kBad) Require(whole.status == Status::kBad && whole.error == early.error);
  if (early.status == Status::kComplete) Require(whole.status == Status::kComplete && whole.bytes == early.bytes);
  if (whole.status != Status::kComplete) return 0;

  CheckRequest(request, all.substr(0, whole.bytes));
  Require((early.status == Status::kComplete) == (part.size() >= whole.bytes));
  const penstock::Site site(
      {{penstock::Method::kGet, "/", [](const auto&) { return penstock::TextResponse(200, ""); }}}, {});
  for (const auto entrance : {penstock::Entrance::kUnixSocket, penstock::Entrance::kLoopback}) {
    const auto response = site.Answer(request, entrance);
    Require(response.status != 200 || request.path == "/");
    Require(penstock::ResponseBytes(response, false, true).ends_with(response.body));
  }
  Require(site.Answer(request, penstock::Entrance::kNetwork).status != 200);  // there is no token
  return 0;
}
