#include "penstock/base/counters.h"

#include <algorithm>
#include <chrono>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

TEST_CASE("counters: a counter starts at zero and adds up") {
  Counter counter;
  CHECK(counter.value() == 0);
  counter.Add();
  counter.Add(41);
  CHECK(counter.value() == 42);
}

TEST_CASE("counters: another thread may read a counter while the owner adds, and never sees it go down") {
  Counters counters;
  std::thread owner([&] {
    for (int i = 0; i < 1000; ++i) counters.accepted.Add();
  });
  std::uint64_t seen = 0;
  bool went_down = false;
  while (seen < 1000) {
    const std::uint64_t now = counters.accepted.value();
    went_down |= now < seen;
    seen = now;
  }
  owner.join();
  CHECK_FALSE(went_down);
}

TEST_CASE("counters: another thread may read a gauge while the owner sets it") {
  Gauges gauges;
  std::thread owner([&] {
    for (int i = 0; i < 1000; ++i) gauges.pipes.Increment();
    for (int i = 0; i < 999; ++i) gauges.pipes.Decrement();
    gauges.pipes_idle.Set(7);
  });
  while (gauges.pipes_idle.value() != 7) CHECK(gauges.pipes.value() <= 1000);
  owner.join();
  CHECK(gauges.pipes.value() == 1);
}

// How many series ForEach visits.
template <class Owner>
constexpr std::size_t Listed() {
  const Owner owner;
  std::size_t count = 0;
  ForEach(owner, [&](const SeriesName&, const auto&) { ++count; });
  return count;
}
static_assert(Listed<Counters>() == (sizeof(Counters) - sizeof(Histograms)) / sizeof(Counter));
static_assert(Listed<Gauges>() == sizeof(Gauges) / sizeof(Gauge));

TEST_CASE_TEMPLATE("counters: each member is listed once, with a unique and well-formed name", Owner, Counters,
                   Gauges) {
  const std::regex well_formed(std::is_same_v<Owner, Counters> ? "[a-z][a-z0-9_]*_total" : "[a-z][a-z0-9_]*");
  const std::regex labels(R"(([a-z]+="[a-z0-9-]+"(,[a-z]+="[a-z0-9-]+")*)?)");
  const std::regex sentence(R"([A-Z][^.]*[.])");
  const Owner owner;
  std::set<const void*> members;
  std::set<std::pair<std::string, std::string>> series;
  std::vector<SeriesName> names;
  ForEach(owner, [&](const SeriesName& name, const auto& member) {
    CAPTURE(name.name);
    CAPTURE(name.labels);
    CHECK(members.insert(&member).second);
    CHECK(series.insert({std::string(name.name), std::string(name.labels)}).second);
    CHECK(std::regex_match(std::string(name.name), well_formed));
    CHECK(std::regex_match(std::string(name.labels), labels));
    CHECK(std::regex_match(std::string(name.help), sentence));
    const auto same = std::ranges::find(names, name.name, &SeriesName::name);
    if (same != names.end()) {
      CHECK(names.back().name == name.name);
      CHECK(same->help == name.help);
      CHECK_FALSE(same->labels.empty());
    }
    names.push_back(name);
  });
  CHECK(members.size() == Listed<Owner>());
}

TEST_CASE("counters: a family of the text has one kind: no counter has the name of a gauge or of a histogram") {
  const Counters no_counters;
  const Gauges no_gauges;
  std::set<std::string> counters;
  ForEach(no_counters, [&](const SeriesName& name, const Counter&) {
    counters.insert(std::string(name.name.substr(0, name.name.size() - std::string_view("_total").size())));
  });
  ForEach(no_gauges, [&](const SeriesName& name, const Gauge&) { CHECK(counters.count(std::string(name.name)) == 0); });
  ForEach(Histograms(),
          [&](const SeriesName& name, const auto&) { CHECK(counters.count(std::string(name.name)) == 0); });
}

TEST_CASE("counters: a copy keeps its values, and the sum of two has those of both") {
  Counters counters;
  counters.accepted.Add(3);
  counters.replies[2][8].Add(5);
  counters.CountName(NameSource::kNetwork, NameResult::kNoAnswer);
  counters.durations.turns.Observe(std::chrono::microseconds(3));
  Counters copy = counters;
  counters.accepted.Add();
  CHECK(copy.accepted.value() == 3);
  AddTo(copy, counters);
  CHECK(copy.accepted.value() == 7);
  CHECK(copy.replies[2][8].value() == 10);
  CHECK(copy.named(NameSource::kNetwork, NameResult::kNoAnswer) == 2);
  CHECK(copy.durations.turns.observations() == 2);
  CHECK(counters.accepted.value() == 4);

  Gauges gauges;
  gauges.sessions[4].Set(2);
  Gauges sum;
  AddTo(sum, gauges);
  AddTo(sum, gauges);
  CHECK(sum.sessions[4].value() == 4);
}

}  // namespace
}  // namespace penstock
