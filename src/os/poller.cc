#include "penstock/os/poller.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <limits>
#include <system_error>

namespace penstock {
namespace {

constexpr std::uint32_t kReads = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;
constexpr std::uint32_t kListening = EPOLLIN | EPOLLEXCLUSIVE;

}  // namespace

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.valid()) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

bool Poller::Add(int fd, Cookie cookie) { return Control(EPOLL_CTL_ADD, fd, cookie, kReads | EPOLLOUT); }

bool Poller::AddReader(int fd, Cookie cookie) { return Control(EPOLL_CTL_ADD, fd, cookie, kReads); }

void Poller::WatchWrites(int fd, Cookie cookie) { Modify(fd, cookie, kReads | EPOLLOUT); }

bool Poller::AddListener(int fd, Cookie cookie) { return Control(EPOLL_CTL_ADD, fd, cookie, kListening); }

void Poller::Remove(int fd) { static_cast<void>(Control(EPOLL_CTL_DEL, fd, {}, 0)); }

// Needs no memory, so it cannot fail (epoll_ctl(2)).
void Poller::Modify(int fd, Cookie cookie, std::uint32_t events) {
  const bool modified = Control(EPOLL_CTL_MOD, fd, cookie, events);
  assert(modified);
  static_cast<void>(modified);
}

bool Poller::Control(int operation, int fd, Cookie cookie, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = cookie.Packed();
  return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

int Poller::Wait(std::optional<std::chrono::nanoseconds> timeout) {
  // Rounded up, for a wait that ends just before a deadline must be repeated. Cut at the longest timeout of the call,
  // 24 days: a wait that ends early is repeated.
  constexpr std::chrono::milliseconds kLongest{std::numeric_limits<int>::max()};
  const int milliseconds =
      timeout ? static_cast<int>(std::min(std::chrono::ceil<std::chrono::milliseconds>(*timeout), kLongest).count())
              : -1;
  const int count = ::epoll_wait(epoll_.get(), events_.data(), kEventsPerTurn, milliseconds);
  return count > 0 ? count : 0;  // EINTR: a wait that ends early
}

Poller::Event Poller::At(int index) const {
  const epoll_event& raw = events_[static_cast<std::size_t>(index)];
  Event event;
  event.cookie = Cookie::Unpacked(raw.data.u64);
  event.events.readable = (raw.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  event.events.writable = (raw.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
  event.events.closing = (raw.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  event.events.broken = (raw.events & (EPOLLHUP | EPOLLERR)) != 0;
  event.events.urgent = (raw.events & EPOLLPRI) != 0;
  return event;
}

WakeUp::WakeUp() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!fd_.valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
}

// Neither result matters: the counter cannot overflow in a lifetime, and reading a counter of zero changes nothing.
void WakeUp::Raise() const { static_cast<void>(::eventfd_write(fd_.get(), 1)); }

void WakeUp::Clear() const {
  eventfd_t count = 0;
  static_cast<void>(::eventfd_read(fd_.get(), &count));
}

}  // namespace penstock
