#include "penstock/ctl/answer.h"

#include <optional>

#include "penstock/base/quantity.h"
#include "penstock/base/text.h"

namespace penstock {
namespace {

constexpr std::string_view kVersion = "HTTP/1.1 ";

struct Head {
  int status = 0;
  std::size_t body_bytes = 0;
  bool keep_alive = true;
};

// `lines` begin with the status line.
std::optional<Head> ParseHead(std::string_view lines) {
  const std::string_view first = TakeLine(lines);
  if (!first.starts_with(kVersion)) return std::nullopt;
  const auto status = ParseNumber(first.substr(kVersion.size(), 3), 200, 599);
  if (!status) return std::nullopt;
  Head head{.status = static_cast<int>(*status)};
  bool has_length = false;
  while (!lines.empty()) {
    const std::string_view line = TakeLine(lines);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = Trimmed(line.substr(colon + 1));
    if (SameButForCase(name, "Transfer-Encoding")) return std::nullopt;
    if (SameButForCase(name, "Connection") && SameButForCase(value, "close")) head.keep_alive = false;
    if (!SameButForCase(name, "Content-Length")) continue;
    const auto length = ParseNumber(value, 0, kAnswerBodyBytesMax);
    if (!length || has_length) return std::nullopt;
    head.body_bytes = *length;
    has_length = true;
  }
  return has_length ? std::optional(head) : std::nullopt;
}

}  // namespace

AnswerStatus ParseAnswer(std::string_view bytes, Answer* answer) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  // A server that speaks something else is recognised by its first bytes.
  if (!bytes.starts_with(kVersion.substr(0, bytes.size()))) return AnswerStatus::kBad;
  const std::size_t end = bytes.substr(0, kAnswerHeadBytesMax).find(kEnd);
  if (end == std::string_view::npos) {
    return bytes.size() < kAnswerHeadBytesMax ? AnswerStatus::kIncomplete : AnswerStatus::kBad;
  }
  const auto head = ParseHead(bytes.substr(0, end));
  if (!head) return AnswerStatus::kBad;
  const std::string_view body = bytes.substr(end + kEnd.size());
  if (body.size() < head->body_bytes) return AnswerStatus::kIncomplete;
  if (body.size() > head->body_bytes) return AnswerStatus::kBad;
  *answer = {head->status, std::string(body), head->keep_alive};
  return AnswerStatus::kComplete;
}

}  // namespace penstock
