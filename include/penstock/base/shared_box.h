// Hands immutable values from one thread to others: a policy that a reload replaces, for example.
// Owned by the producer of the values; any thread.
// Invariant: a value never changes. It lives while a reader holds it, and the last one destroys it.
// Deliberately not here: notifying readers of a new value. They compare generation(), which takes no lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace penstock {

template <class T>
class SharedBox {
 public:
  explicit SharedBox(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  // The current value; never null.
  std::shared_ptr<const T> Take() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

  // Replaces the current value.
  void Put(T value) {
    auto next = std::make_shared<const T>(std::move(value));
    {
      const std::lock_guard lock(mutex_);
      value_.swap(next);  // the old value may be destroyed here; not while the lock is held
    }
    generation_.fetch_add(1, std::memory_order_release);
  }

  // Changes after each Put. Read it before Take, so that no value is missed.
  std::uint32_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
  std::atomic<std::uint32_t> generation_{0};
};

}  // namespace penstock
