// Absolute names asked of the name servers: each name once at a time, for all who wait for it, and remembered.
// Owned by a resolver; its own thread only. A waiter is a cookie, which is handed back and means nothing here.
// Invariant: TakeAnswer yields every waiter exactly once, after a bounded time, unless it is withdrawn before: each
// question has a try (a watched socket and the deadline `patience`) or the deadline `next_try`, and lookups that have
// not started do so when tries end or have had their turn. No more than `tries_max` sockets are ever open.
// Deliberately not here: the hosts file, search lists, and names with a meaning of their own (resolver.h).
//
//   waiters --> lookup: one name --> question: AAAA --> tries: one server, one socket each
//                               \--> question: A    --> tries
//
// A question is asked of one server; after kNextTryDelay, or at once when that server fails, of the next one as well.
// Each try keeps its socket for the `timeout` of resolv.conf, so that a slow answer still counts, and the first usable
// answer ends the question. A server is tried `attempts` times at most, and not again after it told a failure
// (SERVFAIL, REFUSED...) or turned out not to be there. When one family has addresses, the other has
// kFamilyGraceDelay; what comes later is for the cache. A lookup that nobody waits for any more is given up.
//
// Sockets go round. All of them in use means that some server is silent about many names (the usual server asks others,
// and those of one zone may be down), or that somebody asks for very many. So a lookup that needs sockets takes them
// from the share which has the most, the oldest try first: when that share has more than the lookup's own would then
// have, or when the try has had its turn (kTryTurn); else it waits, but never for another client's turns. Who lost a
// try goes on: the question is asked again at its time, and by then a slow server knows what it was first asked for.
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
  // `tag` is the cookie tag of all descriptors that are registered with `poller`. `tries_max`: two at least.
  NameLookups(const ResolvConf& conf, Poller& poller, const Clock& clock, Counters& counters, std::uint8_t tag,
              std::size_t tries_max);
  ~NameLookups();
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;

  // Takes over servers and times. Tries go on with the server that they have, and questions may ask all new ones. What
  // the old servers said may be wrong by the new ones (a VPN came up), so it is forgotten.
  void Configure(const ResolvConf& conf);

  // The families to ask for from now on; not neither.
  void SetFamilies(Families families) { families_ = families; }

  // What is known of `name` (NameText), without asking, for a client of `share`; nothing when Wait is the way. Does not
  // allocate.
  std::optional<NameAnswer> Find(std::string_view name, std::size_t share = 0);

  struct Finished {
    Cookie waiter;
    NameAnswer answer;
  };

  // Where a waiter is: valid until TakeAnswer yields it.
  struct Ticket {
    Handle lookup;
    std::list<Finished>::iterator place;
  };

  // Makes `waiter` wait for `name`; nothing when there is no room. A lookup that this begins counts towards `share`,
  // which is below kNameShares. Where kLookupsMax are under way, the share that has most of them gives up its oldest,
  // if it has more than `share` would then have: who waits for that one is told that nobody answered.
  [[nodiscard]] std::optional<Ticket> Wait(std::string_view name, Cookie waiter, std::size_t share);

  // The waiter of `ticket` is not yielded, even if its answer is ready. A lookup without waiters is given up.
  void Withdraw(const Ticket& ticket);

  void OnEvent(Handle handle, const Events& events);
  void OnTime();

  // When OnTime or TakeAnswer has something to do; the clock's now() while answers lie ready.
  std::optional<TimePoint> next_deadline() const;

  // The next waiter whose answer is ready, in the order in which the answers came.
  std::optional<Finished> TakeAnswer();

 private:
  struct Question;
  struct Lookup;
  struct Try;

  // What the clients of one share have.
  struct Share {
    std::list<Handle> lookups;      // the oldest first
    std::list<Handle> not_started;  // lookups, first come, first served
    std::list<Try*> tries;          // alive, the oldest first
  };

  // A lookup, from its beginning to its end.
  Lookup* Begin(std::string_view name, std::size_t share);
  bool MakeRoomForLookup(const Share& share);
  void HurryFor(Lookup& lookup, Share& joining);
  void StartThoseWhoWait();
  void Start(Lookup& lookup);
  void CheckProgress(Lookup& lookup);
  void TellWaiters(Lookup& lookup, const NameAnswer& answer);
  void Drop(Lookup& lookup);
  std::size_t NumberOf(const Share& share) const { return static_cast<std::size_t>(&share - shares_.data()); }
  void GoOn();

  // A question, and its tries.
  void AskNext(Lookup& lookup, Family family);
  Fault AskServer(Lookup& lookup, Family family, std::size_t server);
  void EndTry(Try& ended);
  void EndTries(Question& question);
  void EndQuestion(Lookup& lookup, Family family, FamilyAnswer answer, std::chrono::seconds ttl);

  // Who may have how many sockets.
  bool MakeRoom(const Share& share, std::size_t tries);
  Share& Needing();
  const Share& Heaviest() const;

  // What happens to them.
  void OnAnswer(Try& answered);
  void OnServerFailed(Try& failed);
  void OnSocketLost(Try& lost);
  void OnPatienceEnded(Try& silent);
  void OnNextTryDue(Lookup& lookup, Family family);

  bool wants(Family family) const { return family == Family::kIpv6 ? families_.v6 : families_.v4; }

  Poller& poller_;
  const Clock& clock_;
  Counters& counters_;
  const std::uint8_t tag_;
  const std::size_t tries_max_;
  Families families_;
  NameServers servers_;
  std::uint32_t servers_epoch_ = 0;  // changes with the list of servers
  bool rotate_ = false;
  std::size_t rotation_ = 0;
  NameCache cache_;

  // Queues outlive the deadlines in them, so they come before what holds those.
  std::unique_ptr<DeadlineQueue> patience_;  // a try: the server has not answered
  DeadlineQueue next_try_;                   // a question: time to ask one server more
  DeadlineQueue grace_;                      // a lookup: one family has addresses, the other takes too long
  Slab<Lookup> lookups_;
  Slab<Try> tries_;
  std::unordered_map<std::string_view, Lookup*> lookup_of_;  // keys are the lookups' own names
  std::vector<Share> shares_;
  std::size_t not_started_ = 0;   // lookups, over all shares
  std::vector<Handle> ended_;     // lookups whose waiters have not been told yet
  std::list<Finished> finished_;  // waiters that have left their lookups
};

}  // namespace penstock
