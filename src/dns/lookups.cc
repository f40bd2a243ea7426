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

struct NameLookups::Try {
  Try(Handle self_handle, Lookup& the_lookup, Family the_family, std::size_t the_server, NameLookups& owner);

  const Handle self;
  Lookup& lookup;
  const Family family;
  const std::size_t server;
  const std::uint32_t servers_epoch;  // `server` means nothing in another
  const TimePoint began;
  std::list<Try*>::iterator place;  // in its share
  DnsExchange exchange;
  Deadline patience;
};

struct NameLookups::Question {
  enum class State : std::uint8_t { kUnwanted, kAsking, kDone };

  explicit Question(Cookie cookie) : next_try(cookie) {}

  State state = State::kUnwanted;
  FamilyAnswer answer;  // when kDone
  ServersAsked asked;
  std::vector<Handle> tries;  // alive
  Deadline next_try;

  // The last server that was asked and has not said anything: what its silence means is judged by when that was.
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
  Share* share;                        // only changes before it starts
  std::list<Handle>::iterator place;   // in its share
  std::list<Handle>::iterator queued;  // the same among those that have not started
  bool started = false;
  std::size_t first_server = 0;
  bool told = false;  // grace is over: whoever asks gets what there is
  std::array<Question, 2> questions{Question(Cookie{0, self}), Question(Cookie{1, self})};  // the tag is the family
  Deadline grace;
  std::list<Finished> waiters;  // without their answers
};

NameLookups::Try::Try(Handle self_handle, Lookup& the_lookup, Family the_family, std::size_t the_server,
                      NameLookups& owner)
    : self(self_handle),
      lookup(the_lookup),
      family(the_family),
      server(the_server),
      servers_epoch(owner.servers_epoch_),
      began(owner.clock_.now()),
      exchange(owner.poller_, Cookie{owner.tag_, self_handle}),
      patience(Cookie{0, self_handle}) {}

NameLookups::NameLookups(const ResolvConf& conf, Poller& poller, const Clock& clock, Counters& counters,
                         std::uint8_t tag, std::size_t tries_max)
    : poller_(poller),
      clock_(clock),
      counters_(counters),
      tag_(tag),
      tries_max_(tries_max),
      cache_(kNamesCached),
      next_try_(kNextTryDelay),
      grace_(kFamilyGraceDelay),
      lookups_(kLookupsMax),
      tries_(tries_max),
      shares_(kNameShares) {
  assert(tries_max >= std::size(kFamilies));  // or a lookup could never start
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
  if (patience_ != nullptr && patience_->duration() == conf.timeout) return;
  patience_ = std::make_unique<DeadlineQueue>(conf.timeout);
  tries_.ForEach([this](Try& alive) { patience_->Arm(alive.patience, clock_.now()); });
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
  if (running != lookup_of_.end() && running->second->told) return running->second->Answer();
  return std::nullopt;
}

std::optional<NameLookups::Ticket> NameLookups::Wait(std::string_view name, Cookie waiter, std::size_t share) {
  const auto running = lookup_of_.find(name);
  Lookup* const lookup = running != lookup_of_.end() ? running->second : Begin(name, share);
  if (lookup == nullptr) return std::nullopt;
  assert(!lookup->told);  // or Find would have had the answer
  if (!lookup->started) HurryFor(*lookup, shares_[share]);
  const Ticket ticket{lookup->self, lookup->waiters.insert(lookup->waiters.end(), Finished{waiter, {}})};
  GoOn();
  return ticket;
}

void NameLookups::Withdraw(const Ticket& ticket) {
  Lookup* const lookup = lookups_.Resolve(ticket.lookup);
  const bool answered = lookup == nullptr || lookup->told;
  (answered ? finished_ : lookup->waiters).erase(ticket.place);
  if (answered || !lookup->waiters.empty()) return;
  Drop(*lookup);
  GoOn();
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
  lookup->queued = its.not_started.insert(its.not_started.end(), lookup->self);
  ++not_started_;
  return lookup;
}

bool NameLookups::MakeRoomForLookup(const Share& share) {
  if (lookups_.live() < kLookupsMax) return true;
  const Share& most = *std::ranges::max_element(shares_, {}, [](const Share& each) { return each.lookups.size(); });
  if (most.lookups.size() <= share.lookups.size() + 1) return false;
  Lookup& oldest = *lookups_.Resolve(most.lookups.front());
  counters_.names_failed.Add();
  TellWaiters(oldest, {});
  Drop(oldest);
  return true;
}

// A lookup that waits its turn does so in the shortest queue of those who want it: else a client with a thousand names
// could hold up a name of everybody's by asking for it behind them.
void NameLookups::HurryFor(Lookup& lookup, Share& joining) {
  Share& before = *lookup.share;
  if (joining.not_started.size() + 1 >= before.not_started.size()) return;
  joining.not_started.splice(joining.not_started.end(), before.not_started, lookup.queued);
  joining.lookups.splice(joining.lookups.end(), before.lookups, lookup.place);
  lookup.share = &joining;
}

void NameLookups::StartThoseWhoWait() {
  while (not_started_ > 0) {
    const Share& share = Needing();
    if (!MakeRoom(share, std::size(kFamilies))) return;  // then nobody else may have it either
    Start(*lookups_.Resolve(share.not_started.front()));
  }
}

// Whose turn it is: of those who wait the share that has least.
NameLookups::Share& NameLookups::Needing() {
  return *std::ranges::min_element(
      shares_, {}, [](const Share& share) { return std::pair(share.not_started.empty(), share.tries.size()); });
}

// Has the most tries, and among equals the one that has waited longest.
const NameLookups::Share& NameLookups::Heaviest() const {
  return *std::ranges::max_element(shares_, [](const Share& a, const Share& b) {
    if (a.tries.size() != b.tries.size()) return a.tries.size() < b.tries.size();
    return !a.tries.empty() && a.tries.front()->began > b.tries.front()->began;
  });
}

// Whether `share` may make so many tries more. Cuts off those that must make room for them.
bool NameLookups::MakeRoom(const Share& share, std::size_t tries) {
  while (tries_max_ - tries_.live() < tries) {
    const Share& heaviest = Heaviest();
    Try& oldest = *heaviest.tries.front();
    const bool has_more = heaviest.tries.size() >= share.tries.size() + tries;
    if (!has_more && clock_.now() - oldest.began < kTryTurn) return false;
    OnSocketLost(oldest);
  }
  return true;
}

// Asks for what is not remembered: A and AAAA have lives of their own.
void NameLookups::Start(Lookup& lookup) {
  lookup.share->not_started.erase(lookup.queued);
  --not_started_;
  lookup.started = true;
  counters_.names_asked.Add();
  lookup.first_server = rotate_ ? rotation_++ : 0;
  for (const Family family : kFamilies) {
    if (!wants(family)) continue;
    Question& question = lookup.question(family);
    const FamilyAnswer* const remembered = cache_.Find(lookup.name, family, clock_.now(), NumberOf(*lookup.share));
    if (remembered != nullptr) question.answer = *remembered;
    question.state = remembered != nullptr ? Question::State::kDone : Question::State::kAsking;
  }
  for (const Family family : kFamilies) {
    if (lookup.question(family).state == Question::State::kAsking) AskNext(lookup, family);
  }
  CheckProgress(lookup);
}

// Asks one server more, or ends the question when there is none left to ask or to wait for. When this host has no
// descriptor or memory left the try is lost, and the next one comes at its time: nothing spins.
void NameLookups::AskNext(Lookup& lookup, Family family) {
  Question& question = lookup.question(family);
  question.next_try.Disarm();
  for (;;) {
    const auto server = servers_.Pick(question.asked, lookup.first_server, clock_.now());
    if (!server) break;
    ++question.asked.attempts[*server];
    const Fault fault = AskServer(lookup, family, *server);
    if (fault == Fault::kNone || fault == Fault::kExhausted) {
      next_try_.Arm(question.next_try, clock_.now());
      return;
    }
    question.asked.failed[*server] = true;  // no way to it
  }
  if (question.tries.empty()) EndQuestion(lookup, family, {}, kNoAnswerTtl);
}

Fault NameLookups::AskServer(Lookup& lookup, Family family, std::size_t server) {
  Try* const made = MakeRoom(*lookup.share, 1) ? tries_.Acquire(lookup, family, server, *this) : nullptr;
  if (made == nullptr) return Fault::kExhausted;
  // IDs must not be guessed (RFC 5452 section 4.3).
  const auto id = static_cast<std::uint16_t>(RandomBits());
  const Fault fault = made->exchange.Begin(servers_.endpoint(server), lookup.name, TypeOf(family), id);
  if (fault != Fault::kNone) {
    tries_.Release(made->self);
    return fault;
  }
  made->place = lookup.share->tries.insert(lookup.share->tries.end(), made);
  Question& question = lookup.question(family);
  question.tries.push_back(made->self);
  question.last_asked = {server, servers_epoch_, made->began};
  patience_->Arm(made->patience, clock_.now());
  return Fault::kNone;
}

void NameLookups::EndTry(Try& ended) {
  std::erase(ended.lookup.question(ended.family).tries, ended.self);
  ended.lookup.share->tries.erase(ended.place);
  tries_.Release(ended.self);
}

void NameLookups::EndTries(Question& question) {
  while (!question.tries.empty()) EndTry(*tries_.Resolve(question.tries.back()));
}

void NameLookups::EndQuestion(Lookup& lookup, Family family, FamilyAnswer answer, std::chrono::seconds ttl) {
  Question& question = lookup.question(family);
  assert(question.state == Question::State::kAsking);
  question.next_try.Disarm();
  EndTries(question);
  cache_.Store(lookup.name, family, answer, ttl, clock_.now(), NumberOf(*lookup.share));
  question.answer = std::move(answer);
  question.state = Question::State::kDone;
}

// After a question has ended: the lookup has, too, or whoever waits for the other one does so for a short time only
// (RFC 8305 section 3).
void NameLookups::CheckProgress(Lookup& lookup) {
  const auto asking = [](const Question& question) { return question.state == Question::State::kAsking; };
  if (std::ranges::none_of(lookup.questions, asking)) {
    ended_.push_back(lookup.self);
  } else if (!lookup.told && !lookup.grace.armed() && lookup.Answer().count > 0) {
    grace_.Arm(lookup.grace, clock_.now());
  }
}

void NameLookups::TellWaiters(Lookup& lookup, const NameAnswer& answer) {
  for (Finished& waiter : lookup.waiters) waiter.answer = answer;
  finished_.splice(finished_.end(), lookup.waiters);
}

// The lookup is over, or nobody wants it any more.
void NameLookups::Drop(Lookup& lookup) {
  if (!lookup.started) {
    lookup.share->not_started.erase(lookup.queued);
    --not_started_;
  }
  for (Question& question : lookup.questions) EndTries(question);
  lookup.share->lookups.erase(lookup.place);
  lookup_of_.erase(lookup.name);
  lookups_.Release(lookup.self);
}

// After anything has happened: starts lookups for which there is room now, and tells the waiters of those that have
// ended. Some end when they are started: hence a list, not a recursion.
void NameLookups::GoOn() {
  StartThoseWhoWait();
  while (!ended_.empty()) {
    Lookup& lookup = *lookups_.Resolve(ended_.back());
    ended_.pop_back();
    const NameAnswer answer = lookup.Answer();
    if (answer.status == NameStatus::kNoAnswer) counters_.names_failed.Add();
    TellWaiters(lookup, answer);
    Drop(lookup);
    StartThoseWhoWait();
  }
}

void NameLookups::OnEvent(Handle handle, const Events& events) {
  Try* const happened = tries_.Resolve(handle);
  if (happened == nullptr) return;
  switch (happened->exchange.OnEvent(events)) {
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
  GoOn();
}

void NameLookups::OnAnswer(Try& answered) {
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
  EndQuestion(lookup, answered.family, std::move(half), ttl);  // `answered` is gone
  CheckProgress(lookup);
}

// It said so, or nobody is there: the next one at once.
void NameLookups::OnServerFailed(Try& failed) {
  Lookup& lookup = failed.lookup;
  const Family family = failed.family;
  if (failed.servers_epoch == servers_epoch_) lookup.question(family).asked.failed[failed.server] = true;
  EndTry(failed);
  AskNext(lookup, family);
  CheckProgress(lookup);
}

// Not the server's fault, but for want of descriptors: the next try comes at its time.
void NameLookups::OnSocketLost(Try& lost) {
  Question& question = lost.lookup.question(lost.family);
  EndTry(lost);
  if (!question.next_try.armed()) next_try_.Arm(question.next_try, clock_.now());
}

void NameLookups::OnPatienceEnded(Try& silent) {
  Lookup& lookup = silent.lookup;
  const Family family = silent.family;
  if (silent.servers_epoch == servers_epoch_) servers_.Silent(silent.server, silent.began, clock_.now());
  EndTry(silent);
  const Question& question = lookup.question(family);
  if (!question.tries.empty() || question.next_try.armed()) return;
  AskNext(lookup, family);
  CheckProgress(lookup);
}

void NameLookups::OnNextTryDue(Lookup& lookup, Family family) {
  const auto& asked = lookup.question(family).last_asked;
  if (asked && asked->servers_epoch == servers_epoch_) servers_.Silent(asked->server, asked->at, clock_.now());
  AskNext(lookup, family);
  CheckProgress(lookup);
}

void NameLookups::OnTime() {
  const TimePoint now = clock_.now();
  while (const auto due = next_try_.Expire(now)) {
    OnNextTryDue(*lookups_.Resolve(due->handle), static_cast<Family>(due->tag));
  }
  while (const auto due = patience_->Expire(now)) OnPatienceEnded(*tries_.Resolve(due->handle));
  while (const auto due = grace_.Expire(now)) {
    Lookup& lookup = *lookups_.Resolve(due->handle);
    lookup.told = true;
    TellWaiters(lookup, lookup.Answer());
  }
  GoOn();
}

std::optional<TimePoint> NameLookups::next_deadline() const {
  if (!finished_.empty()) return clock_.now();
  std::optional<TimePoint> first;
  // Whoever waits does so because nobody has had a turn yet.
  if (not_started_ > 0) first = Heaviest().tries.front()->began + kTryTurn;
  for (const auto& due : {patience_->next(), next_try_.next(), grace_.next()}) {
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

}  // namespace penstock
