#include "penstock/base/slab.h"

#include <set>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

// Knows its handle, and counts how many of its kind live.
struct Thing {
  explicit Thing(Handle own, int given = 0) : handle(own), value(given) { ++alive; }
  Thing(const Thing&) = delete;
  Thing& operator=(const Thing&) = delete;
  ~Thing() { --alive; }

  Handle handle;
  int value;
  static inline int alive = 0;
};

TEST_CASE("slab: an object is constructed with its handle, which resolves to it") {
  Slab<Thing> slab(10);
  Thing* const thing = slab.Acquire(7);
  REQUIRE(thing != nullptr);
  CHECK(thing->value == 7);
  CHECK(slab.Resolve(thing->handle) == thing);
  CHECK(slab.live() == 1);
}

TEST_CASE("slab: a handle becomes stale when its object is released") {
  Slab<Thing> slab(1);
  const Handle first = slab.Acquire()->handle;
  slab.Release(first);
  CHECK(Thing::alive == 0);
  CHECK(slab.live() == 0);
  CHECK(slab.Resolve(first) == nullptr);

  const Handle second = slab.Acquire()->handle;
  CHECK(second.slot == first.slot);
  CHECK(second != first);
  CHECK(slab.Resolve(first) == nullptr);
  CHECK(slab.Resolve(second) != nullptr);
}

TEST_CASE("slab: invalid handles resolve to nothing") {
  Slab<Thing> slab(100);
  CHECK(slab.Resolve(Handle{}) == nullptr);
  CHECK(slab.Resolve({0, 0}) == nullptr);  // no slot exists yet
  const Handle handle = slab.Acquire()->handle;
  CHECK(slab.Resolve({handle.slot, handle.generation + 1}) == nullptr);
  CHECK(slab.Resolve({handle.slot + 1, handle.generation}) == nullptr);  // a slot that nobody uses
  CHECK(slab.Resolve({99, 0}) == nullptr);
  CHECK(slab.Resolve({Handle::kNoSlot - 1, 0}) == nullptr);
}

TEST_CASE("slab: it holds exactly its capacity, and no two objects have one handle") {
  for (const std::size_t capacity : {0U, 1U, 63U, 64U, 65U, 200U}) {
    CAPTURE(capacity);
    Slab<Thing> slab(capacity);
    std::set<std::uint32_t> slots;
    std::vector<Handle> handles;
    while (Thing* thing = slab.Acquire()) {
      slots.insert(thing->handle.slot);
      handles.push_back(thing->handle);
      REQUIRE(handles.size() <= capacity);
    }
    CHECK(handles.size() == capacity);
    CHECK(slots.size() == capacity);
    CHECK(slab.live() == capacity);
    CHECK(slab.Acquire() == nullptr);
    if (capacity == 0) continue;
    slab.Release(handles[capacity / 2]);
    CHECK(slab.Acquire() != nullptr);
    CHECK(slab.Acquire() == nullptr);
  }
  CHECK(Thing::alive == 0);
}

TEST_CASE("slab: objects never move") {
  Slab<Thing> slab(1000);
  std::vector<Thing*> things;
  for (int i = 0; i < 1000; ++i) things.push_back(slab.Acquire(i));
  for (int i = 0; i < 1000; ++i) {
    Thing* const thing = things[static_cast<std::size_t>(i)];
    CHECK(thing->value == i);
    CHECK(slab.Resolve(thing->handle) == thing);
  }
}

TEST_CASE("slab: low slots are used first") {
  Slab<Thing> slab(1000);
  for (std::uint32_t slot = 0; slot < 130; ++slot) CHECK(slab.Acquire()->handle.slot == slot);
}

TEST_CASE("slab: ForEach visits every object once, and may release it") {
  Slab<Thing> slab(200);
  std::vector<Handle> handles;
  for (int i = 0; i < 150; ++i) handles.push_back(slab.Acquire(i)->handle);
  for (std::size_t i = 0; i < handles.size(); i += 3) slab.Release(handles[i]);

  std::set<int> visited;
  slab.ForEach([&](Thing& thing) {
    CHECK(visited.insert(thing.value).second);
    if (thing.value % 2 == 0) slab.Release(thing.handle);
  });
  CHECK(visited.size() == 100);
  CHECK(visited.count(3) == 0);

  int left = 0;
  slab.ForEach([&](Thing& thing) {
    ++left;
    CHECK(thing.value % 2 == 1);
  });
  CHECK(left == 50);
  CHECK(slab.live() == 50);
}

TEST_CASE("slab: ForSome visits some objects at a time, but none that was released meanwhile") {
  Slab<Thing> slab(10'000);
  std::vector<Handle> handles;
  for (int i = 0; i < 10'000; ++i) handles.push_back(slab.Acquire(i)->handle);
  std::set<int> visited;
  std::uint32_t slot = 0;
  for (int turn = 0; slot != Handle::kNoSlot; ++turn) {
    REQUIRE(turn < 1'000);
    const std::size_t before = visited.size();
    slot = slab.ForSome(slot, 100, [&](Thing& thing) {
      CHECK(visited.insert(thing.value).second);
      slab.Release(thing.handle);
    });
    CHECK(visited.size() - before <= 100);
    if (turn == 50) {
      for (std::size_t i = 9'000; i < 10'000; ++i) slab.Release(handles[i]);
    }
  }
  CHECK(visited.size() == 9'000);
  CHECK(slab.ForSome(0, 100, [](Thing&) {}) == 100);
  CHECK(slab.live() == 0);
}

TEST_CASE("slab: empty chunks are freed, and old handles stay stale when a chunk is allocated again") {
  Slab<Thing> slab(100'000);
  std::vector<Handle> crowd{slab.Acquire(0)->handle};
  const std::size_t chunk = slab.slots();
  for (int i = 1; i < 10'000; ++i) crowd.push_back(slab.Acquire(i)->handle);
  CHECK(slab.slots() >= 10'000);
  for (const Handle handle : crowd) {
    if (handle != crowd.front()) slab.Release(handle);
  }
  CHECK(slab.slots() == 2 * chunk);  // of the one that is left, and as many for who comes next
  for (const Handle handle : crowd) CHECK((slab.Resolve(handle) != nullptr) == (handle == crowd.front()));

  std::set<std::uint32_t> slots;
  for (int i = 1; i < 10'000; ++i) slots.insert(slab.Acquire(i)->handle.slot);
  CHECK(slots.size() == 9'999);
  for (const Handle handle : crowd) CHECK((slab.Resolve(handle) != nullptr) == (handle == crowd.front()));
}

TEST_CASE("slab: one empty chunk is kept, so that the next object does not allocate it again") {
  Slab<Thing> slab(100'000);
  slab.Acquire();
  const std::size_t chunk = slab.slots();
  while (slab.live() < chunk) slab.Acquire();
  const Handle one_more = slab.Acquire()->handle;
  slab.Release(one_more);
  CHECK(slab.slots() == 2 * chunk);
}

TEST_CASE("slab: the destructor destroys all objects") {
  {
    Slab<Thing> slab(100);
    for (int i = 0; i < 70; ++i) slab.Acquire();
    CHECK(Thing::alive == 70);
  }
  CHECK(Thing::alive == 0);
}

// 16 million reuses would take seconds, so the test reaches for a slot's generation: an explicit instantiation may name
// a private member.
struct Bare {
  explicit Bare(Handle own) : handle(own) {}
  Handle handle;
};
auto& ChunksOf(Slab<Bare>& slab);
template <auto Chunks>
struct Reach {
  friend auto& ChunksOf(Slab<Bare>& slab) { return slab.*Chunks; }
};
template struct Reach<&Slab<Bare>::chunks_>;

TEST_CASE("slab: generations have 24 bits and wrap around") {
  Slab<Bare> slab(1);
  const Handle first = slab.Acquire()->handle;
  slab.Release(first);
  ChunksOf(slab)[0].slots[0].generation = Handle::kGenerationMask;
  const Handle last = slab.Acquire()->handle;
  CHECK(last.generation == Handle::kGenerationMask);
  CHECK(slab.Resolve(first) == nullptr);
  slab.Release(last);
  CHECK(slab.Resolve(last) == nullptr);
  CHECK(slab.Acquire()->handle == first);  // 16 million reuses later
}

}  // namespace
}  // namespace penstock
