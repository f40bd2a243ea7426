// Resolves names to addresses without blocking: special names (RFC 6761), the hosts file, then the name servers, with
// the search list, over the owner's poller. Owned by a worker; its own thread only. A waiter is a cookie, which is
// returned and has no meaning here: its handle may be stale by then. Invariant: TakeAnswer yields every waiter exactly
// once, after a bounded time, unless it is withdrawn before. While an answer is ready, next_deadline() returns the
// current time, so a worker that asks it before epoll_wait misses none. Does not: dial (dialer.h), decide whether an
// address may be used (guard.h), parse address literals (endpoint.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "penstock/base/counters.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/base/shared_box.h"
#include "penstock/dns/files.h"
#include "penstock/dns/lookups.h"
#include "penstock/dns/message.h"
#include "penstock/os/clock.h"
#include "penstock/os/poller.h"

namespace penstock {

class Resolver {
 public:
  // `tag` is the cookie tag of all descriptors that are registered with `poller`; their handles belong to the resolver.
  // The references must outlive the resolver.
  Resolver(const ResolverSettings& settings, const NameFiles& files, Poller& poller, const Clock& clock,
           Counters& counters, std::uint8_t tag);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Returns the answer if it is known without a query; otherwise nothing, and TakeAnswer will yield it with `waiter`,
  // which waits for one name at a time. A `name` that is not a host name (IsHostName) does not exist. The query counts
  // towards the share of `client`, so that one client's names do not displace another's. A name that `filter`, if not
  // null, does not allow is not queried; it is used during the call only. Does not allocate for a cached name.
  std::optional<NameAnswer> Resolve(std::string_view name, Cookie waiter, const IpAddress& client = {},
                                    const NameFilter* filter = nullptr);

  // `waiter` is not yielded, even if its answer is ready; a lookup without other waiters is dropped. Does nothing if it
  // does not wait.
  void Withdraw(Cookie waiter);

  // Like Resolve, but never queries: nothing if the answer is not known.
  std::optional<NameAnswer> Known(std::string_view name, const IpAddress& client = {},
                                  const NameFilter* filter = nullptr);

  // The share that `client` counts towards, below kNameShares (base/fair_shares.h).
  std::size_t ShareOf(const IpAddress& client) const;

  // Handles an event whose cookie has the tag. A stale handle is ignored.
  void OnEvent(Handle handle);

  // Handles the deadlines that have passed at the clock's now().
  void OnTime();

  // When to call OnTime or TakeAnswer next; the clock's now() while answers are ready.
  std::optional<TimePoint> next_deadline() const;

  // Sets the gauges of names.
  void UpdateGauges(Gauges& gauges) const {
    lookups_.UpdateGauges(gauges);
    gauges.dns_waiters.Set(waiters_.size());
  }

  using Finished = NameLookups::Finished;

  // The next answer that is ready, in the order of arrival; nothing if none is.
  std::optional<Finished> TakeAnswer();

 private:
  // The progress of a search for one name. It uses the files as they were when it began.
  struct Place {
    explicit Place(std::size_t of_share) : share(of_share) {}

    std::size_t share;  // of the client
    std::shared_ptr<const NameFilesText> text;
    bool absolute = false;      // a final dot: no search list
    bool failed = false;        // a candidate had no answer
    std::size_t candidate = 0;  // see CandidateAt
    std::uint64_t denied = 0;   // a bit for each candidate that the filter denies

    bool IsDenied() const { return (denied >> candidate & 1) != 0; }
  };
  static_assert(kSearchMax < 64);

  // What a waiter waits for.
  struct Wanted {
    std::string name;  // as it was asked for
    Place place;       // its candidate is being resolved
    TimePoint begun;
    NameLookups::Ticket ticket;
  };

  std::optional<NameAnswer> Known(std::string_view name, const NameText& text, const NameFilter* filter, Place& place);

  void Count(NameSource source, const NameAnswer& answer);
  void CountWaited(const Wanted& wanted, NameAnswer answer);

  void RefreshHost();
  bool TakeFiles();
  std::optional<NameAnswer> KnownByRule(std::string_view name) const;
  static bool Restrict(std::string_view name, const NameFilter& filter, Place& place);
  NameAnswer Denied(std::string_view name, Place place);
  NameAnswer Named(NameAnswer answer, const std::optional<NameText>& candidate, std::string_view name);
  static std::optional<NameText> CandidateAt(std::string_view name, const Place& place);
  static bool Settles(const NameAnswer& answer, std::string_view name, Place& place);
  std::optional<NameAnswer> Search(std::string_view name, Place& place);
  [[nodiscard]] bool Wait(Cookie waiter, Wanted& wanted);
  std::optional<NameAnswer> AfterLookup(Cookie waiter, Wanted& wanted, const NameAnswer& answer);

  const Clock& clock_;
  Counters& counters_;
  const std::optional<Families> families_fixed_;
  TimePoint families_read_;
  const SharedBox<NameFilesText>& files_;
  std::uint32_t files_generation_ = 0;
  std::shared_ptr<const NameFilesText> text_;  // of the files; with a reference count of this worker's own
  NameLookups lookups_;
  std::optional<NameText> answered_;                   // NameAnswer::name of the last answer refers to it
  std::unordered_map<std::uint64_t, Wanted> waiters_;  // keys are their packed cookies
  const std::uint64_t share_key_;                      // secret, so that clients cannot choose their share
};

}  // namespace penstock
