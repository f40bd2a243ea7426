// Where an immutable value is handed from one thread to others: settings that may change while the program runs.
// Owned by whoever makes new values; any thread may take and put.
// Invariant: whoever has taken a value finds it unchanged for as long as they hold it; the last reader drops it.
// Deliberately not here: telling readers that there is a new value. generation() lets them see that cheaply.
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

  std::shared_ptr<const T> Take() const {  // never null
    const std::lock_guard lock(mutex_);
    return value_;
  }

  void Put(T value) {
    auto next = std::make_shared<const T>(std::move(value));
    {
      const std::lock_guard lock(mutex_);
      value_.swap(next);  // the old one may be dropped, and that is not work for a lock
    }
    generation_.fetch_add(1, std::memory_order_release);
  }

  // Changes after each Put: read it before taking, and nothing is missed.
  std::uint32_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
  std::atomic<std::uint32_t> generation_{0};
};

}  // namespace penstock
