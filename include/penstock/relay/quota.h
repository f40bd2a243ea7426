// How many bytes a user has left in the present period, and the part of them that one worker has leased.
// A QuotaPool belongs to the account of its user, any thread; a QuotaLease to one worker, its thread only. The pool
// outlives its leases.
// Invariants:
//   - limit = left + used + what is leased and not settled. So the workers together take what is left and no more; only
//     one datagram may exceed it, by less than its length, and bytes that came together with a request.
//   - A chunk of bytes touches the lease alone. The pool is touched once for each lease, of kQuotaLeaseBytesMin at
//     least while so many are left, and at each Settle.
// Does not: know periods and users (accounts.h), make sessions wait or end (throttle.h, session.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace penstock {

class QuotaPool {
 public:
  // Without a limit there is so much left that nobody uses it up.
  static constexpr std::int64_t kUnlimited = std::int64_t{1} << 62;

  // What may be set as used: more than any limit, and so far from kUnlimited that no traffic gets there.
  static constexpr std::int64_t kUsedMax = kUnlimited / 2;

  // Takes some of what is left, at least `at_least` if anything is; 0: nothing is left. `at_least` is at most the
  // length of a datagram.
  std::int64_t Lease(std::int64_t at_least);

  // The end of a lease: `used` of it were, and `unused` were not. That is negative if more were used.
  void Settle(std::int64_t unused, std::uint64_t used);

  // What is used, as far as it is settled; and whether that is all of the limit.
  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }
  bool over() const { return used() >= limit_.load(std::memory_order_relaxed); }
  bool limited() const { return limit_.load(std::memory_order_relaxed) != kUnlimited; }

  // For the owner of the account, one thread at a time: sets the limit, at most kUnlimited; and what is used, at most
  // kUsedMax, for example 0 at the start of a period.
  void SetLimit(std::int64_t limit);
  void SetUsed(std::int64_t used);

 private:
  std::atomic<std::int64_t> left_{kUnlimited};
  std::atomic<std::int64_t> used_{0};
  std::atomic<std::int64_t> limit_{kUnlimited};
};

class QuotaLease {
 public:
  explicit QuotaLease(QuotaPool& pool) : pool_(pool) {}
  QuotaLease(const QuotaLease&) = delete;
  QuotaLease& operator=(const QuotaLease&) = delete;

  // The bytes that may be taken now. Leases more if they are fewer than `at_least`; fewer still: there are no more for
  // now. Others may return some until QuotaPool::over() says that all are used.
  std::size_t Available(std::size_t at_least = 1);

  // `bytes` were taken; at most what Available returned, but for bytes that came with a request.
  void Charge(std::size_t bytes);

  // Returns what is unused to the pool, and tells it what was used.
  void Settle();

 private:
  QuotaPool& pool_;
  std::int64_t left_ = 0;
  std::uint64_t used_ = 0;
};

}  // namespace penstock
