#include "penstock/dns/lookups.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <string>
#include <utility>

#include "penstock/dns/exchange.h"
#include "penstock/os/random.h"

namespace penstock {
namespace {

DnsType TypeOf(Family family) { return family == Family::kIpv6 ? DnsType::kAaaa : DnsType::kA; }

}  // namespace

struct NameLookups::Attempt {
  Attempt(Handle self_handle, Lookup& the_lookup, Family the_family, std::size_t the_server, NameLookups& owner);

  const Handle self;
  Lookup& lookup;
  const Family family;
  const std::size_t server;
  const std::uint32_t servers_epoch;  // `server` is an index in the list of this epoch
  const TimePoint began;
  std::list<Attempt*>::iterator place;  // in its share
  DnsExchange exchange;
  Deadline timeout;
};

struct NameLookups::Question {
  enum class State : std::uint8_t { kUnwanted, kAsking, kDone };

  explicit Question(Cookie cookie) : next_attempt(cookie) {}

  State state = State::kUnwanted;
  FamilyAnswer answer;  // if kDone
  ServersAsked asked;
  std::vector<Handle> attempts;  // under way
  Deadline next_attempt;

  // The server that was asked last, and when: decides whether its silence makes it suspect.
  struct Asked {
    std::size_t server;
    std::uint32_t servers_epoch;
    TimePoint at;
  };
  std::optional<Asked> last_asked;

  const FamilyAnswer* half() const { return state == State::kDone ? &answer : nullptr; }
};

struct NameLookups::Lookup {
  Lookup(Handle self_handle, std::string_view the_name, Share& its_share)
      : self(self_handle), name(the_name), share(&its_share), grace(Cookie{0, self_handle}) {}

  Question& question(Family family) { return questions[IndexOf(family)]; }
  NameAnswer Answer() const { return Combine(questions[0].half(), questions[1].half()); }

  const Handle self;
  const std::string name;
  Share* share;                        // changes only while it is queued
  std::list<Handle>::iterator place;   // in its share
  std::list<Handle>::iterator queued;  // in its share's queue, until it starts
  bool started = false;
  std::size_t first_server = 0;
  bool partial = false;  // the grace delay is over: Find returns what has been found
  std::array<Question, 2> questions{Question(Cookie{0, self}), Question(Cookie{1, self})};  // the tag is the family
  Deadline grace;
  std::list<Finished> waiters;  // their answers are not set yet
};

NameLookups::Attempt::Attempt(Handle self_handle, Lookup& the_lookup, Family the_family, std::size_t the_server,
                              NameLookups& owner)
    : self(self_handle),
      lookup(the_lookup),
      family(the_family),
      server(the_server),
      servers_epoch(owner.servers_epoch_),
      began(owner.clock_.now()),
      exchange(owner.poller_, Cookie{owner.tag_, self_handle}),
      timeout(Cookie{0, self_handle}) {}

NameLookups::NameLookups(const ResolvConf& conf, Poller& poller, const Clock& clock, Counters& counters,
                         std::uint8_t tag, std::size_t attempts_max)
    : poller_(poller),
      clock_(clock),
      counters_(counters),
      tag_(tag),
      attempts_max_(attempts_max),
      cache_(kNamesCached),
      next_attempt_(kNextNameAttemptDelay),
      grace_(kFamilyGraceDelay),
      lookups_(kLookupsMax),
      attempts_(attempts_max),
      shares_(kNameShares) {
  assert(attempts_max >= std::size(kFamilies));  // otherwise no lookup could start
  Configure(conf);
}

NameLookups::~NameLookups() = default;

void NameLookups::Configure(const ResolvConf& conf) {
  servers_.Set(conf.servers, conf.attempts);
  ++servers_epoch_;
  rotate_ = conf.rotate;
  cache_.Clear();
  lookups_.ForEach([](Lookup& lookup) {
    for (Question& question : lookup.questions) question.asked = {};
  });
  if (timeouts_ != nullptr && timeouts_->duration() == conf.timeout) return;
  timeouts_ = std::make_unique<DeadlineQueue>(conf.timeout);
  attempts_.ForEach([this](Attempt& alive) { timeouts_->Arm(alive.timeout, clock_.now()); });
}

std::optional<NameAnswer> NameLookups::Find(std::string_view name, std::size_t share) {
  const FamilyAnswer* halves[2] = {};
  bool whole = true;
  for (const Family family : kFamilies) {
    if (!wants(family)) continue;
    const FamilyAnswer*& half = halves[IndexOf(family)];
    half = cache_.Find(name, family, clock_.now(), share);
    whole = whole && half != nullptr;
  }
  if (whole) return Combine(halves[0], halves[1]);
  const auto running = lookup_of_.find(name);
  if (running != lookup_of_.end() && running->second->partial) return running->second->Answer();
  return std::nullopt;
}

std::optional<NameLookups::Ticket> NameLookups::Wait(std::string_view name, Cookie waiter, std::size_t share) {
  const auto running = lookup_of_.find(name);
  Lookup* const lookup = running != lookup_of_.end() ? running->second : Begin(name, share);
  if (lookup == nullptr) return std::nullopt;
  assert(!lookup->partial);  // otherwise Find would have returned the answer
  if (!lookup->started) MoveToShorterQueue(*lookup, shares_[share]);
  const Ticket ticket{lookup->self, lookup->waiters.insert(lookup->waiters.end(), Finished{waiter, {}})};
  Advance();
  return ticket;
}

void NameLookups::Withdraw(const Ticket& ticket) {
  Lookup* const lookup = lookups_.Resolve(ticket.lookup);
  const bool answered = lookup == nullptr || lookup->partial;
  (answered ? finished_ : lookup->waiters).erase(ticket.place);
  if (answered || !lookup->waiters.empty()) return;
  Drop(*lookup);
  Advance();
}

std::optional<NameLookups::Finished> NameLookups::TakeAnswer() {
  if (finished_.empty()) return std::nullopt;
  Finished finished = finished_.front();
  finished_.pop_front();
  return finished;
}

NameLookups::Lookup* NameLookups::Begin(std::string_view name, std::size_t share) {
  Share& its = shares_[share];
  if (!MakeRoomForLookup(its)) return nullptr;
  Lookup* const lookup = lookups_.Acquire(name, its);
  if (lookup == nullptr) return nullptr;
  lookup->place = its.lookups.insert(its.lookups.end(), lookup->self);
  lookup_of_.emplace(lookup->name, lookup);
  lookup->queued = its.queued.insert(its.queued.end(), lookup->self);
  ++queued_;
  return lookup;
}

bool NameLookups::MakeRoomForLookup(const Share& share) {
  if (lookups_.live() < kLookupsMax) return true;
  const Share& most = *std::ranges::max_element(shares_, {}, [](const Share& each) { return each.lookups.size(); });
  if (most.lookups.size() <= share.lookups.size() + 1) return false;
  Lookup& oldest = *lookups_.Resolve(most.lookups.front());
  AnswerWaiters(oldest, {});
  Drop(oldest);
  return true;
}

// A queued lookup stays in the shortest queue of its waiters' shares. Otherwise a client could delay a popular name for
// everybody by asking for it behind a thousand others.
void NameLookups::MoveToShorterQueue(Lookup& lookup, Share& joining) {
  Share& before = *lookup.share;
  if (joining.queued.size() + 1 >= before.queued.size()) return;
  joining.queued.splice(joining.queued.end(), before.queued, lookup.queued);
  joining.lookups.splice(joining.lookups.end(), before.lookups, lookup.place);
  lookup.share = &joining;
}

void NameLookups::StartQueued() {
  while (queued_ > 0) {
    const Share& share = NextShare();
    if (!MakeRoom(share, std::size(kFamilies))) return;  // then no other share can start one either
    Start(*lookups_.Resolve(share.queued.front()));
  }
}

// The share whose turn it is: of those with queued lookups the one with the fewest attempts.
NameLookups::Share& NameLookups::NextShare() {
  return *std::ranges::min_element(
      shares_, {}, [](const Share& share) { return std::pair(share.queued.empty(), share.attempts.size()); });
}

// The share with the most attempts; among equals the one whose oldest attempt began first.
const NameLookups::Share& NameLookups::Heaviest() const {
  return *std::ranges::max_element(shares_, [](const Share& a, const Share& b) {
    if (a.attempts.size() != b.attempts.size()) return a.attempts.size() < b.attempts.size();
    return !a.attempts.empty() && a.attempts.front()->began > b.attempts.front()->began;
  });
}

// True if `share` may make this many more attempts. Ends the attempts of others that have to make room.
bool NameLookups::MakeRoom(const Share& share, std::size_t attempts) {
  while (attempts_max_ - attempts_.live() < attempts) {
    const Share& heaviest = Heaviest();
    Attempt& oldest = *heaviest.attempts.front();
    const bool has_more = heaviest.attempts.size() >= share.attempts.size() + attempts;
    if (!has_more && clock_.now() - oldest.began < kNameAttemptTurn) return false;
    OnSocketLost(oldest);
  }
  return true;
}

// Queries what is not cached; A and AAAA are cached independently.
void NameLookups::Start(Lookup& lookup) {
  lookup.share->queued.erase(lookup.queued);
  --queued_;
  lookup.started = true;
  counters_.names_asked.Add();
  lookup.first_server = rotate_ ? rotation_++ : 0;
  for (const Family family : kFamilies) {
    if (!wants(family)) continue;
    Question& question = lookup.question(family);
    const FamilyAnswer* const cached = cache_.Find(lookup.name, family, clock_.now(), NumberOf(*lookup.share));
    if (cached != nullptr) question.answer = *cached;
    question.state = cached != nullptr ? Question::State::kDone : Question::State::kAsking;
  }
  for (const Family family : kFamilies) {
    if (lookup.question(family).state == Question::State::kAsking) AskNext(lookup, family);
  }
  CheckProgress(lookup);
}

// Asks the next server, or ends the question if there is none left to ask or to wait for. If this host has no
// descriptor or memory, the attempt is lost and the next one comes after the usual delay: nothing spins.
void NameLookups::AskNext(Lookup& lookup, Family family) {
  Question& question = lookup.question(family);
  question.next_attempt.Disarm();
  for (;;) {
    const auto server = servers_.Pick(question.asked, lookup.first_server, clock_.now());
    if (!server) break;
    ++question.asked.attempts[*server];
    const Fault fault = AskServer(lookup, family, *server);
    if (fault == Fault::kNone || fault == Fault::kExhausted) {
      next_attempt_.Arm(question.next_attempt, clock_.now());
      return;
    }
    question.asked.failed[*server] = true;  // unreachable
  }
  if (question.attempts.empty()) EndQuestion(lookup, family, {}, kNoAnswerTtl);
}

Fault NameLookups::AskServer(Lookup& lookup, Family family, std::size_t server) {
  Attempt* const made = MakeRoom(*lookup.share, 1) ? attempts_.Acquire(lookup, family, server, *this) : nullptr;
  if (made == nullptr) return Fault::kExhausted;
  // IDs must be unpredictable (RFC 5452 section 4.3).
  const auto id = static_cast<std::uint16_t>(RandomBits());
  const Fault fault = made->exchange.Begin(servers_.endpoint(server), lookup.name, TypeOf(family), id);
  if (fault != Fault::kNone) {
    attempts_.Release(made->self);
    return fault;
  }
  made->place = lookup.share->attempts.insert(lookup.share->attempts.end(), made);
  Question& question = lookup.question(family);
  question.attempts.push_back(made->self);
  question.last_asked = {server, servers_epoch_, made->began};
  timeouts_->Arm(made->timeout, clock_.now());
  return Fault::kNone;
}

void NameLookups::EndAttempt(Attempt& ended) {
  std::erase(ended.lookup.question(ended.family).attempts, ended.self);
  ended.lookup.share->attempts.erase(ended.place);
  attempts_.Release(ended.self);
}

void NameLookups::EndAttempts(Question& question) {
  while (!question.attempts.empty()) EndAttempt(*attempts_.Resolve(question.attempts.back()));
}

void NameLookups::EndQuestion(Lookup& lookup, Family family, FamilyAnswer answer, std::chrono::seconds ttl) {
  Question& question = lookup.question(family);
  assert(question.state == Question::State::kAsking);
  question.next_attempt.Disarm();
  EndAttempts(question);
  cache_.Store(lookup.name, family, answer, ttl, clock_.now(), NumberOf(*lookup.share));
  question.answer = std::move(answer);
  question.state = Question::State::kDone;
}

// A question has ended. If it was the last, the lookup ends; otherwise, if there are addresses, the other family gets
// the grace delay (RFC 8305 section 3).
void NameLookups::CheckProgress(Lookup& lookup) {
  const auto asking = [](const Question& question) { return question.state == Question::State::kAsking; };
  if (std::ranges::none_of(lookup.questions, asking)) {
    ended_.push_back(lookup.self);
  } else if (!lookup.partial && !lookup.grace.armed() && lookup.Answer().count > 0) {
    grace_.Arm(lookup.grace, clock_.now());
  }
}

void NameLookups::AnswerWaiters(Lookup& lookup, const NameAnswer& answer) {
  for (Finished& waiter : lookup.waiters) waiter.answer = answer;
  finished_.splice(finished_.end(), lookup.waiters);
}

// The lookup has ended, or has no waiters left.
void NameLookups::Drop(Lookup& lookup) {
  if (!lookup.started) {
    lookup.share->queued.erase(lookup.queued);
    --queued_;
  }
  for (Question& question : lookup.questions) EndAttempts(question);
  lookup.share->lookups.erase(lookup.place);
  lookup_of_.erase(lookup.name);
  lookups_.Release(lookup.self);
}

// Called after every event: starts queued lookups for which there is room, and answers the waiters of those that have
// ended. A lookup may end as it starts, hence a list instead of recursion.
void NameLookups::Advance() {
  StartQueued();
  while (!ended_.empty()) {
    Lookup& lookup = *lookups_.Resolve(ended_.back());
    ended_.pop_back();
    AnswerWaiters(lookup, lookup.Answer());
    Drop(lookup);
    StartQueued();
  }
}

void NameLookups::OnEvent(Handle handle) {
  Attempt* const happened = attempts_.Resolve(handle);
  if (happened == nullptr) return;
  switch (happened->exchange.OnEvent()) {
    case DnsExchange::Progress::kWaiting:
      return;
    case DnsExchange::Progress::kAnswered:
      OnAnswer(*happened);
      break;
    case DnsExchange::Progress::kExhausted:
      OnSocketLost(*happened);
      break;
    case DnsExchange::Progress::kBroken:
      OnServerFailed(*happened);
      break;
  }
  Advance();
}

void NameLookups::OnAnswer(Attempt& answered) {
  const DnsAnswer& answer = answered.exchange.answer();
  const bool current = answered.servers_epoch == servers_epoch_;
  if (current) servers_.Heard(answered.server, clock_.now());
  if (answer.kind == DnsAnswer::Kind::kFailure) return OnServerFailed(answered);
  FamilyAnswer half{NameStatus::kNoName, {}};
  if (answer.kind == DnsAnswer::Kind::kAddresses) {
    half = {NameStatus::kFound, {answer.list().begin(), answer.list().end()}};
  }
  Lookup& lookup = answered.lookup;
  const auto ttl = current ? answer.ttl : std::chrono::seconds(0);
  EndQuestion(lookup, answered.family, std::move(half), ttl);  // releases `answered`
  CheckProgress(lookup);
}

// The server reported a failure or is unreachable: ask the next one at once.
void NameLookups::OnServerFailed(Attempt& failed) {
  Lookup& lookup = failed.lookup;
  const Family family = failed.family;
  if (failed.servers_epoch == servers_epoch_) lookup.question(family).asked.failed[failed.server] = true;
  EndAttempt(failed);
  AskNext(lookup, family);
  CheckProgress(lookup);
}

// This host lacks descriptors, or the socket was given to another share: the next attempt comes after the usual delay.
void NameLookups::OnSocketLost(Attempt& lost) {
  Question& question = lost.lookup.question(lost.family);
  EndAttempt(lost);
  if (!question.next_attempt.armed()) next_attempt_.Arm(question.next_attempt, clock_.now());
}

void NameLookups::OnTimeout(Attempt& silent) {
  Lookup& lookup = silent.lookup;
  const Family family = silent.family;
  if (silent.servers_epoch == servers_epoch_) servers_.Silent(silent.server, silent.began, clock_.now());
  EndAttempt(silent);
  const Question& question = lookup.question(family);
  if (!question.attempts.empty() || question.next_attempt.armed()) return;
  AskNext(lookup, family);
  CheckProgress(lookup);
}

void NameLookups::OnNextAttemptDue(Lookup& lookup, Family family) {
  const auto& asked = lookup.question(family).last_asked;
  if (asked && asked->servers_epoch == servers_epoch_) servers_.Silent(asked->server, asked->at, clock_.now());
  AskNext(lookup, family);
  CheckProgress(lookup);
}

void NameLookups::OnTime() {
  const TimePoint now = clock_.now();
  while (const auto due = next_attempt_.Expire(now)) {
    OnNextAttemptDue(*lookups_.Resolve(due->handle), static_cast<Family>(due->tag));
  }
  while (const auto due = timeouts_->Expire(now)) OnTimeout(*attempts_.Resolve(due->handle));
  while (const auto due = grace_.Expire(now)) {
    Lookup& lookup = *lookups_.Resolve(due->handle);
    lookup.partial = true;
    AnswerWaiters(lookup, lookup.Answer());
  }
  Advance();
}

std::optional<TimePoint> NameLookups::next_deadline() const {
  if (!finished_.empty()) return clock_.now();
  std::optional<TimePoint> first;
  // A queued lookup can start when the oldest attempt of the largest share has had its turn.
  if (queued_ > 0) first = Heaviest().attempts.front()->began + kNameAttemptTurn;
  for (const auto& due : {timeouts_->next(), next_attempt_.next(), grace_.next()}) {
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

void NameLookups::UpdateGauges(Gauges& gauges) const {
  gauges.dns_cache_entries.Set(cache_.size());
  gauges.dns_lookups.Set(lookups_.live());
  gauges.dns_sockets.Set(attempts_.live());
}

}  // namespace penstock
