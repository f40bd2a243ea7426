#include "penstock/server/survey.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "penstock/os/thread.h"
#include "penstock/server/inquiry.h"
#include "test/support/sockets.h"

namespace penstock {
namespace {

using unit::At;

TEST_CASE("survey: the text of an id names worker, slot and generation, and only such a text is an id") {
  const SessionId id{3, {70'000, Handle::kGenerationMask}};
  CHECK(id.ToString() == "3-70000-16777215");
  CHECK(SessionId::Parse(id.ToString()) == id);
  for (const std::string_view bad :
       {"", "-", "--", "1", "1-2", "1-2-", "-1-2-3", "1--3", "1-2-3-4", "1-2-3 ", " 1-2-3", "1-2-x", "a-2-3", "1-+2-3",
        "1-2-16777216", "1-4294967295-3", "4294967295-2-3", "1-2-99999999999999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(SessionId::Parse(bad).has_value());
  }
}

struct Example {
  Endpoint client = At("192.0.2.7:4711");
  Endpoint target = At("198.51.100.9:443");
  SessionView view{.handle = {5, 1},
                   .state = SessionState::kRelay,
                   .client = client,
                   .user = "alice",
                   .command = Command::kConnect,
                   .name = "Www.Example.org",
                   .port = 443,
                   .target = target,
                   .connected = true,
                   .bytes_up = 1,
                   .bytes_down = 2,
                   .begun = {}};
};

TEST_CASE("survey: a filter matches a session that has all that it asks for") {
  const Example example;
  CHECK(SessionFilter().Matches(example.view));
  const auto matches = [&](auto SessionFilter::*member, auto value) {
    SessionFilter filter;
    filter.*member = value;
    return filter.Matches(example.view);
  };
  CHECK(matches(&SessionFilter::client, Prefix::Parse("192.0.2.0/24")));
  CHECK_FALSE(matches(&SessionFilter::client, Prefix::Parse("192.0.2.8")));
  CHECK(matches(&SessionFilter::user, std::string("alice")));
  CHECK_FALSE(matches(&SessionFilter::user, std::string("alic")));
  CHECK_FALSE(matches(&SessionFilter::user, std::string()));
  CHECK(matches(&SessionFilter::target, Prefix::Parse("198.51.100.9")));
  CHECK_FALSE(matches(&SessionFilter::target, Prefix::Parse("192.0.2.0/24")));
  CHECK(matches(&SessionFilter::command, Command::kConnect));
  CHECK_FALSE(matches(&SessionFilter::command, Command::kBind));
  CHECK(matches(&SessionFilter::state, SessionState::kRelay));
  CHECK_FALSE(matches(&SessionFilter::state, SessionState::kNego));

  SessionFilter both{.client = Prefix::Parse("192.0.2.7"), .user = "alice"};
  CHECK(both.Matches(example.view));
  both.user = "bob";
  CHECK_FALSE(both.Matches(example.view));
}

TEST_CASE("survey: a name matches its domain by whole labels, in any case") {
  const Example example;
  using Case = std::pair<std::string_view, bool>;
  for (const Case& each : {Case("www.example.org", true), Case(".example.org", true), Case(".www.example.org", true),
                           Case("example.org", false), Case(".ample.org", false), Case(".org.uk", false),
                           Case("more.www.example.org", false)}) {
    CAPTURE(each.first);
    const SessionFilter filter{.target_name = Domain::Parse(each.first)};
    REQUIRE(filter.target_name.has_value());
    CHECK(filter.Matches(example.view) == each.second);
  }
  SessionView by_address = example.view;
  by_address.name = {};
  CHECK_FALSE(SessionFilter{.target_name = Domain::Parse(".example.org")}.Matches(by_address));
}

TEST_CASE("survey: before the request there is no target, whatever the filter asks for") {
  const Example example;
  const Endpoint none;
  const SessionView early{.handle = {},
                          .state = SessionState::kNego,
                          .client = example.client,
                          .user = {},
                          .command = {},
                          .name = {},
                          .port = 0,
                          .target = none,
                          .connected = false,
                          .bytes_up = 0,
                          .bytes_down = 0,
                          .begun = {}};
  CHECK_FALSE(SessionFilter{.target = Prefix::Parse("::/0")}.Matches(early));
  CHECK_FALSE(SessionFilter{.target = Prefix::Parse("0.0.0.0/0")}.Matches(early));
  CHECK_FALSE(SessionFilter{.command = Command::kConnect}.Matches(early));
}

std::unique_ptr<Inquiry> Numbered(std::uint64_t number) {
  auto inquiry = std::make_unique<Inquiry>();
  inquiry->number = number;
  return inquiry;
}

TEST_CASE("inquiry desk: a question goes to the worker and comes back answered, and each answer is an event") {
  Semaphore news;
  InquiryDesk desk(news);
  CHECK_FALSE(desk.waiting());
  CHECK(desk.Take() == nullptr);
  desk.Post(Numbered(1));
  CHECK(desk.waiting());
  auto taken = desk.Take();
  REQUIRE(taken != nullptr);
  CHECK_FALSE(desk.waiting());
  CHECK(desk.Collect() == nullptr);
  taken->ended = 7;
  desk.Return(std::move(taken));
  CHECK(news.WaitFor(std::chrono::milliseconds(0)));
  const auto answer = desk.Collect();
  REQUIRE(answer != nullptr);
  CHECK(answer->number == 1);
  CHECK(answer->ended == 7);
  CHECK(desk.Collect() == nullptr);
}

TEST_CASE("inquiry desk: a newer question replaces one that was not taken, and a newer answer one not collected") {
  Semaphore news;
  InquiryDesk desk(news);
  desk.Post(Numbered(1));
  desk.Post(Numbered(2));
  desk.Return(desk.Take());
  desk.Post(Numbered(3));
  desk.Return(desk.Take());
  const auto answer = desk.Collect();
  REQUIRE(answer != nullptr);
  CHECK(answer->number == 3);
  desk.Post(Numbered(4));  // left behind, to be freed with the desk
}

TEST_CASE("inquiry desk: after Close the asker takes its question back") {
  Semaphore news;
  InquiryDesk desk(news);
  desk.Post(Numbered(1));
  CHECK_FALSE(desk.closed());
  desk.Close();
  CHECK(desk.closed());
  CHECK(news.WaitFor(std::chrono::milliseconds(0)));
  const auto own = desk.TakeBack();
  REQUIRE(own != nullptr);
  CHECK(own->number == 1);
}

}  // namespace
}  // namespace penstock
