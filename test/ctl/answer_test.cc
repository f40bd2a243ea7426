#include "penstock/ctl/answer.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

AnswerStatus StatusOf(std::string_view bytes) {
  Answer answer;
  return ParseAnswer(bytes, &answer);
}

TEST_CASE("answer: it is complete with its last byte, and not before") {
  const std::string bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 2\r\n\r\n{}";
  Answer answer;
  REQUIRE(ParseAnswer(bytes, &answer) == AnswerStatus::kComplete);
  CHECK(answer.status == 200);
  CHECK(answer.body == "{}");
  CHECK(answer.keep_alive);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK(StatusOf(std::string_view(bytes).substr(0, size)) == AnswerStatus::kIncomplete);
  }
  CHECK(StatusOf(bytes + "x") == AnswerStatus::kBad);
}

TEST_CASE("answer: a server may close the connection, and send no body") {
  Answer answer;
  REQUIRE(ParseAnswer("HTTP/1.1 503 x\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", &answer) ==
          AnswerStatus::kComplete);
  CHECK(answer.status == 503);
  CHECK(answer.body.empty());
  CHECK_FALSE(answer.keep_alive);
}

TEST_CASE("answer: anything else is refused") {
  for (const std::string_view bytes :
       {"SSH-2.0-x\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 99 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"}) {
    CAPTURE(bytes);
    CHECK(StatusOf(bytes) == AnswerStatus::kBad);
  }
  CHECK(StatusOf("HTTP/1.1 200 OK\r\n" + std::string(kAnswerHeadBytesMax, 'x')) == AnswerStatus::kBad);
  CHECK(StatusOf("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kAnswerBodyBytesMax + 1) + "\r\n\r\n") ==
        AnswerStatus::kBad);
}

}  // namespace
}  // namespace penstock
