// Slots that are used again and again, and handles that know when the slot has changed hands.
// Owned by a worker; its own thread only.
// Invariant: an object never moves, and a handle given out for one object never resolves to another: releasing a slot
// changes its generation. (24 bits of generation, so that a handle fits an epoll cookie with a tag: a handle would
// have to stay unnoticed for 16 million reuses of its slot to be mistaken.)
// Deliberately not here: giving memory back to the system, and any idea of what the objects are.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
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

template <class T>
class Slab {
 public:
  // At most `capacity` objects live at a time.
  explicit Slab(std::size_t capacity) : capacity_(capacity) {}
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  ~Slab() {
    for (std::uint32_t slot = 0; slot < slots_; ++slot) {
      if (SlotAt(slot).live) Release(Handle{slot, SlotAt(slot).generation});
    }
  }

  // Makes a T from its handle and `arguments`. Null when the slab is full or memory has run out.
  template <class... Arguments>
  T* Acquire(Arguments&&... arguments) {
    if (free_ == Handle::kNoSlot && !Grow()) return nullptr;
    Slot& slot = SlotAt(free_);
    const Handle handle{free_, slot.generation};
    free_ = slot.next_free;
    slot.live = true;
    ++live_;
    return ::new (static_cast<void*>(slot.storage)) T(handle, std::forward<Arguments>(arguments)...);
  }

  // The object behind `handle`, or null when it has been released. Any handle may be asked about, made-up ones
  // included.
  T* Resolve(Handle handle) {
    if (handle.slot >= slots_) return nullptr;
    Slot& slot = SlotAt(handle.slot);
    return slot.live && slot.generation == handle.generation ? slot.object() : nullptr;
  }

  // Destroys the object; `handle` must be current.
  void Release(Handle handle) {
    assert(Resolve(handle) != nullptr);
    Slot& slot = SlotAt(handle.slot);
    slot.object()->~T();
    slot.live = false;
    slot.generation = (slot.generation + 1) & Handle::kGenerationMask;
    slot.next_free = free_;
    free_ = handle.slot;
    --live_;
  }

  // Calls `visit(T&)` for every live object. `visit` may release the object it was given, and no other.
  template <class Visit>
  void ForEach(Visit visit) {
    for (std::uint32_t slot = 0; slot < slots_; ++slot) {
      if (SlotAt(slot).live) visit(*SlotAt(slot).object());
    }
  }

  std::size_t live() const { return live_; }

 private:
  static constexpr std::size_t kSlotsPerChunk = 64;

  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    std::uint32_t generation : 24 = 0;
    std::uint32_t live : 1 = 0;
    std::uint32_t next_free = Handle::kNoSlot;

    T* object() { return std::launder(reinterpret_cast<T*>(storage)); }
  };

  Slot& SlotAt(std::uint32_t slot) { return chunks_[slot / kSlotsPerChunk][slot % kSlotsPerChunk]; }

  bool Grow() {
    if (slots_ + kSlotsPerChunk > Handle::kNoSlot || slots_ >= capacity_) return false;
    std::unique_ptr<Slot[]> chunk(new (std::nothrow) Slot[kSlotsPerChunk]);
    if (chunk == nullptr) return false;
    chunks_.push_back(std::move(chunk));
    const std::size_t grown = std::min(kSlotsPerChunk, capacity_ - slots_);
    slots_ += static_cast<std::uint32_t>(grown);
    for (std::uint32_t slot = slots_; slot > slots_ - grown; --slot) {  // so that low slots are used first
      SlotAt(slot - 1).next_free = free_;
      free_ = slot - 1;
    }
    return true;
  }

  const std::size_t capacity_;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::uint32_t slots_ = 0;
  std::uint32_t free_ = Handle::kNoSlot;
  std::size_t live_ = 0;
};

}  // namespace penstock
