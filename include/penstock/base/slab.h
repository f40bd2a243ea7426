// A pool of objects in reusable slots, and handles that become stale when a slot is released.
// Owned by a worker; its own thread only.
// Invariant: an object never moves, and the handle of one object never resolves to another, for releasing a slot
// changes its generation. A generation has 24 bits, so that a handle and a tag fit an epoll cookie: a stale handle
// could resolve only after 16 million reuses of its slot.
// Deliberately not here: what the objects are.
//
// Slots are allocated in chunks. Acquire prefers low slots, so that chunks become empty when most objects are released.
// One empty chunk is kept; the others are freed.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace penstock {

struct Handle {
  static constexpr std::uint32_t kNoSlot = 0xffffffff;
  static constexpr std::uint32_t kGenerationMask = 0xffffff;

  std::uint32_t slot = kNoSlot;
  std::uint32_t generation = 0;

  bool operator==(const Handle&) const = default;
};

// The minimum size of a chunk. With M_MMAP_THRESHOLD (mallopt(3)) at this size, free(3) returns a chunk to the system.
inline constexpr std::size_t kSlabChunkBytes = 64 * 1024;

template <class T>
class Slab {
 public:
  // Holds at most `capacity` objects.
  explicit Slab(std::size_t capacity) : capacity_(std::min(capacity, kSlotsMax)) {}
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  ~Slab() {
    for (std::uint32_t slot = 0; slot < chunks_.size() * kSlotsPerChunk; ++slot) {
      const Slot* const at = SlotAt(slot);
      if (at != nullptr && at->live) Release({slot, at->generation});
    }
  }

  // Constructs T(handle, arguments...). Null if the slab is full or there is no memory.
  template <class... Arguments>
  T* Acquire(Arguments&&... arguments) {
    if (live_ == capacity_ || !Open()) return nullptr;
    Chunk& chunk = chunks_[open_];
    if (chunk.live++ == 0) --empty_;
    Slot& slot = chunk.slots[chunk.free];
    const Handle handle{open_ * kSlotsPerChunk + chunk.free, slot.generation};
    chunk.free = slot.next_free;
    slot.live = true;
    ++live_;
    return ::new (static_cast<void*>(slot.storage)) T(handle, std::forward<Arguments>(arguments)...);
  }

  // The object of `handle`; null if it has been released. Any handle is valid input.
  T* Resolve(Handle handle) {
    Slot* const slot = SlotAt(handle.slot);
    return slot != nullptr && slot->live && slot->generation == handle.generation ? slot->object() : nullptr;
  }

  // Destroys the object of `handle`, which must not be stale.
  void Release(Handle handle) {
    assert(Resolve(handle) != nullptr);
    const std::uint32_t number = handle.slot / kSlotsPerChunk;
    Chunk& chunk = chunks_[number];
    Slot& slot = chunk.slots[handle.slot % kSlotsPerChunk];
    slot.object()->~T();
    slot.live = false;
    slot.generation = (slot.generation + 1) & Handle::kGenerationMask;
    slot.next_free = std::exchange(chunk.free, handle.slot % kSlotsPerChunk);
    open_ = std::min(open_, number);
    --live_;
    if (--chunk.live == 0 && empty_++ > 0) GiveBack(chunk);
  }

  // Calls `visit(T&)` for every object. `visit` may release its argument, and no other object.
  template <class Visit>
  void ForEach(Visit visit) {
    ForSome(0, Handle::kNoSlot, visit);
  }

  // ForEach over the `count` slots from `slot` on. Returns the slot to continue from; kNoSlot at the end.
  template <class Visit>
  std::uint32_t ForSome(std::uint32_t slot, std::uint32_t count, Visit visit) {
    for (; count > 0 && slot < chunks_.size() * kSlotsPerChunk; ++slot, --count) {
      Slot* const at = SlotAt(slot);
      if (at != nullptr && at->live) visit(*at->object());
    }
    return slot < chunks_.size() * kSlotsPerChunk ? slot : Handle::kNoSlot;
  }

  std::size_t live() const { return live_; }  // objects

  // Slots that are allocated, used or not.
  std::size_t slots() const {
    const auto has_memory = [](const Chunk& chunk) { return chunk.slots != nullptr; };
    return static_cast<std::size_t>(std::ranges::count_if(chunks_, has_memory)) * kSlotsPerChunk;
  }

 private:
  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    std::uint32_t generation : 24 = 0;
    std::uint32_t live : 1 = 0;
    std::uint32_t next_free = Handle::kNoSlot;

    T* object() { return std::launder(reinterpret_cast<T*>(storage)); }
  };

  static constexpr std::uint32_t kSlotsPerChunk = std::max<std::size_t>(64, kSlabChunkBytes / sizeof(Slot) + 1);
  static constexpr std::size_t kSlotsMax = Handle::kNoSlot - kSlotsPerChunk;

  struct Chunk {
    std::unique_ptr<Slot[]> slots;         // null: not allocated
    std::uint32_t free = Handle::kNoSlot;  // the head of the list of free slots
    std::uint32_t live = 0;
    std::uint32_t generation = 0;  // the first one of new slots: the highest that slots of this chunk have had

    bool full() const { return slots != nullptr && free == Handle::kNoSlot; }
  };

  Slot* SlotAt(std::uint32_t slot) {
    const std::size_t number = slot / kSlotsPerChunk;
    if (number >= chunks_.size() || chunks_[number].slots == nullptr) return nullptr;
    return &chunks_[number].slots[slot % kSlotsPerChunk];
  }

  // Makes open_ the first chunk with a free slot, and allocates it if needed. False if there is no memory.
  bool Open() {
    while (open_ < chunks_.size() && chunks_[open_].full()) ++open_;
    if (open_ == chunks_.size()) chunks_.emplace_back();
    Chunk& chunk = chunks_[open_];
    if (chunk.slots != nullptr) return true;
    chunk.slots.reset(new (std::nothrow) Slot[kSlotsPerChunk]);
    if (chunk.slots == nullptr) return false;
    ++empty_;
    for (std::uint32_t slot = kSlotsPerChunk; slot-- > 0;) {  // so that low slots are used first
      chunk.slots[slot].generation = chunk.generation & Handle::kGenerationMask;
      chunk.slots[slot].next_free = std::exchange(chunk.free, slot);
    }
    return true;
  }

  void GiveBack(Chunk& chunk) {
    for (const Slot& slot : std::span(chunk.slots.get(), kSlotsPerChunk)) {
      chunk.generation = std::max<std::uint32_t>(chunk.generation, slot.generation);
    }
    chunk.slots.reset();
    chunk.free = Handle::kNoSlot;
    --empty_;
  }

  const std::size_t capacity_;
  std::vector<Chunk> chunks_;
  std::uint32_t open_ = 0;  // all allocated chunks before this one are full
  std::size_t empty_ = 0;   // allocated chunks without an object
  std::size_t live_ = 0;
};

}  // namespace penstock
