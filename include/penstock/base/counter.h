// Numbers that one thread writes and any thread reads: a count of events, and the present number of something.
// Owned by whoever counts; that thread alone writes.
// Invariant: a counter never goes down. Both are a plain load and store, without a locked instruction; a reader sees a
// value that was current a moment ago. A copy is a value of its own.
// Does not: relate two numbers. A reader that wants them of one moment asks the owner for a copy (server/survey.h).
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock {

class Counter {
 public:
  Counter() = default;
  Counter(const Counter& other) : value_(other.value()) {}
  Counter& operator=(const Counter& other) {
    value_.store(other.value(), std::memory_order_relaxed);
    return *this;
  }

  void Add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  Gauge() = default;
  Gauge(const Gauge& other) : value_(other.value()) {}
  Gauge& operator=(const Gauge& other) {
    Set(other.value());
    return *this;
  }

  void Set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(std::uint64_t count) { Set(value() + count); }
  void Increment() { Set(value() + 1); }
  void Decrement() { Set(value() - 1); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace penstock
