#include "penstock/admin/event_source.h"

#include "penstock/base/limits.h"

namespace penstock {

void LeaveEventSource::operator()(EventSource* source) const { --source->readers_; }

EventReader EventSource::Join() {
  if (readers_ == kEventReadersMax) return nullptr;
  ++readers_;
  return EventReader(this);
}

// The time is that after `make`, which may have waited for a worker: then the others have their turns before the next.
const std::string& EventSource::Newest() {
  if (event_.empty() || SteadyNow() - made_ >= kEventInterval) {
    event_ = make_();
    made_ = SteadyNow();
  }
  return event_;
}

}  // namespace penstock
