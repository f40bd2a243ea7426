// What one worker has counted for each of its users since it last told their accounts.
// Owned by the worker; its thread only. The accounts are shared, and outlive it.
// Invariants:
//   - A chunk of bytes touches memory of this worker alone. An account hears of it within kSettleInterval, and at once
//     when the session ends.
//   - A meter that has counted something, has leased some of the quota, or has no session left, is on the list of those
//     to settle; next() is armed exactly while the list is not empty. So what one worker has leased and does not use is
//     back for the others after kSettleInterval.
// Does not: decide what a user may do, know sessions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "penstock/base/endpoint.h"
#include "penstock/os/clock.h"
#include "penstock/policy/accounts.h"

namespace penstock {

// Of one user, at one worker.
class Meter {
 public:
  explicit Meter(Account& account) : account_(account), quota_(account.quota()) {}
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  Account& account() { return account_; }

  // Whoever uses it calls Meters::Count afterwards.
  QuotaLease& quota() { return quota_; }

 private:
  friend class Meters;

  Account& account_;
  Usage unsettled_;
  QuotaLease quota_;
  std::uint32_t sessions_ = 0;  // of the worker
  bool listed_ = false;
  Meter* next_ = nullptr;  // on the list of those to settle
};

class Meters {
 public:
  explicit Meters(Accounts& accounts) : accounts_(accounts) {}
  Meters(const Meters&) = delete;
  Meters& operator=(const Meters&) = delete;

  struct Admitted {
    Meter* meter = nullptr;  // the user's meter; null: not admitted
    UserRefusal refusal = UserRefusal::kNone;
  };

  // As Accounts::Admit.
  Admitted Admit(std::string_view user, std::uint32_t max, const IpAddress& client);

  // Call it when an admitted session has ended. Its account then has all that was counted.
  void Release(Meter& meter, const IpAddress& client, TimePoint now);

  // Counts what a session of the user has moved, perhaps nothing.
  void Count(Meter& meter, const Usage& moved, TimePoint now);

  // A wrong password, as Accounts::NoteFailedLogin.
  void NoteFailedLogin(std::string_view user);

  // When SettleDue has something to do; nothing: not before something is counted.
  std::optional<TimePoint> next() const { return list_ != nullptr ? std::optional(due_) : std::nullopt; }

  // Tells the accounts what has been counted, once that is due.
  void SettleDue(TimePoint now);

 private:
  void List(Meter& meter, TimePoint now);
  void Settle(Meter& meter);

  Accounts& accounts_;
  std::unordered_map<const Account*, Meter> meters_;
  Meter* list_ = nullptr;
  TimePoint due_{};
};

}  // namespace penstock
