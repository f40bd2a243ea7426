#include "penstock/admin/admin.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/socket.h"

namespace penstock {
namespace {

// The tags of cookies.
enum Tag : std::uint8_t { kWake, kListener, kConnection };

}  // namespace

std::unique_ptr<Admin> Admin::Start(const AdminSettings& settings, std::vector<Route> routes, std::string* error) try {
  std::unique_ptr<Admin> admin(new Admin(settings, std::move(routes)));
  if (!admin->Open(settings, error)) return nullptr;
  admin->thread_ = Thread("admin", [&admin = *admin] { admin.Run(); });
  return admin;
} catch (const std::system_error& failure) {
  *error = std::string("cannot start the admin interface: ") + failure.what();
  return nullptr;
}

Admin::Admin(const AdminSettings& settings, std::vector<Route> routes)
    : site_(std::move(routes), settings), deadlines_(settings.timeout) {}

Admin::~Admin() {
  stopping_.store(true, std::memory_order_release);
  wake_.Raise();
  if (thread_.running()) thread_.Join();
}

bool Admin::Open(const AdminSettings& settings, std::string* error) {
  bool watched = poller_.AddReader(wake_.fd(), {kWake, {}});
  for (const std::string& path : settings.sockets) {
    sockets_.push_back(UnixListener::Open(path, error));
    if (!sockets_.back().valid()) return false;
    watched = AddListener(sockets_.back().fd(), Entrance::kUnixSocket) && watched;
  }
  for (const Endpoint& at : settings.addresses) {
    if (at.port != 0 && InUse(at)) {
      *error = "cannot listen on " + at.ToString() + ": the address is in use by another program";
      return false;
    }
    ports_.push_back(Listen(at, error));
    if (!ports_.back().valid()) return false;
    listening_.push_back({at.ip, LocalEndpoint(ports_.back().get()).port, at.scope});
    watched =
        AddListener(ports_.back().get(), at.ip.is_loopback() ? Entrance::kLoopback : Entrance::kNetwork) && watched;
  }
  if (!watched) *error = "cannot start the admin interface: the kernel has no memory for its poller";
  return watched;
}

bool Admin::AddListener(int socket, Entrance entrance) {
  const auto index = static_cast<std::uint32_t>(listeners_.size());
  listeners_.push_back({socket, entrance});
  return poller_.AddReader(socket, {kListener, {index, 0}});
}

void Admin::Run() {
  while (!stopping_.load(std::memory_order_acquire)) Turn();
}

void Admin::Turn() {
  const int events = poller_.Wait(PollTimeout());
  clock_.Read();
  for (int i = 0; i < events; ++i) Dispatch(poller_.At(i));
  RunReadyList();
  ExpireDeadlines();
  AcceptAll();
}

std::optional<std::chrono::nanoseconds> Admin::PollTimeout() const {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint time) { next = next ? std::min(*next, time) : time; };
  if (!ready_.empty()) consider(clock_.now());
  for (const Listener& listener : listeners_) {
    if (listener.ready) consider(accept_retry_);
  }
  for (const DeadlineQueue* const queue : deadlines_.all) {
    if (const auto due = queue->next()) consider(*due);
  }
  if (!next) return std::nullopt;
  return std::max(*next - SteadyNow(), TimePoint::duration::zero());
}

void Admin::Dispatch(const Poller::Event& event) {
  switch (static_cast<Tag>(event.cookie.tag)) {
    case kWake:
      break;  // to see stopping_
    case kListener:
      listeners_[event.cookie.handle.slot].ready = true;
      break;
    case kConnection:
      if (Connection* const connection = connections_.Resolve(event.cookie.handle)) {
        connection->Raise(event.events);
        Schedule(*connection, Connection::Next::kReady);
      }
      break;
  }
}

void Admin::RunReadyList() {
  for (const Handle handle : std::exchange(ready_, {})) {
    Connection* const connection = connections_.Resolve(handle);
    if (connection == nullptr) continue;
    connection->set_on_ready_list(false);
    Schedule(*connection, Call(*connection, &Connection::Advance));
  }
}

// An answer for which there is no memory ends its connection, and not the gateway.
Connection::Next Admin::Call(Connection& connection,
                             Connection::Next (Connection::*step)(const Connection::Tools&)) try {
  return (connection.*step)(tools_);
} catch (const std::bad_alloc&) {
  return Connection::Next::kRelease;
}

void Admin::ExpireDeadlines() {
  for (DeadlineQueue* const queue : deadlines_.all) {
    while (const auto cookie = queue->Expire(clock_.now())) {
      Connection& connection = *connections_.Resolve(cookie->handle);
      Schedule(connection, Call(connection, &Connection::OnDeadline));
    }
  }
}

void Admin::AcceptAll() {
  for (Listener& listener : listeners_) {
    for (int i = 0; i < kAdminAcceptsPerTurn && listener.ready && accept_retry_ <= clock_.now(); ++i) {
      AcceptFrom(listener);
    }
  }
}

void Admin::AcceptFrom(Listener& listener) {
  Accepted accepted = Accept(listener.socket);
  switch (accepted.status) {
    case Accepted::Status::kTaken:
      Admit(std::move(accepted.socket), listener.entrance);
      break;
    case Accepted::Status::kGone:
      break;
    case Accepted::Status::kNone:
      listener.ready = false;
      break;
    case Accepted::Status::kExhausted:  // pauses for kAcceptRetryDelay, or until a connection ends
      accept_retry_ = clock_.now() + kAcceptRetryDelay;
      break;
  }
}

void Admin::Admit(Fd socket, Entrance entrance) {
  MakeRoom();
  Connection* const connection = connections_.Acquire(std::uint8_t{kConnection}, std::move(socket), entrance, tools_);
  if (connection == nullptr) return;  // no memory: the connection is closed
  if (!poller_.Add(connection->fd(), {kConnection, connection->handle()})) {
    return Schedule(*connection, Connection::Next::kRelease);
  }
  Schedule(*connection, Connection::Next::kReady);
}

// Every connection has a deadline in one of the queues, and the earliest of a queue is the one that was armed first.
void Admin::MakeRoom() {
  if (connections_.live() < kAdminConnectionsMax) return;
  for (DeadlineQueue* const queue : deadlines_.all) {
    const auto oldest = queue->Expire(TimePoint::max());
    if (!oldest) continue;
    Connection& replaced = *connections_.Resolve(oldest->handle);
    replaced.Abandon();
    return Schedule(replaced, Connection::Next::kRelease);
  }
}

void Admin::Schedule(Connection& connection, Connection::Next next) {
  switch (next) {
    case Connection::Next::kWait:
      break;
    case Connection::Next::kReady:
      if (connection.on_ready_list()) break;
      connection.set_on_ready_list(true);
      ready_.push_back(connection.handle());
      break;
    case Connection::Next::kRelease:
      connections_.Release(connection.handle());
      accept_retry_ = {};  // there is a descriptor again
      break;
  }
}

}  // namespace penstock
