// Names to addresses, without ever waiting: names with a meaning of their own, the hosts file, and the name servers
// through the search list, over the poller of whoever owns this.
// Owned by a worker; its own thread only. A waiter is a cookie, which is handed back and means nothing here: its handle
// may be stale by then.
// Invariant: TakeAnswer yields every waiter exactly once, after a bounded time, unless it is withdrawn before. While an
// answer is ready, next_deadline() returns the current time, so that whoever asks it before waiting forgets nobody.
// Deliberately not here: dialling (dialer.h), whether an address may be used (guard.h), address literals (endpoint.h).
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
  // `tag` is the cookie tag of all descriptors that are registered with `poller`; the handles beside it are the
  // resolver's own. The references must outlive the resolver.
  Resolver(const ResolverSettings& settings, const NameFiles& files, Poller& poller, const Clock& clock,
           Counters& counters, std::uint8_t tag);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The answer, if it is known without asking; otherwise nothing, and TakeAnswer will yield it with `waiter`, which
  // waits for one name at a time. A `name` that is no host name (IsHostName) does not exist. `client` is on whose
  // behalf: one client's names do not take the place of another's. What `filter`, unless null, does not allow is not
  // asked for; it is used during the call only. Does not allocate for a name in the cache.
  std::optional<NameAnswer> Resolve(std::string_view name, Cookie waiter, const IpAddress& client = {},
                                    const NameFilter* filter = nullptr);

  // `waiter` is not yielded, even if its answer is ready; a question that only it waits for is given up. Does nothing
  // if it does not wait.
  void Withdraw(Cookie waiter);

  // The same for whoever cannot wait: nothing when somebody would have to be asked, and nobody is.
  std::optional<NameAnswer> Known(std::string_view name, const IpAddress& client = {},
                                  const NameFilter* filter = nullptr);

  // Which of kNameShares shares of what all clients have together `client` counts towards.
  std::size_t ShareOf(const IpAddress& client) const;

  // An event whose cookie has the tag. A stale handle is ignored.
  void OnEvent(Handle handle, const Events& events);

  // Does what is due at the clock's now().
  void OnTime();

  // When OnTime or TakeAnswer has something to do; the clock's now() while answers lie ready.
  std::optional<TimePoint> next_deadline() const;

  using Finished = NameLookups::Finished;

  // The next answer that lies ready, in the order in which they came; nothing when none is left.
  std::optional<Finished> TakeAnswer();

 private:
  // Where the search for a name has come to. It keeps to the files as they were when it began.
  struct Place {
    explicit Place(std::size_t of_share) : share(of_share) {}

    std::size_t share;  // of the client
    std::shared_ptr<const NameFilesText> text;
    bool absolute = false;      // a final dot: no search list
    bool failed = false;        // a candidate had no answer
    std::size_t candidate = 0;  // see CandidateAt
    std::uint64_t denied = 0;   // candidates that may not be asked for, a bit each

    bool IsDenied() const { return (denied >> candidate & 1) != 0; }
  };
  static_assert(kSearchMax < 64);

  // What a waiter waits for.
  struct Wanted {
    std::string name;  // as it was asked for
    Place place;       // its candidate is what is being looked up
    NameLookups::Ticket ticket;
  };

  std::optional<NameAnswer> Known(std::string_view name, const NameText& text, const NameFilter* filter, Place& place);

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
  std::shared_ptr<const NameFilesText> text_;  // of the files; counted apart from what other workers hold
  NameLookups lookups_;
  std::optional<NameText> answered_;                   // to whose name the last answer refers
  std::unordered_map<std::uint64_t, Wanted> waiters_;  // keys are their packed cookies
  const std::uint64_t share_key_;                      // nobody else's business
};

}  // namespace penstock
