#include "penstock/ctl/arguments.h"

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/temp_directory.h"

namespace penstock {
namespace {

constexpr std::string_view kUser[] = {"user"};

std::string ErrorIn(const std::vector<std::string_view>& words) {
  std::string error;
  CHECK_FALSE(CtlArguments::Parse(words, kUser, &error));
  return error;
}

TEST_CASE("arguments: options stand anywhere, with = or with the value as the next word") {
  std::string error;
  const std::vector<std::string_view> words = {"--json",           "kill",   "--user", "alice", "0-1-2",
                                               "--admin=unix:a=b", "--user="};
  const auto parsed = CtlArguments::Parse(words, kUser, &error);
  REQUIRE(parsed);
  CHECK(parsed->json);
  CHECK(parsed->words == std::vector<std::string>{"kill", "0-1-2"});
  CHECK(parsed->filters.size() == 2);
  CHECK(parsed->filters[0].second == "alice");
  CHECK(parsed->filters[1].second.empty());
  CHECK(parsed->admin.ToString() == "unix:a=b");
  CHECK(CtlArguments::Parse({}, {}, &error)->admin.ToString() == "unix:/run/penstock/admin.sock");
}

TEST_CASE("arguments: an address is a Unix socket, or an address with a port") {
  const auto at = [](std::string_view text) {
    const auto address = AdminAddress::Parse(text);
    return address ? address->ToString() : "";
  };
  CHECK(at("unix:/run/x") == "unix:/run/x");
  CHECK(at("127.0.0.1:9180") == "http://127.0.0.1:9180");
  CHECK(at("http://[::1]:9180/") == "http://[::1]:9180");
  CHECK(at("http://localhost:9180") == "http://127.0.0.1:9180");
  for (const std::string_view bad : {"", "unix:", "/run/x", "127.0.0.1", "127.0.0.1:0", "https://127.0.0.1:1",
                                     "http://gateway.test:1", "http://127.0.0.1:1/metrics", "localhost"}) {
    CAPTURE(bad);
    CHECK(at(bad).empty());
  }
}

TEST_CASE("arguments: what a query means is encoded") {
  CHECK(PercentEncoded("0-17-3_~.x") == "0-17-3_~.x");
  CHECK(PercentEncoded("a b&c=d/e?\xff\n") == "a%20b%26c%3Dd%2Fe%3F%FF%0A");
}

TEST_CASE("arguments: a mistake is a sentence") {
  CHECK(ErrorIn({"--nonsense", "x"}) == "unknown option --nonsense");
  CHECK(ErrorIn({"-x"}) == "unknown option -x");
  CHECK(ErrorIn({"--user"}) == "option --user needs a value");
  CHECK(ErrorIn({"--admin", "/run/x"}) == "--admin: '/run/x' is not unix:PATH or http://ADDR:PORT");
  CHECK(ErrorIn({"--token-file", "/nonexistent"}).starts_with("--token-file: "));
}

TEST_CASE("arguments: a token is one line of a private file") {
  const test::TempDirectory folder;
  std::string error;
  const std::string path = folder.Write("token", "open-sesame-0123\n");
  const std::string option = "--token-file=" + path;
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  const auto parsed = CtlArguments::Parse(std::vector<std::string_view>{option}, {}, &error);
  REQUIRE(parsed);
  CHECK(parsed->token.Reveal() == "open-sesame-0123");
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK_FALSE(ErrorIn({option}).empty());
  folder.Write("token", "two\nlines\n");
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(ErrorIn({option}).find("a token is one line") != std::string::npos);
}

}  // namespace
}  // namespace penstock
