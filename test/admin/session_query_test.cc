#include "penstock/admin/session_query.h"

#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

namespace penstock {
namespace {

struct ParsedQuery {
  std::string error;
  SessionQuery query;
};

ParsedQuery Parse(std::string_view query, bool for_list = true) {
  const std::string text = "GET /x?" + std::string(query) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  Request request;
  REQUIRE(ParseRequest(text, &request).status == ParseResult::Status::kComplete);
  ParsedQuery parsed;
  parsed.error = ParseSessionQuery(request, for_list, &parsed.query).value_or("");
  return parsed;
}

TEST_CASE("session_query: without parameters it is a list of all, up to the default limit") {
  const ParsedQuery all = Parse("");
  CHECK(all.error == "");
  CHECK_FALSE(all.query.filters);
  CHECK(all.query.limit == kRowsDefault);
  CHECK_FALSE(all.query.after.has_value());
  CHECK(all.query.sort == SessionQuery::Sort::kNone);
}

TEST_CASE("session_query: each parameter sets its part") {
  const SessionQuery query =
      Parse("client=10.0.0.0/8&user=al%20ice&target=.example.com&state=relay&command=udp-associate&limit=7&after=1-2-3")
          .query;
  CHECK(query.filters);
  CHECK(query.filter.client == Prefix::Parse("10.0.0.0/8"));
  CHECK(query.filter.user == "al ice");
  CHECK_FALSE(query.filter.target.has_value());
  CHECK(query.filter.target_name == Domain::Parse(".example.com"));
  CHECK(query.filter.state == SessionState::kRelay);
  CHECK(query.filter.command == Command::kUdpAssociate);
  CHECK(query.limit == 7);
  CHECK(query.after == SessionId{1, {2, 3}});
  CHECK(Parse("target=2001:db8::1").query.filter.target == Prefix::Parse("2001:db8::1"));
  CHECK(Parse("sort=age").query.sort == SessionQuery::Sort::kAge);
  CHECK(Parse("sort=bytes").query.sort == SessionQuery::Sort::kBytes);
  CHECK(Parse("sort=rate").query.sort == SessionQuery::Sort::kRate);
  CHECK(Parse("user=%ff%22").query.filter.user == "\xff\"");
}

TEST_CASE("session_query: every state and every command is known by its word") {
  for (std::size_t i = 0; i < std::tuple_size_v<decltype(Gauges::sessions)>; ++i) {
    const auto state = static_cast<SessionState>(i);
    CHECK(Parse("state=" + std::string(Describe(state))).query.filter.state == state);
  }
  for (const Command command : {Command::kConnect, Command::kBind, Command::kUdpAssociate}) {
    CHECK(Parse("command=" + std::string(Describe(command))).query.filter.command == command);
  }
}

TEST_CASE("session_query: a mistake is an error that says what is accepted") {
  const std::pair<std::string_view, std::string_view> kBad[] = {
      {"client=10.0.0.0/33", "the value of client is not accepted"},
      {"client=localhost", "the value of client is not accepted"},
      {"client=", "client has no value"},
      {"user=", "user has no value"},
      {"user", "user has no value"},
      {"user=a&user=a", "user is given twice"},
      {"user=a&limit=1&user=b", "user is given twice"},
      {"target=a%20b", "the value of target is not accepted"},
      {"target=..", "the value of target is not accepted"},
      {"state=Relay", "one of nego, auth, request, connecting, binding, relay, associated, closing, resetting"},
      {"command=listen", "one of connect, bind, udp-associate"},
      {"limit=0", "a number from 1 to 10000"},
      {"limit=10001", "a number from 1 to 10000"},
      {"limit=-1", "a number from 1 to 10000"},
      {"limit=1e3", "a number from 1 to 10000"},
      {"limit=18446744073709551617", "a number from 1 to 10000"},
      {"after=1-2", "the id of a session"},
      {"after=1-2-3-4", "the id of a session"},
      {"after=1-2-99999999", "the id of a session"},
      {"sort=up", "one of age, bytes, rate"},
      {"sort=age&after=1-2-3", "give after or sort"},
      {"users=a", "there is no parameter 'users'"},
      {"User=a", "there is no parameter 'User'"},
      {"=a", "there is no parameter ''"},
      {"user=a&x", "there is no parameter 'x'"}};
  for (const auto& bad : kBad) {
    CAPTURE(bad.first);
    const std::string error = Parse(bad.first).error;
    CAPTURE(error);
    CHECK(error.find(bad.second) != std::string::npos);
  }
}

TEST_CASE("session_query: ending sessions takes filters only") {
  CHECK(Parse("user=alice", false).error == "");
  for (const std::string_view of_list : {"limit=1", "after=1-2-3", "sort=age"}) {
    CAPTURE(of_list);
    CHECK(Parse(of_list, false).error.find("one of client, user, target, state, command is accepted") !=
          std::string::npos);
  }
}

}  // namespace
}  // namespace penstock
