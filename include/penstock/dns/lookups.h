// Resolves absolute names at the name servers: each name once at a time, for all its waiters, with a cache.
// Owned by a resolver; its own thread only. A waiter is a cookie, which is returned and has no meaning here.
// Invariant: TakeAnswer yields every waiter exactly once, after a bounded time, unless it is withdrawn before. Each
// question has an attempt (a watched socket with a timeout) or the deadline `next_attempt`, and queued lookups start
// when attempts end or have had their turn. At most `attempts_max` sockets are open.
// Does not: read the hosts file, apply search lists, know special names (resolver.h).
//
//   waiters --> lookup: one name --> question: AAAA --> attempts: one server, one socket each
//                               \--> question: A    --> attempts
//
// A question is sent to one server. After kNextNameAttemptDelay, or at once if that server fails, the next server is
// asked as well. Each attempt keeps its socket for the `timeout` of resolv.conf, so that a slow answer still counts;
// the first usable answer ends the question. A server is asked `attempts` times at most, and not again after it has
// reported a failure (SERVFAIL, REFUSED...) or was unreachable. When one family has addresses, the other one gets
// kFamilyGraceDelay more; a later answer only fills the cache. A lookup without waiters is dropped.
//
// Sockets are shared fairly. If all are in use, some server is silent about many names, or one client resolves very
// many. A lookup that needs sockets then takes the oldest attempts of the share with the most: if that share has more
// than the lookup's own share would have, or if the attempt has had its turn (kNameAttemptTurn). Otherwise it stays
// queued, but never behind another client's turns. A question that lost its attempt asks again at `next_attempt`; by
// then a slow server has often cached the answer to its first query.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "penstock/base/counters.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/base/slab.h"
#include "penstock/dns/cache.h"
#include "penstock/dns/files.h"
#include "penstock/dns/servers.h"
#include "penstock/os/clock.h"
#include "penstock/os/io.h"
#include "penstock/os/poller.h"
#include "penstock/os/timers.h"

namespace penstock {

class NameLookups {
 public:
  // `tag` is the cookie tag of all descriptors that are registered with `poller`. `attempts_max`: two at least.
  NameLookups(const ResolvConf& conf, Poller& poller, const Clock& clock, Counters& counters, std::uint8_t tag,
              std::size_t attempts_max);
  ~NameLookups();
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;

  // Uses these servers and timeouts from now on. Attempts under way keep their servers; every question may ask all new
  // ones. Clears the cache, for the new servers may answer differently (a VPN came up).
  void Configure(const ResolvConf& conf);

  // The families to query from now on; at least one.
  void SetFamilies(Families families) { families_ = families; }

  // The answer for `name` (in the form of NameText) if it is known without a query; nothing if Wait is needed. `share`
  // is that of the client, below kNameShares. Does not allocate.
  std::optional<NameAnswer> Find(std::string_view name, std::size_t share = 0);

  struct Finished {
    Cookie waiter;
    NameAnswer answer;
  };

  // Identifies a waiter for Withdraw. Valid until TakeAnswer yields the waiter.
  struct Ticket {
    Handle lookup;
    std::list<Finished>::iterator place;
  };

  // Makes `waiter` wait for `name`; nothing if there is no room. A new lookup counts towards `share`, which is below
  // kNameShares. If kLookupsMax exist, the share with the most loses its oldest, if it has more than `share` would then
  // have; the waiters of that one get kNoAnswer.
  [[nodiscard]] std::optional<Ticket> Wait(std::string_view name, Cookie waiter, std::size_t share);

  // The waiter of `ticket` is not yielded, even if its answer is ready. A lookup without waiters is dropped.
  void Withdraw(const Ticket& ticket);

  void OnEvent(Handle handle);
  void OnTime();

  // When to call OnTime or TakeAnswer next; the clock's now() while answers are ready.
  std::optional<TimePoint> next_deadline() const;

  // Sets the gauges of names.
  void UpdateGauges(Gauges& gauges) const;

  // The next waiter whose answer is ready, in the order of the answers; nothing if none is.
  std::optional<Finished> TakeAnswer();

 private:
  struct Question;
  struct Lookup;
  struct Attempt;

  // What the clients of one share use.
  struct Share {
    std::list<Handle> lookups;     // the oldest first
    std::list<Handle> queued;      // lookups, first in, first out
    std::list<Attempt*> attempts;  // under way, the oldest first
  };

  // A lookup, from begin to end.
  Lookup* Begin(std::string_view name, std::size_t share);
  bool MakeRoomForLookup(const Share& share);
  void MoveToShorterQueue(Lookup& lookup, Share& joining);
  void StartQueued();
  void Start(Lookup& lookup);
  void CheckProgress(Lookup& lookup);
  void AnswerWaiters(Lookup& lookup, const NameAnswer& answer);
  void Drop(Lookup& lookup);
  std::size_t NumberOf(const Share& share) const { return static_cast<std::size_t>(&share - shares_.data()); }
  void Advance();

  // A question and its attempts.
  void AskNext(Lookup& lookup, Family family);
  Fault AskServer(Lookup& lookup, Family family, std::size_t server);
  void EndAttempt(Attempt& ended);
  void EndAttempts(Question& question);
  void EndQuestion(Lookup& lookup, Family family, FamilyAnswer answer, std::chrono::seconds ttl);

  // Fair shares of the sockets.
  bool MakeRoom(const Share& share, std::size_t attempts);
  Share& NextShare();
  const Share& Heaviest() const;

  // What happens to attempts.
  void OnAnswer(Attempt& answered);
  void OnServerFailed(Attempt& failed);
  void OnSocketLost(Attempt& lost);
  void OnTimeout(Attempt& silent);
  void OnNextAttemptDue(Lookup& lookup, Family family);

  bool wants(Family family) const { return family == Family::kIpv6 ? families_.v6 : families_.v4; }

  Poller& poller_;
  const Clock& clock_;
  Counters& counters_;
  const std::uint8_t tag_;
  const std::size_t attempts_max_;
  Families families_;
  NameServers servers_;
  std::uint32_t servers_epoch_ = 0;  // incremented when the list of servers changes
  bool rotate_ = false;
  std::size_t rotation_ = 0;
  NameCache cache_;

  // Declared before the lookups and attempts whose deadlines they hold, so that they outlive them.
  std::unique_ptr<DeadlineQueue> timeouts_;  // of an attempt: the server has not answered
  DeadlineQueue next_attempt_;               // of a question: ask one server more
  DeadlineQueue grace_;                      // of a lookup: one family has addresses, the other one is late
  Slab<Lookup> lookups_;
  Slab<Attempt> attempts_;
  std::unordered_map<std::string_view, Lookup*> lookup_of_;  // keys are the lookups' own names
  std::vector<Share> shares_;
  std::size_t queued_ = 0;        // lookups, over all shares
  std::vector<Handle> ended_;     // lookups that have ended; their waiters have no answer yet
  std::list<Finished> finished_;  // waiters with their answers, for TakeAnswer
};

}  // namespace penstock
