#include "penstock/server/inquiry.h"

#include <utility>

namespace penstock {
namespace {

// Puts `inquiry` into `place` and returns what was there.
std::unique_ptr<Inquiry> Exchange(std::atomic<Inquiry*>& place, std::unique_ptr<Inquiry> inquiry) {
  return std::unique_ptr<Inquiry>(place.exchange(inquiry.release(), std::memory_order_acq_rel));
}

}  // namespace

InquiryDesk::~InquiryDesk() {
  Exchange(posted_, nullptr);
  Exchange(answered_, nullptr);
}

void InquiryDesk::Post(std::unique_ptr<Inquiry> inquiry) { Exchange(posted_, std::move(inquiry)); }

std::unique_ptr<Inquiry> InquiryDesk::Collect() { return Exchange(answered_, nullptr); }

std::unique_ptr<Inquiry> InquiryDesk::TakeBack() { return Exchange(posted_, nullptr); }

void InquiryDesk::Return(std::unique_ptr<Inquiry> inquiry) {
  Exchange(answered_, std::move(inquiry));
  news_.Post();
}

void InquiryDesk::Close() {
  closed_.store(true, std::memory_order_release);
  news_.Post();
}

}  // namespace penstock
