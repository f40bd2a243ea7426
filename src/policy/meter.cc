#include "penstock/policy/meter.h"

#include <cassert>
#include <new>
#include <utility>

#include "penstock/base/limits.h"

namespace penstock {

Meters::Admitted Meters::Admit(std::string_view user, std::uint32_t max, const IpAddress& client) {
  const auto [account, refusal] = accounts_.Admit(user, max, client, TimeOfDay());
  if (account == nullptr) return {nullptr, refusal};
  try {
    Meter& meter = meters_.try_emplace(account, *account).first->second;
    ++meter.sessions_;
    return {&meter, UserRefusal::kNone};
  } catch (const std::bad_alloc&) {
    accounts_.Release(*account, client, TimeOfDay());
    return {nullptr, UserRefusal::kNoMemory};
  }
}

void Meters::Release(Meter& meter, const IpAddress& client, TimePoint now) {
  assert(meter.sessions_ > 0);
  Settle(meter);
  if (--meter.sessions_ == 0) List(meter, now);
  accounts_.Release(meter.account_, client, TimeOfDay());
}

void Meters::Count(Meter& meter, const Usage& moved, TimePoint now) {
  for (const Way way : kWays) {
    meter.unsettled_.bytes.of(way) += moved.bytes.of(way);
    meter.unsettled_.datagrams.of(way) += moved.datagrams.of(way);
  }
  List(meter, now);
}

void Meters::NoteFailedLogin(std::string_view user) { accounts_.NoteFailedLogin(user, TimeOfDay()); }

void Meters::List(Meter& meter, TimePoint now) {
  if (meter.listed_) return;
  if (list_ == nullptr) due_ = now + kSettleInterval;
  meter.listed_ = true;
  meter.next_ = std::exchange(list_, &meter);
}

void Meters::SettleDue(TimePoint now) {
  if (list_ == nullptr || now < due_) return;
  for (Meter* each = std::exchange(list_, nullptr); each != nullptr;) {
    Meter& meter = *std::exchange(each, each->next_);
    Settle(meter);
    meter.listed_ = false;
    if (meter.sessions_ == 0) meters_.erase(&meter.account_);
  }
}

void Meters::Settle(Meter& meter) {
  meter.quota_.Settle();
  accounts_.Add(meter.account_, std::exchange(meter.unsettled_, {}));
}

}  // namespace penstock
