#include "penstock/os/timers.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/start.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

using test::kStart;

TimePoint After(int ms) { return kStart + milliseconds(ms); }

struct Named {
  explicit Named(std::uint32_t name) : deadline({9, {name, 5}}) {}
  Deadline deadline;
};

// The slots of all cookies that are due at `now`.
std::vector<std::uint32_t> Due(DeadlineQueue& queue, TimePoint now) {
  std::vector<std::uint32_t> names;
  while (const auto cookie = queue.Expire(now)) names.push_back(cookie->handle.slot);
  return names;
}

using Names = std::vector<std::uint32_t>;

TEST_CASE("timers: deadlines expire in the order in which they were armed, and not early") {
  Named one(1), two(2), three(3);
  DeadlineQueue queue(milliseconds(100));
  CHECK(queue.duration() == milliseconds(100));
  CHECK_FALSE(queue.next());
  queue.Arm(two.deadline, After(0));
  queue.Arm(three.deadline, After(0));
  queue.Arm(one.deadline, After(5));
  CHECK(queue.next() == After(100));
  CHECK(one.deadline.due() == After(105));

  CHECK(Due(queue, After(99)).empty());
  CHECK(Due(queue, After(100)) == Names{2, 3});
  CHECK(queue.next() == After(105));
  CHECK(Due(queue, After(1000)) == Names{1});
  CHECK_FALSE(queue.next());
  CHECK_FALSE(one.deadline.armed());
}

TEST_CASE("timers: an expired deadline returns its cookie once") {
  Deadline deadline({7, {42, 0xabcdef}});
  DeadlineQueue queue(milliseconds(1));
  queue.Arm(deadline, kStart);
  const auto cookie = queue.Expire(After(1));
  REQUIRE(cookie.has_value());
  CHECK(cookie->tag == 7);
  CHECK(cookie->handle == Handle{42, 0xabcdef});
  CHECK_FALSE(queue.Expire(After(1)));
}

TEST_CASE("timers: a disarmed deadline does not expire, and may be armed again") {
  Named one(1), two(2), three(3);
  DeadlineQueue queue(milliseconds(10));
  for (Named* each : {&one, &two, &three}) queue.Arm(each->deadline, kStart);
  two.deadline.Disarm();
  two.deadline.Disarm();  // twice is once
  CHECK_FALSE(two.deadline.armed());
  CHECK(Due(queue, After(10)) == Names{1, 3});
  queue.Arm(two.deadline, After(20));
  CHECK(Due(queue, After(30)) == Names{2});
}

TEST_CASE("timers: arming again moves a deadline behind the others") {
  Named one(1), two(2);
  DeadlineQueue queue(milliseconds(10));
  queue.Arm(one.deadline, After(0));
  queue.Arm(two.deadline, After(1));
  queue.Arm(one.deadline, After(2));
  CHECK(queue.next() == After(11));
  CHECK(Due(queue, After(11)) == Names{2});
  CHECK(Due(queue, After(12)) == Names{1});
}

TEST_CASE("timers: arming in another queue removes a deadline from the first") {
  Named one(1);
  DeadlineQueue slow(milliseconds(100));
  DeadlineQueue fast(milliseconds(1));
  slow.Arm(one.deadline, kStart);
  fast.Arm(one.deadline, kStart);
  CHECK_FALSE(slow.next());
  CHECK(fast.next() == After(1));
  CHECK(Due(fast, After(1)) == Names{1});
  CHECK(Due(slow, After(100)).empty());
}

TEST_CASE("timers: a deadline may be armed again while others expire") {
  Named one(1), two(2);
  DeadlineQueue queue(milliseconds(10));
  queue.Arm(one.deadline, kStart);
  queue.Arm(two.deadline, kStart);
  int expired = 0;
  while (const auto cookie = queue.Expire(After(10))) {
    queue.Arm(cookie->handle.slot == 1 ? one.deadline : two.deadline, After(10));
    ++expired;
  }
  CHECK(expired == 2);
  CHECK(queue.next() == After(20));
}

TEST_CASE("timers: the destructor of a deadline disarms it") {
  Named one(1), three(3);
  auto two = std::make_unique<Named>(2U);
  DeadlineQueue queue(milliseconds(10));
  for (Named* each : {&one, two.get(), &three}) queue.Arm(each->deadline, kStart);
  two.reset();
  CHECK(Due(queue, After(10)) == Names{1, 3});
}

TEST_CASE("timers: the destructor of a queue disarms its deadlines") {
  Named one(1), two(2);
  {
    DeadlineQueue queue(milliseconds(10));
    queue.Arm(one.deadline, kStart);
    queue.Arm(two.deadline, kStart);
  }
  CHECK_FALSE(one.deadline.armed());
  CHECK_FALSE(two.deadline.armed());
}

}  // namespace
}  // namespace penstock
