// The answer of an HTTP/1.1 server (RFC 9112) to a request of penstock ctl.
// Values, and a function without state; any thread.
// Invariant: an answer is accepted only with one Content-Length, and within the bounds; everything else is an error.
// Does not: read sockets (client.h), know what the body means.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace penstock {

inline constexpr std::size_t kAnswerHeadBytesMax = 16 * 1024;
inline constexpr std::size_t kAnswerBodyBytesMax = 32 * 1024 * 1024;  // more than 10,000 sessions take

struct Answer {
  int status = 0;  // 200 and so on
  std::string body;
  bool keep_alive = false;  // whether the connection may carry another request
};

enum class AnswerStatus : unsigned char {
  kIncomplete,  // a prefix of an answer; more bytes may complete it
  kComplete,
  kBad,  // no answer that is accepted
};

// Parses `bytes`, all that has been received since the request, into `*answer`, which is meaningful when it is
// complete. Bytes behind the answer are kBad: nothing else was asked for.
AnswerStatus ParseAnswer(std::string_view bytes, Answer* answer);

}  // namespace penstock
